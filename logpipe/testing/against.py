"""What every output promises of a peer in a mood, as assertions."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from logpipe.event import Receipt, Record
from logpipe.plugin import Output
from logpipe.testing.clock import DEADLINE, wait_for
from logpipe.testing.moods import Mood, Peer
from logpipe.testing.pipeline import Pipeline, pipeline

SHUTDOWN_SECONDS: Final = 1
STOP_SECONDS: Final = 15.0
"""Within which it stops: the engine's `shutdown_timeout` and ten seconds for closing, and some for a busy machine."""
GONE_SECONDS: Final = 10.0
BATCHES: Final = 10
EVENT_BYTES: Final = 10_000
_PAUSE: Final = 0.01
_STANDSTILL: Final = 50
"""Pauses without an event taken, after which an output counts as full."""
_GOES_ON: Final = frozenset({Mood.SLOW, Mood.REFUSING_ONE})
"""Moods in which what can be delivered is."""
_firsts: Final = itertools.count(0, 1_000_000)
_NUMBER: Final = re.compile(r"""["']n["']: ?(\d+)""")


async def check_output_against_peer(
    cls: type[Output[Any]],
    conf: str,
    peer: Peer,
    mood: Mood,
    *,
    marked: Mapping[str, Any] | None = None,
    most_bytes: int = 8 * 1024 * 1024,
    seconds: float = DEADLINE,
) -> None:
    """Assert what every output promises while its peer is in a mood and after it.

    Nothing is lost: an event whose receipt has settled is with the peer, or is a dead letter or an error event; any
    other the input reads again. When the peer is well again all receipts settle, without a restart; in the moods SLOW
    and REFUSING_ONE they do meanwhile, and only the marked event is refused. What waits is bounded. With as much as it
    takes waiting, and the peer in its mood, the output stops within its time and leaves no task.

    Args:
        cls: the output.
        conf: the body of its section. With a buffer: retries soon (`retry_wait 0.1`), and a `total_limit_size` below
            `most_bytes`.
        peer: it is well at first, and at the end. Events have other numbers in each call.
        mood: one of the peer's.
        marked: the fields that make an event one that the peer refuses in the mood REFUSING_ONE.
        most_bytes: how much the output may hold, as JSON; its default is far above any need.
        seconds: how long to wait for what it promises; its deadlines must be shorter.
    """
    trial = _Trial(cls, conf, peer, mood, seconds)
    await trial.recover(marked or {"refuse": True})
    if mood is not Mood.REFUSING_ONE:  # in which it has delivered
        await trial.stop(most_bytes)


async def check_output_over_reload(cls: type[Output[Any]], conf: str, peer: Peer, *, seconds: float = DEADLINE) -> None:
    """Assert what every output promises of a peer that is away when it starts, and again while a reload is under way.

    It starts all the same. When the peer is there all receipts settle, without a restart. What the old graph could not
    deliver, since the peer has gone, its input reads again: it is delivered by the new one, and nothing is given up.

    Args:
        cls: the output.
        conf: the body of its section, as for `check_output_against_peer`.
        peer: it is well at first, and at the end. Events have other numbers in each call.
        seconds: how long to wait for what it promises; its deadlines must be shorter.
    """
    trial = _Trial(cls, conf, peer, Mood.DOWN, seconds)
    await trial.reload()


class _Feeder:
    """Feeds events as an input would: what is not accepted comes again."""

    def __init__(self, stage: Pipeline) -> None:
        self.stage = stage
        self.fed: set[int] = set()
        self.settled: set[int] = set()
        self.is_refused = False
        """Whether the last batch was, until it was accepted."""

    async def feed(self, numbers: Iterable[int], more: Mapping[str, Any]) -> None:
        """Feed one batch until it is accepted."""
        batch = list(numbers)
        while True:
            receipt = Receipt(lambda: self.settled.update(batch))
            records: list[Record] = [{"n": n, **more} for n in batch]
            try:
                await self.stage.feed("app", *records, receipt=receipt)
            except Exception:  # noqa: BLE001 - whatever it is, an input reads them again
                self.is_refused = True
                await asyncio.sleep(_PAUSE)
                continue
            self.is_refused = False
            self.fed.update(batch)
            receipt.release()
            return


