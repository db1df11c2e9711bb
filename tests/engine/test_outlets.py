"""Outlets that an output makes while the graph runs, and outputs that others stand in for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from logpipe import (
    Chunk,
    EventBatch,
    Filter,
    Input,
    InvalidSetting,
    Options,
    Outlet,
    Output,
    PluginConf,
    RetryLater,
    plugin_section,
)
from logpipe.testing import collecting, pipeline
from tests.engine.planted import NINE, OWN_LOG


class EachOptions(Options):
    """Settings of an output with an outlet for each tag."""

    store: PluginConf = plugin_section("Where events go.", kind="output")


class Each(Output[EachOptions], type="each"):
    """Makes an outlet for each tag when it comes first."""

    passes_to = "store"

    def __init__(self, options: EachOptions, host: Any) -> None:
        super().__init__(options, host)
        self._outlets: dict[str, Outlet] = {}

    async def process(self, batch: EventBatch) -> None:
        outlet = self._outlets.get(batch.tag)
        if outlet is None:
            outlet = self._outlets[batch.tag] = self.host.outlet(self.options.store)
        await outlet.process(batch)


class Kept(Output[Options], type="kept"):
    """Keeps what it is given, by its id; says when it starts and stops."""

    kept: ClassVar[dict[str, list[str]]] = {}
    problem: ClassVar[Exception | None] = None

    async def start(self) -> None:
        if self.problem is not None:
            raise self.problem
        self.kept[self.host.plugin_id] = ["started"]

    async def write(self, chunk: Chunk) -> None:
        self.kept[self.host.plugin_id] += [str(record) for batch in chunk.batches() for record in batch.records]

    async def stop(self) -> None:
        self.kept[self.host.plugin_id].append("stopped")


def each(buffer: str = "", type_: str = "kept") -> str:
    """Return a configuration of such an output."""
    store = f"<store>\n@type {type_}\n@id k\n<buffer tag>\n{buffer}flush_interval 1d\n</buffer>\n</store>\n"
    return f"{OWN_LOG}<match **>\n@type each\n@id e\n{store}</match>\n"


async def test_an_outlet_for_each_tag() -> None:
    """It starts with its first batch, is drained and stopped with all others, and has a name and a line of its own."""
    Kept.kept.clear()
    async with pipeline(each(), Each, Kept) as running:
        for tag in ("a", "b", "a"):
            await running.feed(tag, {"tag": tag})
    assert Kept.kept == {
        "k": ["started", "{'tag': 'a'}", "{'tag': 'a'}", "stopped"],
        "k_2": ["started", "{'tag': 'b'}", "stopped"],
    }
    ledger = running.graph.ledger()
    assert [(edge.taker, edge.given, edge.taken) for edge in ledger.edges if edge.giver == "output e"] == [
        ("output k", 2, 2),
        ("output k_2", 1, 1),
    ]
    assert {line.plugin_id: line.delivered for line in ledger.outputs} == {
        "k": 2,
        "k_2": 1,
        "e": 3,
        "output_test": 0,
    }


async def test_what_cannot_be_built(tmp_path: Path) -> None:
    """A second buffer in the same file's place is refused with the reason, and what was built before goes on."""
    async with pipeline(each(f"@type file\npath {tmp_path}/b\n"), Each, Kept) as running:
        await running.feed("a", *NINE)
        with pytest.raises(InvalidSetting, match="is already used by"):
            await running.feed("b", *NINE)
        await running.feed("a", *NINE)
    assert sum(line.delivered + line.waiting for line in running.graph.ledger().outputs if line.plugin_id == "k") == 18


async def test_what_cannot_start() -> None:
    """Its events are refused until it can: they stay with their source."""
    Kept.problem = ConnectionError("nobody there")
    async with pipeline(each(), Each, Kept) as running:
        with pytest.raises(RetryLater, match="nobody there"):
            await running.feed("a", {"tag": "a"})
        Kept.problem = None
        await running.feed("a", {"tag": "a"})
    assert Kept.kept["k"] == ["started", "{'tag': 'a'}", "stopped"]


async def test_an_output_that_another_stands_in_for(tmp_path: Path) -> None:
    """It is built and its settings are checked; it does not start, and its events are collected at once."""
    Kept.problem = ConnectionError("nobody there")
    text = f"{OWN_LOG}<match a>\n@type file\n@id f\npath {tmp_path}/out\n</match>\n{each().removeprefix(OWN_LOG)}"
    try:
        async with pipeline(
            text, Each, Kept, replace=lambda conf, host: collecting(host) if conf.type in {"kept", "file"} else None
        ) as running:
            await running.feed("a", *NINE)
            await running.feed("b", *NINE[1:])
            assert (running.records(name="f"), running.records(name="k")) == (NINE, NINE[1:])
    finally:
        Kept.problem = None
    assert not list(tmp_path.iterdir())


class Calls(Filter[Options], type="calls"):
    """Calls what a filter's host has not."""

    def process(self, batch: EventBatch) -> EventBatch:
        assert not hasattr(self.host, "emit")
        assert not hasattr(self.host, "outlet")
        return batch


class Looks(Input[Options], type="looks"):
    """Looks at what an input's host has not."""

    async def run(self) -> None:
        has = [name for name in ("forward", "outlet", "made", "expand") if hasattr(self.host, name)]
        await self.host.emit(EventBatch("a", [0], [{"has": has}]))


async def test_each_kind_has_a_host_of_its_own() -> None:
    """What another kind may do is not there."""
    text = f"{OWN_LOG}<source>\n@type looks\n</source>\n<filter a>\n@type calls\n</filter>\n"
    text += "<match a>\n@type test\n</match>\n"
    async with pipeline(text, Calls, Looks) as running:
        await running.wait_for(running.records)
        assert running.records() == [{"has": []}]
        assert not running.errors
