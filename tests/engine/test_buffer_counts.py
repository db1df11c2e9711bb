"""Buffers that lose, double or invent events, also from one run to the next: the ledger says which, and how many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe import (
    Chunk,
    ChunkKey,
    EventBatch,
    Options,
    Output,
    Receipt,
)
from logpipe.builtin.buffers.file.buffer import FileBuffer
from logpipe.builtin.buffers.memory import MemoryBuffer, MemoryChunk
from logpipe.engine.building import outlets
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.testing import pipeline
from tests.engine.planted import FAULTS, NINE, OWN_LOG, Written, gaps, planted


class FaultyChunk(MemoryChunk):
    """A chunk that does not keep what it is given."""

    how = "loses"

    def append(self, batch: EventBatch, payloads: list[bytes] | None, size: int) -> None:
        super().append(planted(batch, self.how), payloads, size)


class Encoding(Output[Options], type="encoding"):
    """Takes payloads."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"%d" % record["n"] for record in batch.records]

    async def write(self, chunk: Chunk) -> None:
        assert len(list(chunk.payloads())) == len(chunk)


class Down(Output[Options], type="down"):
    """Takes no chunks."""

    async def write(self, chunk: Chunk) -> None:
        raise OSError(f"{len(chunk)} events cannot be sent")


PLUGINS = (Written, Encoding, Down)


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


async def test_a_batch_of_which_some_is_in_chunks_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put into chunks before it failed is there, and the whole batch is made again."""
    append = MemoryChunk.append

    def hungry(self: MemoryChunk, batch: EventBatch, payloads: list[bytes] | None, size: int) -> None:
        if batch.records[0]["n"] == 3:
            raise MemoryError
        append(self, batch, payloads, size)

    monkeypatch.setattr(MemoryChunk, "append", hungry)
    text = f"{OWN_LOG}<match a>\n@type written\n@id w\n<buffer n>\n</buffer>\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        with pytest.raises(MemoryError):
            await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().outputs if line.plugin_id == "w"]
    assert (line.taken, line.delivered) == (3, 3)


async def test_payloads_that_come_from_outside() -> None:
    """As `logpipe buffer replay` brings them: they enter the buffer like any."""
    text = f"{OWN_LOG}<match a>\n@type encoding\n@id w\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        outlet = running.graph.outlets_by_id["w"]
        assert isinstance(outlet, BufferedOutlet)
        await outlet.staging.process_payloads(ChunkKey(), [b"1", b"2"], Receipt(lambda: None))
    (line,) = [line for line in running.graph.ledger().outputs if line.plugin_id == "w"]
    assert (line.taken, line.delivered) == (2, 2)


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


@pytest.mark.parametrize(("chunks", "compared"), [(1, 1), (3, 0)])
async def test_a_reload_that_does_not_count(
    tmp_path: Path, chunks: int, compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a chunk that a crash has left nobody knows how many events it holds until its turn comes."""
    async with pipeline(waiting_in(tmp_path), *PLUGINS) as first:
        for _ in range(chunks):
            await first.feed("a", *NINE)
    resume = FileBuffer.resume

    async def resume_uncounted(self: FileBuffer) -> list[Any]:
        found: list[Any] = list(await resume(self))
        for each in found:
            each.restore(each.size, 0, encoded=each.encoded)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(FileBuffer, "resume", resume_uncounted)
        async with pipeline(waiting_in(tmp_path), *PLUGINS, after=first) as second:
            await second.wait_for(lambda: second.metric("retry_count"))
    edges = [edge for edge in second.graph.ledger().edges if edge.giver == "output w before"]
    assert [(edge.given, edge.taken) for edge in edges] == [(9, 9)] * compared
    async with pipeline(waiting_in(tmp_path), *PLUGINS, after=second) as third:
        await third.wait_for(lambda: third.metric("retry_count"))