class _Trial:
    """One output with its peer in one mood."""

    def __init__(self, cls: type[Output[Any]], conf: str, peer: Peer, mood: Mood, seconds: float) -> None:
        self._cls = cls
        self._conf = conf
        self._peer = peer
        self._mood = mood
        self._seconds = seconds
        self._name = f"{cls.__name__} with a peer that is {mood.value}"

    async def recover(self, marked: Mapping[str, Any]) -> None:
        """Assert that nothing is lost of what comes meanwhile, and all of it is delivered in the end."""
        peer, name, first = self._peer, self._name, next(_firsts)
        refused = first + 4
        async with self._running() as (stage, feeder):
            await self._begin(feeder, first)
            met, said = peer.met, len(stage.log.texts("warning"))
            await peer.become(self._mood)
            async with asyncio.TaskGroup() as group:
                fields = {refused: marked} if self._mood is Mood.REFUSING_ONE else {}
                feeding = group.create_task(_feed_some(feeder, range(first + 1, first + BATCHES), fields))
                await self._wait(
                    lambda: peer.met > met or len(stage.log.texts("warning")) > said or feeder.is_refused,
                    f"{name} to meet with it",
                )
                if self._mood not in _GOES_ON:
                    await peer.become(Mood.WELL)
                await self._wait(feeding.done, f"{name} to take events")
            await self._wait(lambda: feeder.settled >= feeder.fed, f"{name} to settle all receipts")
        await peer.become(Mood.WELL)
        received, given_up = {*await peer.received()}, _given_up(stage)
        lost = feeder.fed - received - given_up
        assert not lost, f"{name} has lost {len(lost)} events: their receipts have settled"
        missing = feeder.fed - received
        if self._mood is Mood.REFUSING_ONE:
            assert refused in given_up, f"{name} gives nobody the event that is refused"
            assert missing <= {refused}, f"{name} gives {len(missing)} events up: one is refused"
        elif self._mood is not Mood.REFUSING_ALL:
            assert not missing, f"{name} gives {len(missing)} events up: that passes"

    async def stop(self, most_bytes: int) -> None:
        """Assert that what waits is bounded, and that it stops all the same."""
        peer, name, first = self._peer, self._name, next(_firsts)
        tasks = asyncio.all_tasks()
        async with self._running() as (stage, feeder):
            await self._begin(feeder, first)
            await peer.become(self._mood)
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(_feed_much(feeder, first + 1, most_bytes))
                await _until_full(feeder, feeding)
                feeding.cancel()
            waiting = len(feeder.fed - feeder.settled) * EVENT_BYTES
            assert waiting <= most_bytes, f"{name} holds {waiting} bytes and takes more: {most_bytes} are the most"
            began = time.monotonic()
        took = time.monotonic() - began
        assert took <= STOP_SECONDS, f"{name} takes {took:.1f} s to stop: {STOP_SECONDS:.0f} s are the most"
        slow = [text for text in stage.log.texts("error") if text.startswith("unexpected error while stopping")]
        assert not slow, f"{name} does not stop: {slow[0]}"
        # the peer's own end when its connections do
        await wait_for(lambda: asyncio.all_tasks() <= tasks, f"{name} to leave no task", seconds=GONE_SECONDS)
        await peer.become(Mood.WELL)
        lost = feeder.settled - {*await peer.received()} - _given_up(stage)
        assert not lost, f"{name} has lost {len(lost)} events: their receipts have settled, and it has stopped"

    async def reload(self) -> None:
        """Assert that it starts without its peer, and that a reload without it loses nothing."""
        peer, name, first = self._peer, f"{self._cls.__name__} with a peer that is away", next(_firsts)
        await peer.become(Mood.DOWN)
        async with self._running() as (old, feeder):
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(_feed_some(feeder, range(first, first + BATCHES), {}))
                await self._wait(
                    lambda: feeding.done() or old.log.texts("warning") or feeder.is_refused,
                    f"{name} at the start to take events or to say why not",
                )
                await peer.become(Mood.WELL)
                await self._wait(feeding.done, f"{name} at the start to take events")
            await self._wait(lambda: feeder.settled >= feeder.fed, f"{name} at the start to settle all receipts")
            await peer.become(Mood.DOWN)
            late = range(first + BATCHES, first + 2 * BATCHES)
            feeding = asyncio.create_task(_feed_some(feeder, late, {}))  # noqa: TID251 - a test's own
            await self._wait(
                lambda: feeding.done() or feeder.is_refused, f"{name} while it reloads to take events or refuse them"
            )
            feeding.cancel()
        await peer.become(Mood.WELL)
        lost = feeder.settled - {*await peer.received()} - _given_up(old)
        assert not lost, f"{name} has lost {len(lost)} events: their receipts have settled"
        missing = {*range(first, late.stop)} - feeder.settled
        async with self._running(after=old) as (new, again):
            await again.feed(sorted(missing), {})
            await self._wait(lambda: again.settled >= again.fed, f"{name} after a reload to settle all receipts")
        given_up = _given_up(old) | _given_up(new)
        assert not given_up, f"{name} gives {len(given_up)} events up: that passes"
        lost = {*range(first, late.stop)} - {*await peer.received()}
        assert not lost, f"{name} has lost {len(lost)} events in a reload: their receipts have settled"

    @asynccontextmanager
    async def _running(self, after: Pipeline | None = None) -> AsyncIterator[tuple[Pipeline, _Feeder]]:
        own_log = "<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n</label>\n"
        system = f"<system>\nshutdown_timeout {SHUTDOWN_SECONDS}\n</system>\n"
        match = f"<match **>\n@type {self._cls.types[0]}\n{self._conf}\n</match>\n"
        try:
            async with pipeline(f"{system}{own_log}{match}", self._cls, after=after) as stage:
                yield stage, _Feeder(stage)
        except ExceptionGroup as group:
            raise _first(group) from group

    async def _begin(self, feeder: _Feeder, number: int) -> None:
        await feeder.feed([number], {})
        await self._wait(lambda: feeder.settled, f"{self._cls.__name__} to deliver to a peer that is well")

    async def _wait(self, condition: Callable[[], object], what: str) -> None:
        await wait_for(condition, what, seconds=self._seconds)


