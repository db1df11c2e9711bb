"""Links on which events are lost, doubled or invented: the ledger says between which two, and how many."""

from __future__ import annotations

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
from logpipe.engine.dead_letters import DeadLetterQueue
from logpipe.engine.delivery import BufferedOutlet
from logpipe.engine.edges import UNNAMED, Edge
from logpipe.engine.outlets import DirectOutlet
from logpipe.engine.router import Router
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
    """An output of the old shape: it gives some events to its store and tells nobody how many."""

    def __init__(self, options: FanOptions, host: Any) -> None:
        super().__init__(options, host)
        self._outlet = host.outlet(options.store[0])

    async def process(self, batch: EventBatch) -> None:
        await self._outlet.process(some(batch, [0, 1]))


class Once(Input[Options], type="once"):
    """Emits nine events."""

    async def run(self) -> None:
        await self.host.emit(EventBatch("a", [0] * 9, [{"n": n} for n in range(9)]))


class Never(Filter[Options], type="never"):
    """Takes no event."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        raise ValueError(f"{tag} at {time}: {record}")


PLUGINS = (Written, FaultyCopy, Fan, Once, Never)


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
        (DirectOutlet, "filter g and output r"),
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


async def test_an_output_of_the_old_shape_is_not_looked_at() -> None:
    """What it does not count cannot be compared; what its store took is shown."""
    text = f"{OWN_LOG}<match a>\n@type fan\n@id f\n<store>\n@type test\n@id s\n</store>\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (edge,) = [edge for edge in running.graph.ledger().edges if edge.giver == "output f"]
    assert (edge.taker, edge.given, edge.taken, edge.lost) == ("output s", 0, 2, 0)
