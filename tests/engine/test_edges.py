"""Stages that lose, double or invent events: the ledger says between which two, and how many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe import (
    AsyncFilter,
    Chunk,
    ChunkKey,
    EventBatch,
    Filter,
    Input,
    Options,
    Output,
    PluginConf,
    Record,
    Time,
    param,
    plugin_section,
)
from logpipe.builtin.buffers.file.buffer import FileBuffer
from logpipe.builtin.buffers.memory import MemoryBuffer, MemoryChunk
from logpipe.builtin.out_routing import Copy
from logpipe.engine import outlets
from logpipe.engine.dead_letters import DeadLetterQueue
from logpipe.engine.delivery import BufferedOutlet
from logpipe.engine.edges import UNNAMED, Edge
from logpipe.engine.outlets import DirectOutlet
from logpipe.engine.router import Router
from logpipe.testing import Pipeline, check_plugin, pipeline

OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n</label>\n"
NINE = [{"n": n} for n in range(9)]


def some(batch: EventBatch, numbers: list[int]) -> EventBatch:
    """Return a batch of the events of these numbers, made by hand."""
    return EventBatch(
        batch.tag, [batch.times[n] for n in numbers], [dict(batch.records[n]) for n in numbers], batch.receipt
    )


def planted(batch: EventBatch, how: str) -> EventBatch:
    """Return a batch of nine as a stage would that loses three, doubles two, or adds one."""
    numbers = {"loses": [0, 1, 2, 3, 4, 5], "doubles": [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8], "invents": [*range(9)]}[how]
    out = some(batch, numbers if len(batch) == 9 else [*range(len(batch))])
    if how == "invents" and len(batch) == 9:
        out.times.append(0)
        out.records.append({"n": 99})
    return out


class HowOptions(Options):
    """Settings of the stages below."""

    how: str = param("What it does.")


class Faulty(Filter[HowOptions], type="faulty"):
    """Does it in `process`."""

    def process(self, batch: EventBatch) -> EventBatch:
        return planted(batch, self.options.how)


class FaultyAsync(AsyncFilter[HowOptions], type="faulty_async"):
    """Does it in a `process` that may wait."""

    async def process(self, batch: EventBatch) -> EventBatch:
        return planted(batch, self.options.how)


class Honest(Filter[HowOptions], type="honest"):
    """Does the same, and says so."""

    def process(self, batch: EventBatch) -> EventBatch:
        out = planted(batch, self.options.how)
        if len(out) < len(batch):
            self.host.dropped(len(batch) - len(out))
        else:
            self.host.made(len(out) - len(batch))
        return out


class Odd(Filter[Options], type="odd"):
    """Keeps by a mask what is even, but for 3, which is an error."""

    def process(self, batch: EventBatch) -> EventBatch:
        for time, record in batch.events():
            if record["n"] == 3:
                self.host.emit_error(batch.tag, time, record, ValueError("three"), receipt=batch.receipt)
        return batch.keep([record["n"] % 2 == 0 for record in batch.records], errors=1)


class Raising(Filter[Options], type="raising"):
    """Speaks for some events before it fails on their batch."""

    def process(self, batch: EventBatch) -> EventBatch:
        batch.keep([record["n"] < 7 for record in batch.records])
        self.host.dropped(1)
        self.host.emit_error(batch.tag, 0, dict(batch.records[0]), ValueError("the first"))
        raise RuntimeError("and all the others")


class RaisingAsync(AsyncFilter[Options], type="raising_async"):
    """Keeps some events before it fails on their batch."""

    async def process(self, batch: EventBatch) -> EventBatch:
        batch.keep([record["n"] < 7 for record in batch.records])
        raise RuntimeError("all")


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


class FaultyChunk(MemoryChunk):
    """A chunk that does not keep what it is given."""

    how = "loses"

    def append(self, batch: EventBatch, payloads: list[bytes] | None, size: int) -> None:
        super().append(planted(batch, self.how), payloads, size)


class Once(Input[Options], type="once"):
    """Emits nine events."""

    async def run(self) -> None:
        await self.host.emit(EventBatch("a", [0] * 9, [{"n": n} for n in range(9)]))


class Never(Filter[Options], type="never"):
    """Takes no event."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        raise ValueError(f"{tag} at {time}: {record}")


class Written(Output[Options], type="written"):
    """Takes chunks."""

    async def write(self, chunk: Chunk) -> None:
        for batch in chunk.batches():
            assert len(batch)


class Down(Output[Options], type="down"):
    """Takes no chunks."""

    async def write(self, chunk: Chunk) -> None:
        raise OSError(f"{len(chunk)} events cannot be sent")


PLUGINS = (Once, Never, Faulty, FaultyAsync, Honest, Odd, Raising, RaisingAsync, FaultyCopy, Fan, Written, Down)

FAULTS = [("loses", "lost {}: 3"), ("doubles", "made {}: 2"), ("invents", "made {}: 1")]
"""What is planted, and what the ledger says, but for the place."""


def gaps(running: Pipeline) -> list[str]:
    """Return what the ledger says is missing or too much; the warning of the log says the same."""
    ledger = running.graph.ledger()
    found = ledger.gaps()
    assert ledger.document()["gaps"] == found
    said = [text for level, text in running.log.messages if level == "warning" and "does not add up" in text]
    assert said == [f"the ledger does not add up: {'; '.join(found)}: please report it with the lines above"]
    assert ledger.unexplained != 0
    return found