def _first(error: Exception) -> Exception:
    """Return the first exception of a group, which says what the others follow from."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


async def _feed_some(feeder: _Feeder, numbers: Iterable[int], fields: Mapping[int, Mapping[str, Any]]) -> None:
    for n in numbers:
        await feeder.feed([n], fields.get(n, {}))


async def _feed_much(feeder: _Feeder, first: int, most_bytes: int) -> None:
    """Feed twice as much as may wait."""
    for n in range(first, first + 2 * most_bytes // EVENT_BYTES, 20):
        await feeder.feed(range(n, n + 20), {"text": "x" * EVENT_BYTES})


async def _until_full(feeder: _Feeder, feeding: asyncio.Task[None]) -> None:
    """Wait until the output has taken all, refuses more, or takes none for a while; or many have been delivered."""
    still, taken, end = 0, 0, time.monotonic() + DEADLINE
    while not feeding.done() and not feeder.is_refused and still < _STANDSTILL and time.monotonic() < end:
        await asyncio.sleep(_PAUSE)
        still = still + 1 if len(feeder.fed) == taken else 0
        taken = len(feeder.fed)


def _given_up(stage: Pipeline) -> set[int]:
    """Return the numbers of dead letters and of error events."""
    texts = [repr(record) for _, _, record, _ in stage.errors]
    texts += [
        repr(letter.record) if letter.payload is None else repr(letter.payload) for letter in stage.dead_letters()
    ]
    return {int(found[1]) for text in texts for found in _NUMBER.finditer(text)}
