"""Chunks that hold what one output encoded are never given to an output that cannot read that."""

from __future__ import annotations

from pathlib import Path

from logpipe import Chunk, EventBatch, Options, Output, PermanentError
from logpipe.testing import pipeline
from logpipe.testing.pipeline import read_letters

TEXT = """
<system>
root_dir {root}
</system>
<match **>
@type encoder
<buffer>
flush_mode immediate
</buffer>
<secondary>
@type {secondary}
</secondary>
</match>
<label @FLUENT_LOG>
<match **>
@type test
</match>
</label>
"""


class Encoder(Output[Options], type="encoder"):
    """Encodes on entry, and cannot deliver."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"%d\n" % record["n"] for record in batch.records]

    async def write(self, chunk: Chunk) -> None:
        raise PermanentError(f"never: {chunk.id}")


class Reader(Output[Options], type="reader"):
    """Wants events."""

    async def write(self, chunk: Chunk) -> None:
        raise AssertionError(f"it was given {list(chunk.batches())}")


class PayloadReader(Output[Options], type="payload_reader"):
    """Encodes, and therefore reads what others have encoded."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"" for _ in batch.records]

    async def write(self, chunk: Chunk) -> None:
        self.payloads = list(chunk.payloads())


async def test_a_secondary_that_wants_events_gets_none(tmp_path: Path) -> None:
    """What the first output encoded becomes dead letters instead of being lost."""
    async with pipeline(TEXT.format(root=tmp_path, secondary="reader"), Encoder, Reader) as running:
        await running.feed("a", {"n": 1}, {"n": 2})
        await running.wait_for(lambda: list(tmp_path.rglob("*.jsonl")))
        await running.wait_for(lambda: running.metric("given_up_records") == 2)
    assert [letter.payload for letter in read_letters(tmp_path)] == [b"1\n", b"2\n"]


async def test_a_secondary_that_encodes_gets_the_payloads(tmp_path: Path) -> None:
    """As they are."""
    async with pipeline(TEXT.format(root=tmp_path, secondary="payload_reader"), Encoder, PayloadReader) as running:
        await running.feed("a", {"n": 1}, {"n": 2})
        await running.wait_for(lambda: running.metric("write_secondary_count") == 1)
        assert running.plugin(PayloadReader).payloads == [b"1\n", b"2\n"]
    assert not list(tmp_path.rglob("*.jsonl"))
