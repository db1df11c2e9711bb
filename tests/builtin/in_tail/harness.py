"""A tail input on a host whose outputs do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from logpipe import BufferFull, EventBatch, Receipt, Record
from logpipe.builtin.in_tail import Tail
from logpipe.builtin.position_file import PositionFile, decode
from logpipe.monitor import SourceAccount
from logpipe.testing import FakeHost, LogCapture, ManualClock, build, settle, wait_for
from tests.services.waiting import slowness


def append(path: Path, text: str | bytes) -> None:
    """Write at the end of a file."""
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def rotate(log: Path, *names: str) -> None:
    """Rename a file and those that were it before, the oldest last."""
    for old, new in reversed(list(zip((log.name, *names), names, strict=False))):
        if (path := log.with_name(old)).exists():
            path.rename(log.with_name(new))


async def settled(run: Running) -> None:
    """Let everything happen that would happen: rounds, and a search."""
    for _ in range(150):
        await run.advance(0.5)
        await asyncio.sleep(0.002)


def _size(record: Record) -> int:
    """Return the bytes of the line that `@type none` made a record of."""
    return len(str(record.get("message")).encode("utf-8", "surrogatepass")) + 1


class ScriptedHost(FakeHost):
    """Accepts, refuses or keeps waiting what it is sent; receipts are released at once or kept."""

    def __init__(self) -> None:
        super().__init__(clock=ManualClock())
        self.capture = LogCapture()
        self.log = self.capture.logger("logpipe_test.tail")
        self.refusals = 0
        self.attempts = 0
        self.stuck: set[str] = set()
        """Tags whose batches wait until the end."""
        self.accepted_bytes = 0
        """Bytes of the lines that were accepted, their ends counted."""
        self.keep_receipts = False
        self.kept: list[Receipt] = []

    async def emit(self, batch: EventBatch) -> None:
        self.attempts += 1
        if batch.tag in self.stuck:
            await asyncio.get_running_loop().create_future()
        if self.refusals:
            self.refusals -= 1
            batch.records.clear()  # as a filter may have done before an output refused
            raise BufferFull("no room")
        assert batch.receipt is not None
        if self.keep_receipts:
            batch.receipt.hold()
            self.kept.append(batch.receipt)
        self.emitted.append(batch)
        self.counter("emitted_records", "As the engine's host counts them.").add(len(batch.records))
        self.accepted_bytes += sum(_size(record) for record in batch.records)

    def settle(self, count: int | None = None) -> None:
        """Release kept receipts, oldest first."""
        for receipt in self.kept[:count]:
            receipt.release()
        del self.kept[:count]

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.emitted for record in batch.records]

    @property
    def lines(self) -> list[str]:
        return [record["message"] for record in self.records]

    def lines_of(self, tag: str) -> list[str]:
        return [record["message"] for batch in self.emitted if batch.tag == tag for record in batch.records]

    def metric(self, name: str) -> float:
        counter = self.metrics.counters.get(name)
        return self.metrics.gauges[name]() if counter is None else counter.value


class Running:
    """A tail input at work."""

    def __init__(self, tail: Tail, host: ScriptedHost, task: asyncio.Task[None]) -> None:
        self.tail = tail
        self.host = host
        self.task = task
        self.killed = False

    async def lines(self, count: int) -> list[str]:
        """Wait for that many lines, and return all that came."""
        await self.until(lambda: len(self.host.lines) >= count, f"{count} lines, there are {self.host.lines}")
        return self.host.lines

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait without moving the clock: what is waited for must come of events alone."""
        await wait_for(lambda: self.balanced() and condition(), what, seconds=60)

    async def until_all(self, count: Callable[[], float], total: int, what: str) -> None:
        """Wait for a count to come to its total, however long that takes: only one that stands still is an error."""
        while (before := count()) < total:
            await wait_for(lambda: count() != before, f"more than {before} of {total} {what}", seconds=60)
        assert count() == total

    async def tick_until(self, condition: Callable[[], object], what: str = "", *, step: float = 0.5) -> None:
        """Move the clock on until something is so."""
        for turn in range(800):
            if self.balanced() and condition():
                return
            await self.advance(step)
            # threads take real time, on a busy machine more: what waits for them must not be overtaken by the clock
            await asyncio.sleep((0.004 if turn < 400 else 0.05) * slowness())
        assert condition(), f"800 turns of the clock, and still no {what or condition}"

    async def advance(self, seconds: float) -> None:
        clock = self.host.clock
        assert isinstance(clock, ManualClock)
        await settle()  # who is about to sleep does so before the clock moves
        await clock.advance(seconds)

    async def idle(self) -> None:
        """Wait until everything that is there was read."""
        await self.until(self.is_idle)

    def held(self) -> int:
        """Return how many bytes wait, of events of several lines."""
        return sum(each.held for each in self.tail.registry.table.generations())

    async def idle_but_held(self) -> None:
        """Wait until everything that is there was read, and some of it waits for more."""
        table = self.tail.registry.table
        await self.until(lambda: self.held() and not any(each.pending for each in table.generations()))

    def is_idle(self) -> bool:
        """Return whether everything that is there was read."""
        return all(not each.pending and not each.behind for each in self.tail.registry.table.generations())

    def accounts(self) -> dict[str, SourceAccount]:
        """Return the books of each path."""
        accounts = list(self.tail.accounts())
        assert len({each.name for each in accounts}) == len(accounts)
        return {each.name: each for each in accounts}

    def balanced(self) -> bool:
        """Check the books of every path, and that nothing is kept of what it has let go: at any time."""
        assert [each for each in self.tail.accounts() if each.unexplained or each.waiting < 0] == []
        table = self.tail.registry.table
        kept = {*table.replaced.items(), *((each, trail) for trail, each in table.owners.values())}
        assert all(each in trail.generations for each, trail in kept)
        return True

    def saved(self) -> list[tuple[str, int, int]]:
        """Return the rows that would be written now."""
        content = b"".join(entry.rows for entry in self.tail.following.looks.entries())
        return [row[:3] for row in decode(content, lambda _: None)]

    @staticmethod
    def append(path: Path, text: str | bytes) -> None:
        """Write at the end of a file."""
        append(path, text)

    async def kill(self) -> None:
        """End as a kill -9 would: nothing is written any more."""
        self.killed = True
        self.task.cancel()
        await asyncio.wait([self.task])
        self.tail.following.watch.stop()
        self.tail._checkpoints.file.close()
        await self.tail.registry.files.close_all()


