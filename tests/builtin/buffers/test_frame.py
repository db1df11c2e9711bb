"""Frames: what goes in comes out, whatever the records are."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logpipe import ChunkKey, EventBatch, Record
from logpipe.builtin.buffers.file.codec import (
    Label,
    decode_body,
    decode_label,
    encode_events,
    encode_label,
    encode_payloads,
)
from logpipe.builtin.buffers.file.frame import HEAD, TAIL, Content, Kind, encode_frame, inflate, is_intact, parse_block
from logpipe.builtin.compression import Compression

CHUNK = bytes(range(16))
LABEL = encode_label(Label("app.web", ChunkKey(), 0))

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 100), 1 << 100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.sampled_from(["\ud800", "a\udcff", "\0"]),  # lone surrogates among them
    st.binary(max_size=4),
)
names = st.text(max_size=4) | st.integers(-9, 9)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=4
)

events = st.tuples(st.integers(-(1 << 80), 1 << 80), st.dictionaries(st.text(max_size=4), values, max_size=4))


COMPRESSIONS: tuple[Compression | None, ...] = (None, "gzip", "zstd")


def frames_of(batch: EventBatch, *, compression: Compression | None = None) -> list[bytes]:
    def refuse(index: int, error: Exception) -> None:
        raise AssertionError(f"event {index}: {error}")

    contents = encode_events(batch, 100 * len(batch), refuse)
    return [b"".join(encode_frame(CHUNK, 0, LABEL, content, compression=compression)) for content in contents]


def decoded(frame: bytes) -> EventBatch:
    index = parse_block(frame, HEAD)
    assert index is not None
    assert index.frame_size == len(frame)
    tail_at = index.size + index.body_size
    body = frame[index.size : tail_at]
    assert is_intact(index, memoryview(body), frame[tail_at:], frame[: index.size])
    return decode_body(index, inflate(index, body))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, min_size=1, max_size=4))
def test_events_come_back_as_they_were(given_events: list[tuple[int, Record]]) -> None:
    """Whatever JSON can hold and what it cannot: bytes, large integers, lone surrogates, keys of other types."""
    batch = EventBatch("t", [time for time, _ in given_events], [record for _, record in given_events])
    for compression in COMPRESSIONS:
        found = [decoded(frame) for frame in frames_of(batch, compression=compression)]
        assert [time for part in found for time in part.times] == batch.times
        assert [record for part in found for record in part.records] == batch.records
        assert {part.tag for part in found} == {"app.web"}


def test_what_a_json_output_writes_as_null_is_null() -> None:
    """NaN and infinities, as after any JSON output."""
    (frame,) = frames_of(EventBatch("t", [1], [{"a": math.nan, "b": math.inf}]))
    assert decoded(frame).records == [{"a": None, "b": None}]


def test_an_event_that_nothing_can_hold_is_refused_alone() -> None:
    """Nested thousands of levels deep; its neighbours are stored."""
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    refused: list[tuple[int, Exception]] = []
    batch = EventBatch("t", [1, 2, 3], [{"n": 1}, {"deep": deep}, {"n": 3}])
    contents = list(encode_events(batch, 100, lambda index, error: refused.append((index, error))))

    assert [index for index, _ in refused] == [1]
    found = [decoded(b"".join(encode_frame(CHUNK, 0, LABEL, content))) for content in contents]
    assert [record for part in found for record in part.records] == [{"n": 1}, {"n": 3}]


def test_large_batches_are_divided() -> None:
    """A frame is what is read, decoded and held at a time."""
    many = EventBatch("t", list(range(5000)), [{"n": number} for number in range(5000)])
    assert len(frames_of(many)) == 5
    contents = list(encode_payloads([b"x" * 100_000] * 10, 1_000_000))
    assert [len(content.records) for content in contents] == [2] * 5


def test_labels_hold_any_tag_and_value() -> None:
    """Also a file name that is no UTF-8."""
    key = ChunkKey(1_466_000_000, "a\udcff", (("$.k.app", None), ("n", 1.5), ("s", "ü\ud800")))
    label = Label("a\udcff.b", key, 1_466_000_000_000_000_001)
    assert decode_label(encode_label(label)) == label


@pytest.mark.parametrize("kind", list(Kind))
def test_offsets_from_both_ends_agree(kind: Kind) -> None:
    """The body's size follows from the records'."""
    records = [b'{"n":1}', b"{}", b'{"long":"' + b"x" * 300 + b'"}']
    times = bytes(24) if kind is Kind.JSON else b""
    head, body, end = encode_frame(CHUNK, 7, LABEL, Content(kind, records, times))
    index = parse_block(head, HEAD)
    assert index is not None
    assert index.whole_size == len(body)
    assert [body[at : at + size] for at, size in zip(index.offsets(), index.lengths(), strict=True)] == records
    assert parse_block(end, TAIL) == index
    assert index.first == 7


def test_any_changed_byte_of_a_block_is_seen() -> None:
    """The checksum covers all of it, the claim about its own size too."""
    head, _, _ = encode_frame(CHUNK, 0, LABEL, Content(Kind.PAYLOADS, [b"abc", b"d"]))
    for place in range(len(head)):
        for bit in (1, 0x80):
            changed = bytearray(head)
            changed[place] ^= bit
            assert parse_block(bytes(changed), HEAD) is None, place


def metadata(n: int = 0) -> dict[str, Any]:
    return {"namespace_name": "default", "pod_name": f"web-{n}", "labels": {"app": "web"}, "host": "node"}


def test_what_records_end_with_together_is_stored_once() -> None:
    """The metadata of a container; the records given and those that come back have it, at the same place."""
    shared = metadata()
    records: list[Record] = [{"log": f"line {n}", "kubernetes": shared} for n in range(100)]
    before = [list(record.items()) for record in records]
    (frame,) = frames_of(EventBatch("t", list(range(100)), records))

    assert [list(record.items()) for record in records] == before
    assert all(record["kubernetes"] is shared for record in records)
    assert frame.count(b"web-0") == 2, "once in each index"
    assert [list(record.items()) for record in decoded(frame).records] == before


@pytest.mark.parametrize(
    "odd",
    [
        {"log": "x", "kubernetes": metadata()},  # equal, but not the same object
        {"log": "x", "kubernetes": metadata(1)},
        {"kubernetes": 1},
        {"kubernetes": None, "log": "last"},
        {"log": "x", "other": metadata()},
        {},
    ],
)
@pytest.mark.parametrize("place", [0, 3, 50, 99])
def test_what_is_not_the_same_for_all_stays_where_it_is(odd: Record, place: int) -> None:
    """However few differ, and wherever they stand."""
    shared = metadata()
    records: list[Record] = [{"log": f"line {n}", "kubernetes": shared} for n in range(100)]
    records[place] = dict(odd)
    if "other" in odd:
        records[place]["other"] = shared
    before = [list(record.items()) for record in records]
    (frame,) = frames_of(EventBatch("t", list(range(100)), records))
    assert [list(record.items()) for record in records] == before
    assert [list(record.items()) for record in decoded(frame).records] == before


def test_a_shared_field_that_json_cannot_hold_is_packed_with_its_records() -> None:
    """And they are left as they were."""
    shared = metadata() | {"bytes": b"\xff"}
    records: list[Record] = [{"log": f"line {n}", "kubernetes": shared} for n in range(20)]
    (frame,) = frames_of(EventBatch("t", list(range(20)), records))
    assert all(list(record) == ["log", "kubernetes"] for record in records)
    assert decoded(frame).records == records
