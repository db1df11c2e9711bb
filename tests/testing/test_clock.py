"""A clock that the test moves: what the engine and its stages wait for comes when time has come, and not before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from logpipe import Chunk, EventBatch, Host, Input, Options, Output, Receipt
from logpipe.testing import ManualClock, pipeline

OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n</label>\n"


class Refusing(Output[Options], type="refusing"):
    """Refuses every chunk, and says when."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.at: list[float] = []

    async def write(self, chunk: Chunk) -> None:
        await self.host.in_thread(len, chunk)
        self.at.append(self.host.clock.monotonic())
        raise ConnectionError("not now")


class Late(Output[Options], type="late"):
    """Waits for a peer that never confirms."""

    delayed_commit = True

    async def write(self, chunk: Chunk) -> None:
        del chunk
        await asyncio.Event().wait()


class Stuck(Output[Options], type="stuck"):
    """Accepts nothing, and would deliver later."""

    async def process(self, batch: EventBatch) -> None:
        del batch
        await asyncio.Event().wait()

    async def flush(self) -> None:
        return


class Ticking(Input[Options], type="ticking"):
    """Emits once a minute, from a task of its own."""

    async def start(self) -> None:
        self.host.start_task(self._tick(), name="tick")

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def _tick(self) -> None:
        while True:
            await self.host.clock.sleep(60)
            await self.host.emit(EventBatch("t", [self.host.clock.now()], [{}]))


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_all_retries_in_one_step(kind: str, tmp_path: Path) -> None:
    """Each at its own time, though threads work in between."""
    buffer = f"<buffer>\n@type {kind}\npath {tmp_path}/b\nflush_mode immediate\nretry_wait 1\nretry_randomize false\n"
    clock = ManualClock()
    text = f"{OWN_LOG}<match a>\n@type refusing\n{buffer}</buffer>\n</match>\n"
    async with pipeline(
        text.replace(f"path {tmp_path}/b\n" * (kind == "memory"), ""), Refusing, clock=clock
    ) as running:
        await running.feed("a", {"n": 1})
        output = running.plugin(Refusing)
        await running.wait_for(lambda: len(output.at) == 1, "the first attempt")
        await clock.advance(1000)
        assert [round(moment) for moment in output.at] == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511]


async def test_a_commit_that_is_late() -> None:
    """It is given up when its time is over."""
    buffer = "<buffer>\nflush_mode immediate\ndelayed_commit_timeout 60\n</buffer>\n"
    text = f"<system>\nshutdown_timeout 0\n</system>\n{OWN_LOG}<match a>\n@type late\n{buffer}</match>\n"
    clock = ManualClock()
    async with pipeline(text, Late, clock=clock) as running:
        await running.feed("a", {"n": 1})
        await clock.advance(59)
        assert not running.log.texts("warning")
        await clock.advance(2)
        assert "not confirmed within delayed_commit_timeout" in running.log.texts("warning")[0]


async def test_a_store_that_takes_nothing() -> None:
    """Patience with it is the clock's."""
    stores = "<store ignore_error>\n@type stuck\n</store>\n<store>\n@type test\n</store>\n"
    text = f"{OWN_LOG}<match a>\n@type copy\n{stores}</match>\n"
    clock = ManualClock()
    async with pipeline(text, Stuck, clock=clock) as running, asyncio.TaskGroup() as group:
        group.create_task(running.feed("a", {"n": 1}, receipt=Receipt(lambda: None)))
        await clock.advance(4)
        assert not running.records()
        await clock.advance(2)
        assert running.records() == [{"n": 1}]


async def test_a_task_of_a_plugin() -> None:
    """It ticks as often as time has passed."""
    clock = ManualClock()
    text = f"{OWN_LOG}<source>\n@type ticking\n</source>\n<match t>\n@type test\n</match>\n"
    async with pipeline(text, Ticking, clock=clock) as running:
        await clock.advance(600)
        assert [event.time - 1_466_000_000_000_000_000 for event in running.events()] == [
            minute * 60_000_000_000 for minute in range(1, 11)
        ]


async def test_a_timeout() -> None:
    """It is asyncio's, by another clock."""
    clock = ManualClock()
    async with clock.timeout(None) as never, clock.timeout(5) as later:
        await clock.advance(4)
    assert not never.expired()
    assert not later.expired()
    async with asyncio.TaskGroup() as group:
        group.create_task(clock.advance(5))
        with pytest.raises(TimeoutError):
            await _for_ever(clock, 5)
    with pytest.raises(TimeoutError):
        await _for_ever(clock, 0)
    await clock.advance(10)
    assert not clock.sleepers


async def _for_ever(clock: ManualClock, seconds: float) -> None:
    async with clock.timeout(seconds):
        await asyncio.Event().wait()
