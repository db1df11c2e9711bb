"""`compress`: chunks are stored compressed, given as they are to outputs that take them so, read for the others."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest

from logpipe import Receipt
from logpipe.builtin import compression as under_test
from logpipe.builtin.compression import Compression, CorruptError, compressor, decompressor
from logpipe.testing import pipeline, settle
from tests.builtin.buffers.stages import QUIET, Lines, Sink, conf, files, lines, running, sink

LONG = "flush_interval 1h"
BOTH: tuple[Compression, ...] = ("gzip", "zstd")
FILE = """
<match **>
  @type file
  path {folder}/out
  compress {output}
  {more}
  <format>
    @type json
  </format>
  <buffer []>
    @type {kind}
    {place}
    compress {buffer}
    flush_interval 1h
  </buffer>
</match>
"""


def inflate(compression: Compression, data: bytes) -> bytes:
    """Return what members one after the other hold."""
    found = b""
    while data:
        stream = decompressor(compression)
        found += stream.decompress(data, 1 << 30)
        assert stream.eof
        data = stream.unused_data
    return found


@pytest.mark.parametrize("compression", BOTH)
def test_members_can_be_read_in_pieces(compression: Compression) -> None:
    """However small the input and the output; damage is said."""
    data = b"".join(b"line %d\n" % n for n in range(2000))
    packed = compressor(compression)(data)
    assert len(packed) < len(data) / 4
    stream, found, place = decompressor(compression), b"", 0
    while not stream.eof:
        given = packed[place : place + 7] if stream.needs_input else b""
        place += len(given)
        piece = stream.decompress(given, 5)
        assert len(piece) <= 5
        found += piece
    assert found == data
    with pytest.raises(CorruptError):
        decompressor(compression).decompress(b"\xff" * 100, 100)


@pytest.mark.parametrize("kind", ["sink", "lines"])
@pytest.mark.parametrize("buffer", ["memory", "file", "file_single"])
@pytest.mark.parametrize("compression", BOTH)
async def test_outputs_get_what_was_fed(compression: Compression, buffer: str, kind: str, tmp_path: Path) -> None:
    """Events or payloads, decompressed, with their tags and times; again after a failure."""
    place = None if buffer == "memory" else tmp_path
    text = conf(place, f"{LONG}\ncompress {compression}\nretry_wait 0", kind=kind, buffer=buffer)
    async with pipeline(text, Sink, Lines) as pipe:
        output = lines(pipe) if kind == "lines" else sink(pipe)
        output.always = OSError("down")
        await pipe.feed("a", {"n": 1, "x": b"\xff"}, {"n": 2}, times=[5, 6])
        await pipe.feed("b", {"n": 3}, times=[7])
        pipe.graph.flush()
        await pipe.wait_for(lambda: output.attempts >= 2)
        output.always = None
        await pipe.flush()
        ((_, events),) = output.chunks
        found = [(tag, *event) for tag, event in events]
        if kind == "lines":
            assert [record["payload"] for _, _, record in found] == [b"a:1\n", b"a:2\n", b"b:3\n"]
        else:
            assert found == [("a", 5, {"n": 1, "x": b"\xff"}), ("a", 6, {"n": 2}), ("b", 7, {"n": 3})]


@pytest.mark.parametrize("compression", BOTH)
async def test_files_are_smaller(compression: Compression, tmp_path: Path) -> None:
    """By as much as logs repeat themselves; a run with other settings reads them."""
    async with running(conf(tmp_path, f"{LONG}\ncompress {compression}")) as pipe:
        await pipe.feed("a", *({"n": n, "text": "the same for all of them " * 10} for n in range(1000)))
    (file,) = files(tmp_path)
    assert file.stat().st_size < 80_000
    async with running(conf(tmp_path, LONG)) as pipe:
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == list(range(1000))


@pytest.mark.parametrize("compression", BOTH)
async def test_in_memory_receipts_settle_at_delivery(compression: Compression) -> None:
    """As without compression: memory is no safe place."""
    settled: list[int] = []
    async with pipeline(conf(None, f"{LONG}\ncompress {compression}", buffer="memory"), Sink, Lines) as pipe:
        receipt = Receipt(lambda: settled.append(1))
        await pipe.feed("a", {"n": 1}, receipt=receipt)
        receipt.release()
        await settle()
        assert settled == []
        await pipe.flush()
        assert settled == [1]


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is compressed with gzip, each time."""
    seen: list[bytes] = []
    make = zlib.compressobj

    class Watched:
        def __init__(self, *arguments: Any) -> None:
            self._stream = make(*arguments)

        def compress(self, data: bytes) -> bytes:
            seen.append(data)
            return self._stream.compress(data)

        def flush(self) -> bytes:
            return self._stream.flush()

    monkeypatch.setattr(under_test.zlib, "compressobj", Watched)  # type: ignore[attr-defined] # the module's own import
    return seen


@pytest.mark.parametrize("kind", ["memory", "file"])
@pytest.mark.parametrize(("more", "times"), [("", 2), ("recompress true", 3)])
async def test_a_file_takes_what_the_buffer_compressed(
    packed: list[bytes], kind: str, more: str, times: int, tmp_path: Path
) -> None:
    """Two appends, two members; nothing is compressed a second time, but where that is asked for."""
    place = "" if kind == "memory" else f"path {tmp_path}/buffer"
    text = FILE.format(folder=tmp_path, output="gzip", kind=kind, place=place, buffer="gzip", more=more)
    async with pipeline(text + QUIET) as pipe:
        await pipe.feed("a", {"n": 1}, {"n": 2})
        await pipe.feed("a", {"n": 3})
        await pipe.flush()
    assert len(packed) == times
    (file,) = tmp_path.glob("out*.gz")
    assert inflate("gzip", file.read_bytes()) == b'{"n":1}\n{"n":2}\n{"n":3}\n'


@pytest.mark.parametrize("buffer", ["text", "gzip", "zstd"])
@pytest.mark.parametrize("output", BOTH)
async def test_a_file_is_compressed_as_it_says(buffer: str, output: Compression, tmp_path: Path) -> None:
    """Whatever the buffer did."""
    place = f"path {tmp_path}/buffer"
    text = FILE.format(folder=tmp_path, output=output, kind="file", place=place, buffer=buffer, more="")
    async with pipeline(text + QUIET) as pipe:
        await pipe.feed("a", {"n": 1}, {"n": 2})
        await pipe.flush()
    (file,) = tmp_path.glob("out*")
    assert file.suffix == {"gzip": ".gz", "zstd": ".zstd"}[output]
    assert inflate(output, file.read_bytes()) == b'{"n":1}\n{"n":2}\n'
