"""Events whose sender waits for them: a buffer in memory does not keep it waiting for `flush_interval`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe import Chunk, EventBatch, Filter, Options, Output, Receipt, Record, Time
from logpipe.testing import ManualClock, pipeline

HOUR = "<match a>\n@type kept\n<buffer {arg}>\n{settings}\n</buffer>\n</match>\n"


class Kept(Output[Options], type="kept"):
    """Takes chunks, and says how many."""

    chunks = 0

    async def write(self, chunk: Chunk) -> None:
        self.chunks += bool(len(chunk))


class Bad(Filter[Options], type="bad"):
    """Fails on each event."""

    def filter(self, tag: str, time: Time, record: Record) -> Record:
        raise ValueError(f"bad: {tag} {time} {record}")


ROUTES = {
    "by age": HOUR.format(arg="", settings="flush_interval 1h"),
    "by time": HOUR.format(arg="time", settings="timekey 1h"),
    "through @ERROR": "<filter a>\n@type bad\n</filter>\n<label @ERROR>\n"
    + HOUR.format(arg="tag", settings="flush_interval 1h")
    + "</label>\n",
    "a store that may fail": "<match a>\n@type copy\n<store ignore_error>\n@type kept\n<buffer>\nflush_interval 1h\n"
    "</buffer>\n</store>\n</match>\n",
}


@pytest.mark.parametrize(("route", "is_awaited"), [*((route, True) for route in ROUTES), ("by age", False)])
async def test_chunks_that_somebody_waits_for_go_at_once(route: str, is_awaited: bool) -> None:  # noqa: FBT001
    """Within a second or two, by whatever way they come; others keep their time."""
    clock, settled = ManualClock(), []
    receipt = Receipt(lambda: settled.append(clock.now()), is_awaited=is_awaited)
    async with pipeline(ROUTES[route], Kept, Bad, clock=clock) as running:
        (kept,) = (outlet.output for outlet in running.graph.outlets if isinstance(outlet.output, Kept))
        await running.emit(EventBatch("a", [clock.now()], [{"k": "v"}], receipt))
        receipt.release()
        await clock.advance(3)
        assert (kept.chunks, bool(settled)) == (is_awaited, is_awaited)


async def test_a_file_is_safe_enough(tmp_path: Path) -> None:
    """Where the buffer is in files, nobody waits for the delivery."""
    clock, settled = ManualClock(), list[Any]()
    receipt = Receipt(lambda: settled.append(True), is_awaited=True)
    text = HOUR.format(arg="", settings=f"@type file\npath {tmp_path}/b\nflush_interval 1h\nflush_at_shutdown true")
    async with pipeline(text, Kept, clock=clock) as running:
        await running.emit(EventBatch("a", [clock.now()], [{"k": "v"}], receipt))
        receipt.release()
        await running.wait_for(lambda: settled)
        await clock.advance(3)
        assert running.plugin(Kept).chunks == 0


def test_events_made_of_several_are_awaited_if_one_is() -> None:
    """As where lines are joined."""
    parts = [Receipt(lambda: None), Receipt(lambda: None, is_awaited=True)]
    joint = Receipt.joint(parts)
    assert joint is not None
    assert joint.is_awaited
