"""A host changes from fluentd to logpipe with full buffers: the same configuration goes on where fluentd stopped.

The folder and the position file are made by hand from the documented format: fluentd's plugin/buffer/file_chunk.rb,
file_single_chunk.rb and plugin/in_tail/position_file.rb.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest

from logpipe.builtin.compression import compressor
from logpipe.testing import pipeline
from tests.builtin.buffers.stages import QUIET, Sink, sink
from tests.builtin.buffers.test_fluentd_chunks import chunk_id

CONFIG = """
<source>
  @type tail
  path {folder}/app.log
  pos_file {folder}/app.pos
  tag app.web
  read_from_head true
  <parse>
    @type none
  </parse>
</source>
<match app.**>
  @type sink
  <buffer tag>
    @type {kind}
    path {folder}/buffer
    compress {compress}
    flush_mode interval
    flush_interval 1s
  </buffer>
</match>
"""
TAG = "app.web"
SECOND = 1_466_000_000


def plain(data: bytes) -> bytes:
    return data


def events(numbers: range, compress: Callable[[bytes], bytes]) -> bytes:
    """Return events as fluentd appends them, each append compressed by itself."""
    return b"".join(compress(event(n)) for n in numbers)


def event(n: int) -> bytes:
    time = msgpack.ExtType(0, (SECOND + n).to_bytes(4, "big") + (n * 1000).to_bytes(4, "big"))
    packed: bytes = msgpack.packb([time, {"message": f"line {n}"}])
    return packed


def leave(folder: Path, kind: str, number: int, state: str, content: bytes) -> None:
    """Write a chunk: with a meta file beside it, or with its key in its name."""
    if kind == "file_single":
        (folder / f"fsb.{TAG}.{state}{chunk_id(number)}.buf").write_bytes(content)
        return
    file = folder / f"buffer.{state}{chunk_id(number)}.log"
    file.write_bytes(content)
    meta = {"timekey": None, "tag": TAG, "variables": None, "seq": 0, "id": bytes.fromhex(chunk_id(number))}
    packed = msgpack.packb(meta | {"s": 10, "c": SECOND, "m": SECOND})
    file.with_name(f"{file.name}.meta").write_bytes(b"\xc1\x00" + len(packed).to_bytes(4, "big") + packed)


@pytest.mark.parametrize("kind", ["file", "file_single"])
@pytest.mark.parametrize(
    ("compress", "compressed"),
    [("text", plain), ("gzip", gzip.compress), ("zstd", compressor("zstd"))],
    ids=["text", "gzip", "zstd"],
)
async def test_everything_is_delivered_once(
    compress: str, compressed: Callable[[bytes], bytes], kind: str, tmp_path: Path
) -> None:
    """Two queued chunks, a staged one, and the lines behind the position: in order, with their times, none twice."""
    buffer, log = tmp_path / "buffer", tmp_path / "app.log"
    buffer.mkdir()
    leave(buffer, kind, 1, "q", events(range(10), compressed))
    leave(buffer, kind, 2, "q", events(range(10, 20), compressed))
    leave(buffer, kind, 3, "b", events(range(20, 30), compressed))
    taken = b"".join(b"line %d\n" % n for n in range(30))
    log.write_bytes(taken + b"".join(b"line %d\n" % n for n in range(30, 40)))
    rows = [
        f"{log}\t{len(taken):016x}\t{log.stat().st_ino:016x}",
        f"{tmp_path}/gone.log\tffffffffffffffff\t0000000000000042",
    ]
    (tmp_path / "app.pos").write_text("\n".join(rows) + "\n")

    text = CONFIG.format(folder=tmp_path, kind=kind, compress=compress) + QUIET
    async with pipeline(text, Sink) as pipe:
        out = sink(pipe)
        await pipe.wait_for(lambda: len(out.records) >= 40)
        lines = [record["message"] for record in out.records]
        found = [event.time for _, chunk in out.chunks for _, event in chunk]
        tags = {tag for _, chunk in out.chunks for tag, _ in chunk}
    assert lines == [f"line {n}" for n in range(40)]
    assert found[:30] == [(SECOND + n) * 10**9 + n * 1000 for n in range(30)]
    assert tags == {TAG}
    assert [path.name for path in buffer.iterdir()] == []
    offset = (tmp_path / "app.pos").read_text().splitlines()[0].split("\t")[1]
    assert int(offset, 16) == log.stat().st_size


async def test_what_fluentd_had_delivered_by_halves_is_kept(tmp_path: Path) -> None:
    """A chunk whose end is torn, as fluentd leaves it when it is killed: what is whole of it is delivered."""
    buffer = tmp_path / "buffer"
    buffer.mkdir()
    (tmp_path / "app.log").touch()
    leave(buffer, "file", 1, "b", events(range(10), plain)[:-3])
    text = CONFIG.format(folder=tmp_path, kind="file", compress="text") + QUIET
    async with pipeline(text, Sink) as pipe:
        await pipe.wait_for(lambda: not list(buffer.glob("buffer.b*")))
        assert [record["message"] for record in sink(pipe).records] == [f"line {n}" for n in range(9)]
    assert list((buffer / "corrupt").glob("*.json"))
