"""Links on which events are lost, doubled or invented: the ledger says between which two, and how many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from logpipe import (
    EventBatch,
    Filter,
    Input,
    Options,
    Output,
    PluginConf,
    Record,
    Time,
    plugin_section,
)
from logpipe.builtin.out_routing import Copy
from logpipe.engine.accounting import UNNAMED, Edge
from logpipe.engine.building.outlets import DirectOutlet, PassingOutlet
from logpipe.engine.dead_letters.queue import DeadLetterQueue
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.engine.routing.router import Router
from logpipe.testing import pipeline
from tests.engine.planted import FAULTS, NINE, OWN_LOG, Written, gaps, planted, some


class FaultyCopy(Copy, type="faulty_copy"):
    """A copy whose copies are not what it was given."""

    how = "loses"

    def __init__(self, options: Any, host: Any) -> None:
        super().__init__(options, host)
        self._copied = lambda batch: planted(batch, self.how)


class FanOptions(Options):
    """Settings of a fan."""

    store: list[PluginConf] = plugin_section("Where events go.", kind="output", many=True)


class Fan(Output[FanOptions], type="fan"):
    """Gives some events to its store, and says nothing of the others."""

    def __init__(self, options: FanOptions, host: Any) -> None:
        super().__init__(options, host)
        self._outlet = host.outlet(options.store[0])

    async def process(self, batch: EventBatch) -> None:
        await self._outlet.process(some(batch, [0, 1]))


class Again(Output[Options], type="again"):
    """Emits some events, and says nothing of the others."""

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(some(batch, [0, 1]))


class Parting(Output[Options], type="parting"):
    """Emits six of nine, drops two, cannot handle one; it takes others meanwhile."""

    passes_to = "route"
    fails = False

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(some(batch, [0, 1, 2, 3, 4, 5]))
        await asyncio.sleep(0)
        if self.fails:
            raise RuntimeError("too early")
        self.host.dropped(2)
        self.host.emit_error(batch.tag, 0, batch.records[8], ValueError("it is the last"))


class Once(Input[Options], type="once"):
    """Emits nine events."""

    async def run(self) -> None:
        await self.host.emit(EventBatch("a", [0] * 9, [{"n": n} for n in range(9)]))


class Never(Filter[Options], type="never"):
    """Takes no event."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        raise ValueError(f"{tag} at {time}: {record}")


PLUGINS = (Written, FaultyCopy, Fan, Again, Parting, Once, Never)


LINKS = f"""{OWN_LOG}
<source>
  @type once
  @id i
  @label @A
</source>
<label @A>
  <filter a>
    @type grep
    @id g
  </filter>
  <match a>
    @type relabel
    @id r
    @label @B
  </match>
</label>
<label @B>
  <match a>
    @type written
    @id w
  </match>
</label>
"""

ERRORS = f"""{OWN_LOG}
<filter a>
  @type never
  @id n
</filter>
<label @ERROR>
  <match a>
    @type test
    @id e
  </match>
</label>
"""


