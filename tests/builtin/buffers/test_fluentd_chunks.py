"""Chunks that fluentd left behind are delivered, so that a host can switch with full buffers."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logpipe import ChunkKey
from logpipe.builtin.buffers.file import FileSingleBuffer
from logpipe.builtin.buffers.file.fluentd_content import Content
from logpipe.builtin.compression import compressor
from tests.builtin.buffers.stages import conf, files, lines, running, sink

LONG = "flush_interval 1h"
SECOND = 1_000_000_000
COMPRESS = (gzip.compress, compressor("zstd"))
LONGEST_SHORT_TEXT = 256
"""Bytes of a MessagePack string whose length is one byte: a longer one does not end before these files do."""


def event(n: int, *, integer_time: bool = False, **more: Any) -> bytes:
    """Return an event as fluentd stores it."""
    time: Any = 1_466_000_000 + n
    if not integer_time:
        time = msgpack.ExtType(0, time.to_bytes(4, "big") + (n * 7).to_bytes(4, "big"))
    packed: bytes = msgpack.packb([time, {"n": n, **more}])
    return packed


def chunk_id(number: int) -> str:
    """Return an id as fluentd makes them: the moment in front."""
    return f"{((1_466_000_000_000_000 + number) << 12):016x}{number:016x}"


def leave(
    folder: Path, number: int, content: bytes, *, state: str = "b", meta: Any = None, name: str = "buffer"
) -> Path:
    """Write a chunk as fluentd 1.x does."""
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / f"{name}.{state}{chunk_id(number)}.log"
    file.write_bytes(content)
    if meta is not None:
        packed = msgpack.packb(
            {"timekey": None, "tag": None, "variables": None, "seq": 0, "s": 2, "c": 1466000000, "m": 1466000000}
            | {"id": bytes.fromhex(chunk_id(number))}
            | meta
        )
        file.with_name(file.name + ".meta").write_bytes(b"\xc1\x00" + len(packed).to_bytes(4, "big") + packed)
    return file


async def test_staged_and_queued_chunks_are_delivered_and_deleted(tmp_path: Path) -> None:
    """Oldest first, with times to the nanosecond, under the keys of their meta files."""
    leave(tmp_path, 2, event(3) + event(4), meta={"tag": "b"})
    leave(tmp_path, 1, event(1) + event(2, text=b"bytes \xff", deep={"k": [b"x"]}), state="q", meta={"tag": "a.x"})
    leave(tmp_path, 3, event(5, integer_time=True) + event(6, integer_time=True), meta={"tag": "c"})
    async with running(conf(tmp_path, LONG, arg="tag")) as pipe:
        await pipe.wait_for(lambda: len(sink(pipe).chunks) == 3)
        assert [key.tag for key, _ in sink(pipe).chunks] == ["a.x", "b", "c"]
        events = [(tag, *each) for _, found in sink(pipe).chunks for tag, each in found]
        assert events == [
            ("a.x", 1_466_000_001 * SECOND + 7, {"n": 1}),
            ("a.x", 1_466_000_002 * SECOND + 14, {"n": 2, "text": b"bytes \xff", "deep": {"k": ["x"]}}),
            ("b", 1_466_000_003 * SECOND + 21, {"n": 3}),
            ("b", 1_466_000_004 * SECOND + 28, {"n": 4}),
            ("c", 1_466_000_005 * SECOND, {"n": 5}),
            ("c", 1_466_000_006 * SECOND, {"n": 6}),
        ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("meta", "said"), [({"tag": "a", "s": 3}, "3 events"), (None, "at least 0 events")])
async def test_what_is_there_is_named_with_its_count(meta: Any, said: str, tmp_path: Path) -> None:
    """As far as metadata say it: nothing is read before it is delivered."""
    leave(tmp_path, 1, event(1) + event(2) + event(3), meta=meta)
    async with running(conf(tmp_path, LONG, arg="tag", kind="sink\nis_down true")) as pipe:
        (line,) = [line for line in pipe.log.texts("info") if "of a previous run" in line]
        assert f"{tmp_path} holds 1 chunks of a previous run, {said} in " in line
        assert line.endswith("1 of the chunks fluentd's")


async def test_all_of_a_meta_file_is_taken_over(tmp_path: Path) -> None:
    """Time slice and fields; the plain form of older versions too."""
    meta = {"timekey": 1_466_000_000, "tag": "a", "variables": {"$.k.app": "web", "n": 1}}
    leave(tmp_path, 1, event(1), meta=meta)
    plain = leave(tmp_path, 2, event(2))
    plain.with_name(plain.name + ".meta").write_bytes(msgpack.packb(meta) + b"\0\0 what stood there before")
    text = conf(tmp_path, f"{LONG}\ntimekey 1d", arg="time,tag,$.k.app,n")
    async with running(text) as pipe:
        await pipe.wait_for(lambda: len(sink(pipe).chunks) == 2)
        for key, _ in sink(pipe).chunks:
            assert key == ChunkKey(1_466_000_000, "a", (("$.k.app", "web"), ("n", 1)))


@pytest.mark.parametrize("meta", [None, b"", b"\xc1\x00", b"\xc1\x00\0\0\0\x09\x81\xa3tag", b"\xc1\xc1\xc1", bytes(60)])
async def test_a_missing_or_broken_meta_file_costs_no_event(meta: bytes | None, tmp_path: Path) -> None:
    """The chunk has no key then, as in fluentd."""
    file = leave(tmp_path, 1, event(1) + event(2))
    if meta is not None:
        file.with_name(file.name + ".meta").write_bytes(meta)
    async with running(conf(tmp_path, LONG, arg="tag")) as pipe:
        await pipe.wait_for(lambda: sink(pipe).records == [{"n": 1}, {"n": 2}])
        assert sink(pipe).chunks[0][0].tag is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("compress", COMPRESS)
async def test_compressed_chunks(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Members one after the other; what was decompressed is bounded."""
    leave(tmp_path, 1, b"".join(compress(event(n)) for n in range(5)), meta={"tag": "a"})
    leave(tmp_path, 2, compress(b"\0" * 3_000_000), meta={"tag": "a"})
    text = conf(tmp_path, f"{LONG}\ndecompression_size_limit 2m", arg="tag")
    async with running(text) as pipe:
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == list(range(5))
        assert any("raise decompression_size_limit" in said for said in pipe.log.texts("error"))
    assert len(files(tmp_path, "*.b*")) == 2


