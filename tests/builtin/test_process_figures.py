"""Figures of the process, under Fluentd's names; and the stage that is refused."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_debug_agent import DebugAgent
from logpipe.builtin.process_figures import Figures, GcStat, ObjectSpace
from logpipe.testing import ManualClock, check_plugin, configure, drive


class Thing:
    """What is counted."""


@pytest.mark.parametrize("cls", [GcStat, ObjectSpace])
async def test_keeps_the_contract(cls: type[Figures[Any]]) -> None:
    """An input like any other."""
    await check_plugin(cls, "tag t")


async def first(cls: type[Figures[Any]], conf: str = "") -> dict[str, Any]:
    """Return the first figures of an input."""
    clock = ManualClock()
    async with drive(cls, f"tag app\nemit_interval 5\n{conf}", clock=clock) as running:
        await running.wait_for(lambda: clock.sleepers)
        await clock.advance(4)
        assert running.events() == []
        await clock.advance(1)
        await running.wait_for(lambda: running.events("app"))
        assert [event.time for event in running.events("app")] == [clock.now()]
        return running.records("app")[0]


async def test_gc_stat() -> None:
    """Python's runs of its garbage collector, and blocks of memory."""
    gc.collect()
    record = await first(GcStat)
    assert record["count"] == record["minor_gc_count"] + record["major_gc_count"]
    assert record["major_gc_count"] >= 1
    assert record["heap_live_slots"] > 10_000
    assert record.keys() == {"count", "minor_gc_count", "major_gc_count", "total_freed_objects", "heap_live_slots"}


async def test_object_space() -> None:
    """The most frequent classes first, by name."""
    things = [Thing() for _ in range(30_000)]
    record = await first(ObjectSpace, "top 100000")
    assert record[f"{__name__}.Thing"] == len(things)
    assert record["dict"] > 100
    assert [*record.values()] == sorted(record.values(), reverse=True)
    assert len(await first(ObjectSpace)) == 15
    assert len(await first(ObjectSpace, "top 3")) == 3


async def test_figures_that_nobody_takes() -> None:
    """They are lost, and the next ones come."""
    clock = ManualClock()
    async with drive(GcStat, "tag app\nemit_interval 1", clock=clock) as running:
        running.collector().refuse = RuntimeError("no")
        await running.wait_for(lambda: clock.sleepers)
        await clock.advance(1)
        await running.wait_for(lambda: running.metric("lost_records") == 1)
        running.collector().refuse = None
        await clock.advance(1)
        await running.wait_for(lambda: running.events("app"))


def test_an_interval_that_is_none() -> None:
    """Is said."""
    with pytest.raises(ConfigError, match="emit_interval must be more than 0"):
        configure(GcStat, "tag t\nemit_interval 0")


def test_debug_agent_is_refused() -> None:
    """With what to use in its place, and without a word about its settings."""
    with pytest.raises(ConfigError, match="use monitor_agent") as raised:
        configure(DebugAgent, "bind 0.0.0.0\nport 24230\nunix_path /x\nobject Fluent::Engine")
    assert len(raised.value.diagnostics) == 1
