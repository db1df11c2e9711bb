"""`enable_size_metrics` and `enable_input_metrics`: what is counted of each stage, and shown."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import msgpack
import pytest

from logpipe import AsyncFilter, EventBatch, Options
from logpipe.engine.sizes import size_of
from logpipe.event import LineBatch
from logpipe.testing import pipeline
from tests.builtin.in_monitor_agent.client import plugins, source

TEXT = """
<system>
{}
</system>
<source>
  @type tail
  @id in
  path {}/a.log
  tag app
  read_from_head true
  <parse>
    @type none
  </parse>
</source>
<filter app>
  @type grep
  @id picked
  <exclude>
    key message
    pattern /drop/
  </exclude>
</filter>
<filter app>
  @type slow
  @id slow
</filter>
<match app>
  @type copy
  @id out
  <store>
    @type test
    @id kept
  </store>
</match>
"""
OF_ONE = len(msgpack.packb([msgpack.ExtType(0, b"8 bytes."), {"message": "keep"}]))
ALL = {"in", "picked", "slow", "out", "kept"}


class Slow(AsyncFilter[Options], type="slow"):
    """Waits, and takes a field away."""

    async def process(self, batch: EventBatch) -> EventBatch:
        """Take it."""
        for record in batch.records:
            record.clear()
        return batch


async def shown(folder: Path, system: str) -> dict[str, tuple[Any, Any]]:
    """Return the sizes and the numbers of events of all stages, after two lines of which one is dropped."""
    (folder / "a.log").write_text("keep\ndrop\n")
    async with pipeline(source() + TEXT.format(system, folder), Slow) as running:
        await running.wait_for(lambda: len(running.records()) == 1)
        found = await plugins(running)
        assert found.keys() == {*ALL, "monitor"}
        return {name: (found[name]["emit_size"], found[name]["emit_records"]) for name in ALL}


async def test_bytes_of_each_stage(tmp_path: Path) -> None:
    """As MessagePack with a time: what an input sent and a filter left, and what came to an output."""
    found = await shown(tmp_path, "enable_size_metrics true")
    rest = OF_ONE - len(msgpack.packb({"message": "keep"})) + len(msgpack.packb({}))
    assert found == {
        "in": (2 * OF_ONE, 2),
        "picked": (OF_ONE, 1),
        "slow": (rest, 1),
        "out": (rest, 1),
        "kept": (rest, 1),
    }


async def test_no_bytes_are_counted_unless_it_is_said(tmp_path: Path) -> None:
    """As in Fluentd."""
    found = await shown(tmp_path, "enable_size_metrics false")
    assert {size for size, _ in found.values()} == {0}
    assert found["in"] == (0, 2)


async def test_inputs_that_are_not_counted(tmp_path: Path) -> None:
    """`enable_input_metrics false` hides the numbers of inputs alone; the ledger adds up all the same."""
    found = await shown(tmp_path, "enable_size_metrics true\nenable_input_metrics false")
    assert found["in"] == (0, 0)
    assert found["picked"] == (OF_ONE, 1)


def test_packed_events_are_measured_unread() -> None:
    """Nothing is decoded for their size."""
    record = msgpack.packb({"message": "keep"})
    block = b"...." + record + record
    spans = array("I", (4, 4 + len(record), 4 + len(record), len(block)))
    batch = LineBatch("a", [1, 2], block, spans, form="msgpack")
    assert (size_of(batch), batch.is_unread) == (2 * OF_ONE, True)


@pytest.mark.parametrize("value", [1 << 70, "\udcff", b"\xff", object()])
def test_whatever_a_record_holds_has_a_size(value: object) -> None:
    """Also what MessagePack has no form for."""
    assert size_of(EventBatch("a", [1], [{"a": value}])) > 11


async def test_dead_letters_find_the_buffer_itself(tmp_path: Path) -> None:
    """Encoded payloads are replayed into it, past what counts."""
    out = f"<match a>\n@type file\n@id out\npath {tmp_path}/out\n</match>\n"
    async with pipeline(f"<system>\nenable_size_metrics true\n</system>\n{out}") as running:
        assert running.graph.outlets_by_id["out"] is running.graph.outlets[0]
        await running.feed("a", {"message": "keep"})
        (stage,) = running.graph.stages.outputs
        assert stage.host.sizes is not None
        assert stage.host.sizes.value == OF_ONE