@pytest.mark.parametrize("kind", ["faulty", "faulty_async"])
@pytest.mark.parametrize(("how", "said"), FAULTS)
async def test_a_filter_that_returns_others_than_it_was_given(kind: str, how: str, said: str) -> None:
    """It is named, with the number, and what else happens in the route is still told apart."""
    first, second = (
        f"<filter a>\n@type {each}\n@id {name}\n{more}</filter>\n"
        for each, name, more in (
            ("grep", "g", "<exclude>\nkey n\npattern /7/\n</exclude>\n"),
            (kind, "p", f"how {how}\n"),
        )
    )
    text = f"{OWN_LOG}{second}{first}<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
    assert gaps(running) == [said.format("in filter p")]
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.filtered)["g"], dict(line.errors)["g"]) == (0 if how == "loses" else 1, 0)
    assert line.passed == len(running.records())


@pytest.mark.parametrize("how", ["loses", "doubles", "invents"])
async def test_a_filter_that_says_what_it_does(how: str) -> None:
    """It is dropped, or made, and nothing is lost."""
    text = f"{OWN_LOG}<filter a>\n@type honest\n@id p\nhow {how}\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.filtered), dict(line.lost)) == ({"p": 9 - len(running.records())}, {})


async def test_a_mask_tells_what_is_dropped() -> None:
    """`keep` counts it, but for what the filter says are errors."""
    text = f"{OWN_LOG}<filter a>\n@type odd\n@id p\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.filtered), dict(line.errors), line.passed) == ({"p": 3}, {"p": 1}, 5)


@pytest.mark.parametrize(("kind", "errors"), [("raising", 10), ("raising_async", 9)])
async def test_a_filter_that_fails_after_it_has_spoken(kind: str, errors: int) -> None:
    """All of the batch are errors, whatever it had said of some."""
    text = f"{OWN_LOG}<filter a>\n@type {kind}\n@id p\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.errors), dict(line.filtered), line.passed) == ({"p": errors}, {"p": 9 - errors}, 0)


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


@pytest.mark.parametrize(("how", "said"), FAULTS)
async def test_a_buffer_that_keeps_others(how: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its chunks hold is not what they were given, though the route has passed all of it."""
    monkeypatch.setattr(FaultyChunk, "how", how)
    monkeypatch.setattr(MemoryBuffer, "new_chunk", lambda _self, key: FaultyChunk(key))
    text = f"{OWN_LOG}<match a>\n@type written\n@id w\n</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
    assert gaps(running) == [said.format("in output w")]


async def test_a_batch_that_comes_to_its_chunks_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is divided by chunk keys and is in no part is missed."""
    monkeypatch.setattr(outlets, "compile_place", lambda *_: lambda batch, _: [(ChunkKey(), planted(batch, "loses"))])
    text = f"{OWN_LOG}<match a>\n@type written\n@id w\n</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
    assert gaps(running) == ["lost in output w: 3"]


async def test_a_buffer_that_loses_events_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """They came to the chunk, and it does not hold them any more."""
    text = f"{OWN_LOG}<match a>\n@type down\n@id w\n</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
        monkeypatch.setattr(MemoryChunk, "__len__", lambda self: self.count - 4)
    assert gaps(running) == ["lost in output w: 4"]


def waiting_in(folder: Path) -> str:
    """Return a configuration whose output is down, with a buffer in files."""
    buffer = f"<buffer>\n@type file\npath {folder}\nflush_mode immediate\nflush_at_shutdown false\n</buffer>\n"
    return f"{OWN_LOG}<match a>\n@type down\n@id w\n{buffer}</match>\n"


async def test_a_reload_that_finds_all(tmp_path: Path) -> None:
    """What the run before has left is resumed; the link says how many."""
    async with pipeline(waiting_in(tmp_path), *PLUGINS) as first:
        await first.feed("a", *NINE)
    async with pipeline(waiting_in(tmp_path), *PLUGINS, after=first) as second:
        await second.wait_for(lambda: second.metric("retry_count"))
    (edge,) = [edge for edge in second.graph.ledger().edges if edge.giver == "output w before"]
    assert (edge.taker, edge.given, edge.taken, edge.lost) == ("output w", 9, 9, 0)


@pytest.mark.parametrize(("change", "said"), [(-1, "lost {}: 3"), (1, "made {}: 3")])
async def test_a_reload_that_finds_others(
    tmp_path: Path, change: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that is not found again, or found twice, is told between the two runs."""
    async with pipeline(waiting_in(tmp_path), *PLUGINS) as first:
        for start in (0, 3, 6):
            await first.feed("a", *NINE[start : start + 3])
    resume = FileBuffer.resume

    async def resume_others(self: FileBuffer) -> list[Any]:
        chunks = await resume(self)
        return chunks[:-1] if change < 0 else [*chunks, self._twin(chunks[-1])]  # type: ignore[attr-defined]  # below

    def twin(self: FileBuffer, chunk: Any) -> Any:
        other = self.new_chunk(chunk.key)
        other.restore(chunk.size, len(chunk), encoded=chunk.encoded)
        return other

    monkeypatch.setattr(FileBuffer, "_twin", twin, raising=False)
    monkeypatch.setattr(FileBuffer, "resume", resume_others)
    async with pipeline(waiting_in(tmp_path), *PLUGINS, after=first, expect_gaps=True) as second:
        await second.wait_for(lambda: second.metric("retry_count"))
    assert gaps(second) == [said.format("between output w before and output w")]


@pytest.mark.parametrize(("how", "said"), [("loses", "3 of 9 events are lost in Faulty"), ("doubles", "2 events more")])
async def test_check_plugin_refuses_what_says_nothing(how: str, said: str) -> None:
    """A third party hears of it from the contract."""
    with pytest.raises(AssertionError, match=said):
        await check_plugin(Faulty, f"how {how}")
    await check_plugin(Honest, f"how {how}")
