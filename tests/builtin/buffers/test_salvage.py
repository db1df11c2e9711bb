"""Damaged buffer files: every record that the damage does not touch comes out, and nothing that was never put in."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logpipe import ChunkKey, EventBatch
from logpipe.builtin.buffers.file.codec import Label, encode_events, encode_label, encode_payloads
from logpipe.builtin.buffers.file.frame import Content, encode_frame
from logpipe.builtin.buffers.file.frame_reader import read_batches, read_payloads
from logpipe.builtin.buffers.file.salvage import Damage, Scan, scan
from logpipe.builtin.compression import Compression

CHUNK = bytes(range(16))
LABEL = encode_label(Label("t", ChunkKey(), 0))


class Written:
    """A buffer file and where in it each record is."""

    def __init__(self, contents: list[Content], *, compression: Compression | None = None) -> None:
        self.data = b""
        self.places: list[tuple[int, int]] = []
        """Start and end of each record, of its whole frame where that is compressed."""
        count = 0
        for content in contents:
            head, body, end = encode_frame(CHUNK, count, LABEL, content, compression=compression)
            place = len(self.data) + len(head)
            at = 0
            for record in content.records:
                if compression is not None:
                    self.places.append((place, place + len(body)))
                else:
                    at = body.index(record, at)
                    self.places.append((place + at, place + at + len(record)))
                    at += len(record)
            count += len(content.records)
            self.data += head + body + end


def json_file(frames: int = 4, records: int = 5, *, compression: Compression | None = None) -> Written:
    contents: list[Content] = []
    for frame in range(frames):
        numbers = range(frame * records, (frame + 1) * records)
        batch = EventBatch("t", list(numbers), [{"n": n, "pad": "x" * (n % 7 * 9)} for n in numbers])
        contents += encode_events(batch, 1, lambda index, error: pytest.fail(f"{index}: {error}"))
    return Written(contents, compression=compression)


def payload_file(frames: int = 4, records: int = 5) -> Written:
    contents: list[Content] = []
    for frame in range(frames):
        payloads = [b"%04d:" % n + b"y" * (n % 7 * 9) for n in range(frame * records, (frame + 1) * records)]
        contents += encode_payloads(payloads, 1)
    return Written(contents)


JSON, PAYLOADS, PACKED = json_file(), payload_file(), json_file(compression="gzip")


def found_in(path: Path, data: bytes, *, chunk_id: bytes = CHUNK) -> tuple[list[int], Scan]:
    """Return the numbers of the records that come out of a file with these bytes."""
    path.unlink(missing_ok=True)  # ext4 waits for the disk where a file is cut to nothing and written again
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        result = scan(descriptor, 0, len(data), chunk_id)
    finally:
        os.close(descriptor)
    events = [event for batch in read_batches(path, result.parts) for event in batch.events()]
    assert all(event.time == event.record["n"] for event in events)
    numbers = [event.record["n"] for event in events]
    numbers += [int(payload[:4]) for payload in read_payloads(path, result.parts)]
    assert len(numbers) == sum(part.count for part in result.parts)
    return numbers, result


def test_a_whole_file_is_one_part(tmp_path: Path) -> None:
    """Nothing is taken for damage."""
    for written in (JSON, PAYLOADS, PACKED):
        numbers, result = found_in(tmp_path / "f", written.data)
        assert numbers == list(range(20))
        assert len(result.parts) == 1
        assert result.damages == []


@pytest.mark.parametrize("written", [JSON, PAYLOADS], ids=["json", "payloads"])
def test_a_flipped_bit_costs_the_record_it_is_in_and_no_other(written: Written, tmp_path: Path) -> None:
    """At every byte of the file."""
    for place in range(len(written.data)):
        damaged = bytearray(written.data)
        damaged[place] ^= 1 << place % 8
        numbers, result = found_in(tmp_path / "f", bytes(damaged))
        hit = {number for number, (start, end) in enumerate(written.places) if start <= place < end}
        assert numbers == [number for number in range(20) if number not in hit], place
        assert len(result.damages) == 1
        assert result.damages[0].lost == len(hit)
        assert result.damages[0].start <= place < result.damages[0].end


@pytest.mark.parametrize("written", [JSON, PAYLOADS], ids=["json", "payloads"])
def test_a_torn_tail_costs_what_is_torn_off(written: Written, tmp_path: Path) -> None:
    """Cut at every byte, and followed by zeros as a file system may leave them."""
    for place in range(len(written.data)):
        whole = [number for number, (_, end) in enumerate(written.places) if end <= place]
        for tail in (b"", bytes(700)):
            numbers, _ = found_in(tmp_path / "f", written.data[:place] + tail)
            assert numbers[: len(whole)] == whole, place
            assert len(numbers) <= len(whole) + bool(tail), place  # a record may end in the byte that follows it


def overwrite(data: bytes, start: int, end: int, noise: bytes) -> bytes:
    return data[:start] + (noise * (end - start))[: end - start] + data[end:]


def cut_out(data: bytes, start: int, end: int, _noise: bytes) -> bytes:
    return data[:start] + data[end:]


def insert(data: bytes, start: int, end: int, noise: bytes) -> bytes:
    return data[:start] + (noise * (end - start))[: end - start] + data[start:]


@settings(max_examples=300, deadline=None)
@example(way=cut_out, start=1633, length=328, noise=b"\0", written=JSON)  # from a frame's last bytes into the next one
@given(
    way=st.sampled_from([overwrite, cut_out, insert]),
    start=st.integers(0, len(JSON.data) - 1),
    length=st.integers(1, 400),
    noise=st.binary(min_size=1, max_size=9) | st.just(b"\0"),
    written=st.sampled_from([JSON, PAYLOADS]),
)
def test_what_a_stretch_of_damage_does_not_touch_comes_out(  # noqa: PLR0917 - given by name
    way: Callable[[bytes, int, int, bytes], bytes],
    start: int,
    length: int,
    noise: bytes,
    written: Written,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Overwritten, missing or inserted bytes, up to more than a frame of them."""
    start = min(start, len(written.data) - 1)
    end = min(start + length, len(written.data))
    numbers, result = found_in(tmp_path_factory.getbasetemp() / "f", way(written.data, start, end, noise))
    touched = {
        number
        for number, (first, last) in enumerate(written.places)
        if (first < end and last > start if way is not insert else first < start < last)
    }
    # a frame that lost both of its indexes lost all its records
    indexes = _frames_without_index(written, start, end) if way is not insert else set()
    expected = set(range(20)) - touched - indexes
    assert expected <= set(numbers)
    assert numbers == sorted(set(numbers)), "no record twice, and all in order"
    assert numbers == list(range(20)) or result.damages