def rows(folder: Path) -> list[tuple[str, int, int]]:
    """Return what the position file holds."""
    return [row[:3] for row in PositionFile(str(folder / "state" / "tail.pos")).load().positions]


def printing(folder: Path, extra: str = "") -> Path:
    """Write a configuration that prints the lines of a folder's logs, and return where it is."""
    config = folder / "logpipe.conf"
    config.write_text(
        f"<source>\n@type tail\npath {folder}/*.log\npos_file {folder}/pos\ntag t\nread_from_head true\n{extra}\n"
        f"<parse>\n@type none\n</parse>\n</source>\n<match t>\n@type stdout\n</match>\n"
    )
    return config


def body(folder: Path, extra: str, *, path: str, parse: str, keep_positions: bool) -> str:
    """Return the body of a source that follows files in a folder."""
    pos_file = f"pos_file {folder}/state/tail.pos" if keep_positions else ""
    return f"path {folder}/{path}\n{pos_file}\ntag t.*\nread_from_head true\n{extra}\n<parse>\n{parse}\n</parse>\n"


@asynccontextmanager
async def follow(
    folder: Path,
    extra: str = "",
    *,
    path: str = "*.log",
    parse: str = "@type none",
    keep_positions: bool = True,
    host: ScriptedHost | None = None,
) -> AsyncIterator[Running]:
    """Run a tail input over a folder's log files for as long as the block lasts."""
    host = host or ScriptedHost()
    tail: Any = build(Tail, body(folder, extra, path=path, parse=parse, keep_positions=keep_positions), host=host)
    try:
        await tail.start()
        async with asyncio.TaskGroup() as group:
            running = Running(tail, host, group.create_task(tail.run()))
            yield running
            running.task.cancel()
        if not running.killed:
            await tail.stop()
        assert running.balanced()
        errors = host.capture.texts("error")
        assert not any(text.startswith("unexpected error") for text in errors), errors  # the next turn may hide them
    finally:
        tail.following.watch.stop()
        await tail.registry.files.close_all()
