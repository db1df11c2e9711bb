"""Whose turn it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from logpipe.builtin.in_tail import schedule as schedule_module
from logpipe.builtin.in_tail.schedule import AFTER_ERROR, Schedule, Serve
from logpipe.builtin.in_tail.table import Trail
from logpipe.testing import LogCapture, ManualClock, settle

CLOCK = ManualClock()


@asynccontextmanager
async def scheduled(serve: Serve, capture: LogCapture | None = None) -> AsyncIterator[Schedule]:
    """Run a schedule for as long as the block lasts."""
    log = logging.getLogger("logpipe_test.schedule")
    log.propagate = False
    log.handlers = [capture] if capture is not None else [logging.NullHandler()]
    schedule = Schedule(serve, clock=CLOCK, log=log)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(schedule.run())
        yield schedule
        task.cancel()


def trails(names: str) -> list[Trail]:
    """Return a trail for each letter."""
    return [Trail(name, name) for name in names]


async def test_a_wake_during_a_turn_is_not_lost() -> None:
    """What happens while a file is read brings it another turn."""
    (trail,) = trails("a")
    turns = 0
    gate = asyncio.Event()

    async def serve(_: Trail) -> float | None:
        nonlocal turns
        turns += 1
        await gate.wait()
        return None

    async with scheduled(serve) as schedule:
        schedule.wake(trail)
        await settle()
        schedule.wake(trail)
        schedule.wake(trail)
        assert turns == 1
        gate.set()
        await settle()
        assert turns == 2


async def test_serving_a_last_time_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who would have to wait for those whose outputs are stuck is not served any more."""
    monkeypatch.setattr(schedule_module, "MOST_WORKERS", 2)
    monkeypatch.setattr(schedule_module, "LAST_SECONDS", 0.01)
    served = ""

    async def serve(trail: Trail) -> float | None:
        nonlocal served
        served += trail.name
        if trail.name == "c":
            await asyncio.get_running_loop().create_future()
        return None

    async with scheduled(serve) as schedule:
        await settle()
        schedule.quiesce()
        await schedule.serve_last(trails("abcdef"))
        assert served == "abcd"


async def test_nobody_is_served_once_it_is_quiet() -> None:
    """What is being served comes to the end of its turn; what waits, wakes or pauses is not served any more."""
    busy, waiting, pausing = trails("abc")
    served: list[str] = []
    gate = asyncio.Event()

    async def serve(trail: Trail) -> float | None:
        if trail is pausing and not served:
            return 5.0
        await gate.wait()
        served.append(trail.name)
        return 0.0 if len(served) < 5 else None

    async with scheduled(serve) as schedule:
        schedule.wake(pausing)
        schedule.wake(busy)
        await settle()
        schedule.quiesce()
        schedule.wake(waiting)
        gate.set()
        await CLOCK.advance(5.0)
        schedule.wake(busy)
        await settle()
        assert served == ["a"]


async def test_turns_go_round() -> None:
    """Who has more to read waits until all others had their turn."""
    waiting = {"a": 3, "b": 3, "c": 1}
    order: list[str] = []

    async def serve(trail: Trail) -> float | None:
        order.append(trail.path)
        waiting[trail.path] -= 1
        return 0.0 if waiting[trail.path] else None

    async with scheduled(serve) as schedule:
        for trail in trails("abc"):
            schedule.wake(trail)
        await settle()
    assert sorted(order[:3]) == ["a", "b", "c"]
    assert sorted(order[3:5]) == ["a", "b"]


async def test_who_waits_for_an_output_holds_up_nobody() -> None:
    """The others are served meanwhile."""
    served: list[str] = []

    async def serve(trail: Trail) -> float | None:
        if trail.path == "a":
            await asyncio.get_running_loop().create_future()
        served.append(trail.path)
        return None

    async with scheduled(serve) as schedule:
        for trail in trails("abc"):
            schedule.wake(trail)
        await settle()
        assert served == ["b", "c"]


async def test_a_pause_is_kept() -> None:
    """A wake does not cut it short, and after it there is a turn."""
    (trail,) = trails("a")
    turns = 0

    async def serve(_: Trail) -> float | None:
        nonlocal turns
        turns += 1
        return 5.0 if turns == 1 else None

    async with scheduled(serve) as schedule:
        schedule.wake(trail)
        await settle()
        schedule.wake(trail)
        await CLOCK.advance(4.9)
        assert turns == 1
        await CLOCK.advance(0.2)
        assert turns == 2


async def test_an_unexpected_error_costs_one_file_a_while() -> None:
    """It is logged with its place, tried again later, and the others go on."""
    capture = LogCapture()
    served: list[str] = []

    async def serve(trail: Trail) -> float | None:
        if trail.path == "a" and "b" not in served:
            raise RuntimeError("boom")
        served.append(trail.path)
        return None

    async with scheduled(serve, capture) as schedule:
        for trail in trails("ab"):
            schedule.wake(trail)
        await settle()
        assert served == ["b"]
        await CLOCK.advance(AFTER_ERROR)
        assert served == ["b", "a"]
    assert any("unexpected error while reading a" in text for text in capture.texts("error"))
