"""One case: a configuration, lines and events made from a seed, run to the end, and judged."""

from __future__ import annotations

import asyncio
import io
import logging
import shutil
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from logpipe import Event, Receipt
from logpipe.builtin.in_http import HttpInput
from logpipe.config.diagnostic import ConfigError
from logpipe.errors import BufferFull
from logpipe.testing import Pipeline, pipeline, wait_for
from logpipe.testing.http_peer import HttpPeer
from tests.fuzz import hostile
from tests.fuzz.configuration import Writer, mended
from tests.fuzz.judge import Account, judge
from tests.fuzz.place import BROKERS, FORWARD_PORT, SERVER, Place
from tests.fuzz.senders import Senders
from tests.fuzz.tap import Tap
from tests.fuzz.writes import Writes
from tests.services.forward_server import ForwardServer, ack
from tests.services.mock_kafka import MockKafka

SECONDS = 60
"""How long a case may take to read everything, and again to deliver it."""

WITNESSES = 3


@dataclass
class Findings:
    """What a case has shown."""

    refused: bool = False
    """Whether the configuration was refused, so that nothing ran."""
    problems: list[str] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    """Events that went through each stage."""
    used: Counter[str] = field(default_factory=Counter)


class Case:
    """What one seed stands for, and which types are preferred; two objects of the same make the same."""

    def __init__(self, seed: int, root: Path, types: Collection[str] = ()) -> None:
        self.place = Place(Random(seed), root, types)
        writer = Writer(self.place)
        self.text = mended(writer.write())
        self._random = self.place.random
        self._next = seed % 1000 * 1000
        rounds = self._random.choice((1, 1, 2))
        # a name with a line feed cannot stand in a pos_file: its lines come again after a restart, which a warning says
        names = hostile.NAMES if rounds == 1 else [name for name in hostile.NAMES if "\n" not in name]
        self.names = [f"{self._random.choice(names)}{number}.log" for number in range(2)]
        self.rounds = [self._lines(writer.parser) for _ in range(rounds)]
        self.fed = [self._batch() for _ in range(self._random.randrange(4))]
        self.posted = self._bodies(writer.posted) if "@type http\n  bind" in self.text else []
        self.senders = Senders(self._random, self._mark, writer.sent, has_forward="@type forward\n  port" in self.text)

    def _mark(self) -> int:
        self._next += 1
        return self._next

    def _lines(self, parser: str) -> list[tuple[str, bytes]]:
        return [
            (
                self._random.choice(self.names),
                hostile.line(self._random, self._mark(), parser, is_tame=self._random.random() < 0.3),
            )
            for _ in range(self._random.randrange(1, 20))
        ]

    def _bodies(self, parser: str) -> list[bytes]:
        """Return what is posted, a line each."""
        return [hostile.line(self._random, self._mark(), parser, is_tame=number < 2) for number in range(6)]

    def _batch(self) -> tuple[str, list[Event]]:
        events = []
        for _ in range(self._random.randrange(1, 8)):
            if self._random.random() < 0.4:
                events.append(Event(hostile.NOW, hostile.tame(self._mark())))
            else:
                time = self._random.choice((hostile.NOW, *hostile.TIMES))
                events.append(Event(time, hostile.record(self._random, self._mark())))
        return self._random.choice((*hostile.TAGS[:1] * 8, *hostile.TAGS)), events

    def describe(self) -> str:
        """Return all of it for a person."""
        lines = [f"{name!r}: {line!r}" for each in self.rounds for name, line in each]
        fed = [f"tag {tag!r}: {time} {record!r}" for tag, events in self.fed for time, record in events]
        sent = [f"{name}: {line!r}" for name, lines in self.senders.lines.items() for line in lines]
        frames = [f"forward: {frame!r}" for frame in self.senders.frames]
        return "\n".join((self.text, "-- lines", *lines, "-- events", *fed, "-- sent", *sent, *frames))

    def run(self) -> Findings:
        """Run it in an event loop of its own."""
        found = Findings()
        place = self.place
        for folder in (place.input, place.output, place.state, place.root / "witness"):
            folder.mkdir(parents=True)
        Tap.seen.clear()
        Tap.fields.clear()
        account = Account(place)
        with ExitStack() as stack:
            text = self.text
            if BROKERS in text:
                kafka = stack.enter_context(MockKafka(1))
                account.bootstrap = kafka.bootstrap
                text = text.replace(BROKERS, kafka.bootstrap)
            printed = stack.enter_context(_stdout())
            writes = stack.enter_context(Writes(place.root))
            for number, lines in enumerate(self.rounds):
                self._append(lines, number)
                try:
                    asyncio.run(self._round(text, account, number))
                except ConfigError as error:
                    found.refused = True
                    if number:
                        found.problems.append(f"refused at the second start: {error}")
                    return found
                except BaseExceptionGroup as error:
                    account.problems.append(f"round {number}: {_flat(error)}")
                except AssertionError as error:
                    account.problems.append(f"round {number}: {error}")
            account.printed = printed.getvalue()
            if account.bootstrap:
                asyncio.run(account.read_topics())
        account.problems += writes.problems
        sent = (line for lines in self.senders.lines.values() for line in lines)
        account.lines = [*(line for each in self.rounds for _, line in each), *self.posted, *sent]
        account.fed = [*(event for _, events in self.fed for event in events), *self.senders.events]
        account.taps = list(Tap.seen)
        found.problems = judge(account)
        found.stages, found.used = account.stages, place.used
        return found

    def _append(self, lines: list[tuple[str, bytes]], number: int) -> None:
        for name, line in lines:
            with (self.place.input / name).open("ab") as file:
                file.write(line + b"\n")
        with (self.place.root / "witness" / "w.txt").open("ab") as file:
            file.writelines(b"witness %d\n" % (number * WITNESSES + each) for each in range(WITNESSES))

    async def _round(self, text: str, account: Account, number: int) -> None:
        unsettled: set[int] = set()
        async with (
            HttpPeer().serving() as web,
            ForwardServer(ack).standing() as server,
            pipeline(
                text.replace(SERVER, f"http://127.0.0.1:{web.port}").replace(f"'{FORWARD_PORT}'", str(server.port)), Tap
            ) as running,
        ):
            watch = _Errors()
            running.graph.world.dead_letters.files.base.mkdir(parents=True, exist_ok=True)
            logger = running.graph._log
            logger.addHandler(watch)
            if number == 0:
                await self._feed(running, account, unsettled)
                await self.senders.send(running)
            posting = asyncio.create_task(self._post(running, account, number))  # noqa: TID251 - a client
            await wait_for(lambda: _all_read(running, self.place.root), "the files to be read", seconds=SECONDS)
            await wait_for(
                lambda: len(running.events(name="witness")) >= WITNESSES, "the other source to arrive", seconds=SECONDS
            )
            await wait_for(lambda: _all_delivered(running) and posting.done(), "the buffers to empty", seconds=SECONDS)
            await posting
        account.add(running, watch.problems)
        account.add_requests(web)
        account.add_forwarded(record for _, _, record in server.events)
        if unsettled:
            account.problems.append(f"receipts of batches {sorted(unsettled)} were never settled")

    async def _post(self, running: Pipeline, account: Account, number: int) -> None:
        """Post to the first HTTP input, in the first round; what is answered with an error its client still has."""
        inputs = [stage.plugin for stage in running.graph.stages.inputs if isinstance(stage.plugin, HttpInput)]
        if not inputs or number:
            return
        async with aiohttp.ClientSession() as session:
            for body in self.posted:
                headers = {"Content-Type": "application/x-ndjson"}
                async with session.post(
                    f"http://127.0.0.1:{inputs[0].port}/in.http", data=body, headers=headers
                ) as got:
                    account.counted["answered with errors"] += got.status >= 300

    async def _feed(self, running: Pipeline, account: Account, unsettled: set[int]) -> None:
        for number, (tag, events) in enumerate(self.fed):
            receipt = Receipt(partial(unsettled.discard, number))
            unsettled.add(number)
            records: list[dict[str, Any]] = [dict(event.record) for event in events]
            try:
                async with asyncio.timeout(SECONDS):
                    await running.feed(tag, *records, times=[event.time for event in events], receipt=receipt)
            except (TimeoutError, BufferFull) as error:
                account.problems.append(f"batch {number} of tag {tag!r} is not accepted: {error!r}")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
                account.problems.append(f"batch {number} of tag {tag!r} is refused: {error!r}")
            else:
                receipt.release()