async def test_what_an_output_formatted_comes_as_payloads(tmp_path: Path) -> None:
    """Lines of text, whatever the output of today would make."""
    leave(tmp_path, 1, b"2016-06-15\ta\t{}\nsecond\nno end", meta={"tag": "a"})
    async with running(conf(tmp_path, LONG, arg="tag", kind="lines")) as pipe:
        await pipe.wait_for(lambda: len(lines(pipe).chunks) == 1)
        assert lines(pipe).payloads == [b"2016-06-15\ta\t{}\n", b"second\n", b"no end"]


async def test_events_are_encoded_for_an_output_that_encodes(tmp_path: Path) -> None:
    """As they are delivered: they were stored before there was anything to encode them."""
    leave(tmp_path, 1, event(1) + event(2), meta={"tag": "a"})
    async with running(conf(tmp_path, LONG, arg="tag", kind="lines")) as pipe:
        await pipe.wait_for(lambda: lines(pipe).payloads == [b"a:1\n", b"a:2\n"])


async def test_damage_costs_no_other_event_and_the_file_is_kept(tmp_path: Path) -> None:
    """Cut off, and broken in the middle."""
    content = b"".join(event(n, text="x" * 20) for n in range(10))
    size = len(event(0, text="x" * 20))
    broken = bytearray(content[:-5])
    broken[3 * size + 12] = 0xC1
    file = leave(tmp_path, 1, bytes(broken), meta={"tag": "a"})
    async with running(conf(tmp_path, LONG, arg="tag")) as pipe:
        await pipe.wait_for(lambda: len(sink(pipe).chunks) == 1)
        assert [record["n"] for record in sink(pipe).records] == [0, 1, 2, 4, 5, 6, 7, 8]
        assert any("is damaged" in said for said in pipe.log.texts("warning"))
    assert {path.name for path in (tmp_path / "corrupt").iterdir()} >= {file.name, f"{file.name}.json"}
    assert json.loads((tmp_path / "corrupt" / f"{file.name}.json").read_text())["records_saved"] == 8
    assert files(tmp_path, "*.b*") == []