def _frames_without_index(written: Written, start: int, end: int) -> set[int]:
    """Return the records of the frames that a stretch covers from their first block to their last."""
    lost: set[int] = set()
    for frame in range(4):
        numbers = range(frame * 5, frame * 5 + 5)
        first, last = written.places[numbers[0]][0], written.places[numbers[-1]][1]
        if start < first and end > last:
            lost.update(numbers)
    return lost


def test_repeated_bytes_repeat_no_more_than_what_they_hold(tmp_path: Path) -> None:
    """A stretch that was written twice may deliver twice; nothing else is lost."""
    rng = random.Random(5)
    for _ in range(50):
        start = rng.randrange(len(JSON.data))
        end = start + rng.randrange(500)
        numbers, _ = found_in(tmp_path / "f", JSON.data[:end] + JSON.data[start:])
        inside = {number for number, (first, last) in enumerate(JSON.places) if first < start and end < last}
        assert set(numbers) == set(range(20)) - inside


@pytest.mark.parametrize(("compression", "most"), [("gzip", range(500, 800)), ("zstd", range(400, 800))])
def test_a_compressed_frame_gives_what_comes_before_the_damage(
    compression: Compression, most: range, tmp_path: Path
) -> None:
    """Which is nothing with Zstandard, whose blocks are large; all other frames give all."""
    written = json_file(frames=3, records=400, compression=compression)
    start, end = written.places[400]
    damaged = bytearray(written.data)
    damaged[(start + end) // 2] ^= 0x10
    numbers, result = found_in(tmp_path / "f", bytes(damaged))
    lost = set(range(1200)) - set(numbers)
    assert lost
    assert lost <= set(most)
    assert result.damages[0].lost == len(lost)


def test_frames_of_another_chunk_are_not_taken(tmp_path: Path) -> None:
    """A log line may hold the bytes of some buffer file: in a damaged file they are looked through."""
    other = b"".join(encode_frame(bytes(16), 0, LABEL, Content(*next(iter(encode_payloads([b"9999:"], 1))))))
    contents = list(encode_payloads([b"0000:" + other, b"0001:"], 1))
    data = Written(contents).data
    place = data.index(other) + len(other) // 2
    numbers, _ = found_in(tmp_path / "f", data[:place] + b"?" + data[place + 1 :])
    assert numbers == [1]


def test_what_the_disk_cannot_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO on one sector costs the records in it."""
    written = json_file(frames=50, records=20)
    bad = range(8192, 12288)
    read = os.pread

    def pread(descriptor: int, size: int, place: int) -> bytes:
        if place < bad.stop and place + size > bad.start:
            raise OSError(5, "Input/output error")
        return read(descriptor, size, place)

    monkeypatch.setattr("logpipe.builtin.buffers.file.salvage.os.pread", pread)
    numbers, result = found_in(tmp_path / "f", written.data)
    touched = {n for n, (start, end) in enumerate(written.places) if start < bad.stop and end > bad.start}
    assert set(range(1000)) - set(numbers) == touched
    assert result.damages


def test_a_file_of_nonsense_gives_nothing_and_ends(tmp_path: Path) -> None:
    """Random bytes, zeros, and markers without anything behind them."""
    rng = random.Random(1)
    for data in (rng.randbytes(5000), bytes(5000), b"\x93LPF\r\n\x1aH" * 500, b"\x93LPF\r\n\x1aT" * 500, b"\x93"):
        numbers, result = found_in(tmp_path / "f", data)
        assert numbers == []
        assert result.damages == [Damage(0, len(data), None, 0)]


def test_shared_fields_survive_the_loss_of_either_index(tmp_path: Path) -> None:
    """They are in both."""
    shared = {"namespace_name": "default", "pod_name": "web", "labels": {"app": "web"}}
    batch = EventBatch("t", list(range(20)), [{"n": n, "kubernetes": shared} for n in range(20)])
    (content,) = encode_events(batch, 1, lambda index, error: pytest.fail(f"{index}: {error}"))
    head, body, end = encode_frame(CHUNK, 0, LABEL, content)
    for damaged in (b"?" * len(head) + body + end, head + body + b"?" * len(end), head + body):
        numbers, result = found_in(tmp_path / "f", damaged)
        assert numbers == list(range(20))
        (part,) = read_batches(tmp_path / "f", result.parts)
        assert part.records == batch.records