def _all_read(running: Pipeline, root: Path) -> bool:
    """Return whether every file is known and read to its end."""
    accounts = [each for stage in running.graph.stages.inputs for each in stage.plugin.accounts()]
    size = sum(path.stat().st_size for name in ("in", "witness") for path in (root / name).iterdir())
    return sum(each.written for each in accounts) >= size and not any(each.waiting for each in accounts)


def _all_delivered(running: Pipeline) -> bool:
    """Queue what is staged and return whether nothing is; what fails on the way comes in again by another route."""
    running.graph.flush()
    graph = running.graph
    return not graph.world.dead_letters.waiting and all(outlet.staging.size == 0 for outlet in graph.outlets)


def _flat(group: BaseExceptionGroup[Any]) -> str:
    return "; ".join(
        _flat(each) if isinstance(each, BaseExceptionGroup) else f"{type(each).__name__}: {each}"
        for each in group.exceptions
    )


class _Errors(logging.Handler):
    """Takes note of what is logged with a traceback: nobody expected it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.problems: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of an error with a traceback."""
        if record.exc_info and record.exc_info[1] is not None:
            self.problems.append(f"traceback in the log: {record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def _stdout() -> Iterator[io.BytesIO]:
    kept, sys.stdout = sys.stdout, io.TextIOWrapper(buffer := io.BytesIO(), encoding="utf-8", write_through=True)
    try:
        yield buffer
    finally:
        sys.stdout.flush()
        sys.stdout, wrapper = kept, sys.stdout
        wrapper.detach()  # type: ignore[union-attr]


def clean(root: Path) -> None:
    """Remove what a case has left."""
    shutil.rmtree(root, ignore_errors=True)