@pytest.mark.parametrize("suffix", [".log", ""])
async def test_chunks_of_0_12_beside_the_folder(suffix: str, tmp_path: Path) -> None:
    """`PATH.KEY.bID.log`: the key, percent-escaped, is a tag."""
    for number, key in enumerate(("app.web", "a%2Fb", "")):
        (tmp_path / f"buf.{key}.{'bqb'[number]}{chunk_id(number)[:16]}{suffix}").write_bytes(event(number))
    async with running(conf(tmp_path / "buf", LONG, arg="tag")) as pipe:
        await pipe.wait_for(lambda: len(sink(pipe).chunks) == 3)
        assert [(key.tag, events[0][0], events[0][1].record) for key, events in sink(pipe).chunks] == [
            ("app.web", "app.web", {"n": 0}),
            ("a/b", "a/b", {"n": 1}),
            ("", "", {"n": 2}),
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["buf"]


async def test_chunks_of_0_12_with_a_prefix_of_their_own(tmp_path: Path) -> None:
    """`buffer_path /dir/name.*.ext`, time slices as keys."""
    (tmp_path / f"kafka.20160615.b{chunk_id(1)[:16]}.buf").write_bytes(b"a line\n")
    text = conf(tmp_path / "kafka.*.buf", f"{LONG}\ntimekey 1d\ntimekey_use_utc true", arg="time", kind="lines")
    async with running(text) as pipe:
        await pipe.wait_for(lambda: len(lines(pipe).chunks) == 1)
        (key, _) = lines(pipe).chunks[0]
        assert key.timekey == datetime(2016, 6, 15, tzinfo=UTC).timestamp()
        assert lines(pipe).payloads == [b"a line\n"]


async def test_chunks_of_file_single(tmp_path: Path) -> None:
    """The key is in the name: a tag, or the one field."""
    for number, (arg, key) in enumerate((("tag", "a.b"), ("app", "web%20one"))):
        folder = tmp_path / arg
        folder.mkdir()
        (folder / f"fsb.{key}.q{chunk_id(number)}.buf").write_bytes(event(number))
        async with running(conf(folder, LONG, arg=arg, buffer="file_single"), buffer=FileSingleBuffer) as pipe:
            await pipe.wait_for(lambda: len(sink(pipe).chunks) == 1)
            (found, _) = sink(pipe).chunks[0]
            assert found == (ChunkKey(tag="a.b") if arg == "tag" else ChunkKey(variables=(("app", "web one"),)))


async def test_file_single_has_no_prefix_of_its_own(tmp_path: Path) -> None:
    """Fluentd writes `fsb.*.buf` for `name.*.log`, and a chunk without a key where the buffer has none."""
    (tmp_path / f"fsb.a.q{chunk_id(1)}.buf").write_bytes(event(1))
    (tmp_path / f"fsb..b{chunk_id(2)}.buf").write_bytes(event(2))
    text = conf(tmp_path / "own.*.log", LONG, buffer="file_single")
    async with running(text, buffer=FileSingleBuffer) as pipe:
        await pipe.wait_for(lambda: sink(pipe).records == [{"n": 1}, {"n": 2}])
        await pipe.feed("t", {"n": 3})
        assert len(files(tmp_path, "fsb.c*.buf")) == 1


async def test_a_failing_peer_gets_them_again(tmp_path: Path) -> None:
    """They are read from their file each time."""
    leave(tmp_path, 1, event(1) + event(2), meta={"tag": "a"})
    async with running(conf(tmp_path, f"{LONG}\nretry_wait 0s", arg="tag", kind="sink\nis_down true")) as pipe:
        await pipe.wait_for(lambda: sink(pipe).attempts >= 3)
        sink(pipe).always = None
        await pipe.wait_for(lambda: sink(pipe).records == [{"n": 1}, {"n": 2}])


async def test_fluentd_would_not_take_ours_for_its_own(tmp_path: Path) -> None:
    """A host may switch back: fluentd passes over names that are not `bID` or `qID`."""
    async with running(conf(tmp_path, LONG)) as pipe:
        await pipe.feed("a", {"n": 1})
    (file,) = files(tmp_path)
    assert file.name.split(".")[1][0] not in "bq"


EVENTS = [event(n, text="y" * (n % 5 * 8)) for n in range(30)]


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, sum(map(len, EVENTS)) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_no_damage_stops_the_reading(
    place: int,
    byte: int,
    cut: bool,  # noqa: FBT001 - drawn
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A changed byte costs its event and what a changed length reaches over; a cut costs what is behind it."""
    content = bytearray(b"".join(EVENTS))
    content[place] = byte
    file = tmp_path_factory.getbasetemp() / "fluentd_chunk"
    file.write_bytes(content[: place + 1] if cut else content)
    found = [record for part in Content(file, limit=1 << 20).events() for _, record in part]
    before = 0
    while sum(map(len, EVENTS[: before + 1])) <= place:
        before += 1
    assert [record.get("n") for record in found[:before]] == list(range(before))
    if not cut:
        starts = [sum(map(len, EVENTS[:number])) for number in range(len(EVENTS))]
        swallowed = sum(place < start <= place + LONGEST_SHORT_TEXT for start in starts)
        assert len(found) >= len(EVENTS) - 2 - swallowed


@pytest.mark.parametrize("compress", COMPRESS)
def test_compressed_content_goes_on_with_the_next_member(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Each append of fluentd's is one."""
    members = [compress(b"".join(EVENTS[n : n + 3])) for n in range(0, 30, 3)]
    rng = random.Random(3)
    for number in range(10):
        damaged = list(members)
        broken = bytearray(damaged[number])
        broken[rng.randrange(10, len(broken) - 8)] ^= 0xFF
        damaged[number] = bytes(broken)
        file = tmp_path / "chunk"
        file.write_bytes(b"".join(damaged))
        content = Content(file, limit=1 << 20)
        found = {record["n"] for part in content.events() for _, record in part if "n" in record}
        assert found >= set(range(30)) - set(range(number * 3, number * 3 + 4))
        assert content.damages or compress is not gzip.compress  # what fluentd writes as Zstandard has no checksum