@pytest.mark.parametrize(
    ("taker", "link"),
    [
        (Router, "input i and route @A"),
        (PassingOutlet, "filter g and output r"),
        (Router, "output r and route @B"),
        (BufferedOutlet, "route @B and output w"),
    ],
)
async def test_a_link_that_loses(taker: type[Any], link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens between two stages is told by their counts, though each by itself adds up."""
    _lose_on(link, taker, monkeypatch)
    async with pipeline(LINKS, *PLUGINS, expect_gaps=True) as running:
        await running.wait_for(lambda: running.metric("taken_records") >= 6 * 3, "the events to come to the end")
    assert gaps(running) == [f"lost between {link}: 3"]


@pytest.mark.parametrize(
    ("taker", "link"), [(Router, "errors and route @ERROR"), (DirectOutlet, "route @ERROR and output e")]
)
async def test_a_link_that_loses_errors(taker: type[Any], link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds on the way to `@ERROR`."""
    _lose_on(link, taker, monkeypatch)
    async with pipeline(ERRORS, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
        await running.wait_for(running.records)
    assert gaps(running) == [f"lost between {link}: 3"]


async def test_errors_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages count their errors, and so does what takes them."""
    add = DeadLetterQueue.add

    def lossy(self: DeadLetterQueue, tag: str, time: Time, record: Record, *rest: Any, **more: Any) -> None:
        if record["n"] < 6:
            add(self, tag, time, record, *rest, **more)

    monkeypatch.setattr(DeadLetterQueue, "add", lossy)
    async with pipeline(ERRORS, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
        await running.wait_for(running.records)
    assert gaps(running) == ["lost between stages and errors: 3"]


async def test_errors_that_are_put_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken and is neither in `@ERROR` nor in a file nor waiting is missed."""

    async def forget(self: DeadLetterQueue, letters: list[Any]) -> None:
        self._arrived_safely(letters)

    monkeypatch.setattr(DeadLetterQueue, "_file", forget)
    text = f"{OWN_LOG}<filter a>\n@type never\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
    assert gaps(running) == ["lost among errors: 9"]


def _lose_on(link: str, taker: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have three of nine events go where a link ends, and before its taker has counted them."""
    name = "emit" if taker is Router else "process"
    take = getattr(taker, name)

    async def lossy(self: Any, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        await take(self, planted(batch, "loses") if f"{edge.giver} and {edge.taker}" == link else batch, edge)

    monkeypatch.setattr(taker, name, lossy)


@pytest.mark.parametrize(("how", "said"), FAULTS)
async def test_a_copy_whose_store_gets_others(how: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link to the store is named: the other one got the original."""
    monkeypatch.setattr(FaultyCopy, "how", how)
    one, two = (f"@type test\n@id {name}\nname {name}\n</store>\n" for name in ("one", "two"))
    stores = f"<store>\n{one}<store ignore_error>\n{two}"  # where its failures are ignored, the last gets the original
    text = f"{OWN_LOG}<match a>\n@type faulty_copy\n@id c\n{stores}</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
    assert gaps(running) == [said.format("between output c and output one")]
    assert len(running.records(name="two")) == 9


@pytest.mark.parametrize(
    ("passes_to", "section", "expected"),
    [
        ("", "fan", []),
        ("store", "fan", ["lost in output f: 7"]),
        ("stores", "fan", ["lost between output f and output s: 7"]),
        ("", "again", []),
        ("route", "again", ["lost in output f: 7"]),
    ],
)
async def test_an_output_that_says_that_it_passes_on_all(
    passes_to: str, section: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of nine is too few then; of one that does not say so, nothing is expected."""
    monkeypatch.setattr(Fan, "passes_to", passes_to)
    monkeypatch.setattr(Again, "passes_to", passes_to)
    store = "<store>\n@type test\n@id s\n</store>\n" if section == "fan" else "@label @B\n"
    end = "<label @B>\n<match a>\n@type test\n</match>\n</label>\n"
    text = f"{OWN_LOG}<match a>\n@type {section}\n@id f\n{store}</match>\n{end}"
    async with pipeline(text, *PLUGINS, expect_gaps=bool(expected)) as running:
        await running.feed("a", *NINE)
    assert (gaps(running) if expected else running.graph.ledger().gaps()) == expected


async def test_what_is_dropped_or_an_error_is_not_lost() -> None:
    """An output says so, whatever others pass on meanwhile, or behind it."""
    text = f"{OWN_LOG}<match a>\n@type parting\n@id p\n@label @B\n</match>\n"
    text += "<label @B>\n<match a>\n@type relabel\n@label @C\n</match>\n</label>\n"
    text += "<label @C>\n<match a>\n@type again\n@label @D\n</match>\n</label>\n"
    text += "<label @D>\n<match a>\n@type test\n</match>\n</label>\n"
    async with pipeline(text, *PLUGINS) as running:
        await asyncio.gather(*(running.feed("a", *NINE) for _ in range(3)))
    (line,) = [line for line in running.graph.ledger().outputs if line.plugin_id == "p"]
    assert (line.taken, line.dropped, line.errors, line.delivered, line.unexplained) == (27, 6, 3, 18, 0)


async def test_what_went_out_before_an_exception_is_not_compared() -> None:
    """Its input makes all of the batch again."""
    text = f"{OWN_LOG}<match a>\n@type parting\n@label @B\n</match>\n"
    text += "<label @B>\n<match a>\n@type test\n@id b\n</match>\n</label>\n"
    async with pipeline(text, *PLUGINS) as running:
        running.plugin(Parting).fails = True
        with pytest.raises(RuntimeError, match="too early"):
            await running.feed("a", *NINE)
        assert len(running.records()) == 6


async def test_an_output_that_emits_without_a_word() -> None:
    """Its class is asked to say so, once: nothing was expected of it until then."""
    end = "<label @B>\n<match a>\n@type test\n</match>\n</label>\n"
    text = f"{OWN_LOG}<match a>\n@type again\n@label @B\n</match>\n{end}"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
        await running.feed("a", *NINE)
    assert [text[:55] for text in running.log.texts("warning")] == [
        "it emits events, and its class does not say so: write p"
    ]
