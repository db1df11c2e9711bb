"""Encodes events as the records of a frame, and decodes them.

The format is JSON, since orjson is fastest, and MessagePack where JSON cannot represent a record: bytes, integers over
64 bits, lone surrogates, keys other than strings. NaN and the infinities are read back as null, which is also what a
JSON output writes for them: to detect them would cost a quarter of the encoding.

Where all records of a frame end with the same object, as with the metadata of a container, it is stored once: that is
often more than half of each record.
"""

from __future__ import annotations

import base64
import json
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import repeat
from operator import is_, itemgetter, setitem
from typing import Any, Final, NamedTuple

import msgpack
import orjson

from logpipe import ChunkKey, EventBatch, Record, Time
from logpipe.builtin.buffers.file.frame import Content, Index, Kind, pack_times
from logpipe.codec import Payloads

LEAST_SHARING: Final = 8
LEAST_FIELDS: Final = 3
"""The least number of records, and the least size of the field, for which it is stored once."""

FRAME_RECORDS: Final = 1024
FRAME_BYTES: Final = 256 * 1024
"""The approximate size of a frame, which is read, decoded and held in memory at a time."""

_BYTES: Final = "$bytes"
"""The key in a label of a value that is bytes."""

_NAME: Final = itemgetter(0)
_VALUE: Final = itemgetter(1)
_BIG_INTEGER: Final = 1
"""The MessagePack extension that holds an integer past 64 bits, as hexadecimal digits."""


class Label(NamedTuple):
    """Tag, key and age, which the records of a frame share."""

    tag: str
    key: ChunkKey
    created: Time
    """When the chunk was begun."""


def encode_label(label: Label) -> bytes:
    """Return a label's bytes; a tag or a value may contain anything."""
    timekey, key_tag, variables, came_through_error = label.key
    fields = [label.tag, label.created, timekey, key_tag, variables, *[True] * came_through_error]
    return json.dumps(fields, separators=(",", ":"), default=_labelled).encode()


def _labelled(value: Any) -> Any:
    return {_BYTES: base64.b64encode(value).decode()} if isinstance(value, bytes) else repr(value)


def _unlabelled(fields: dict[str, Any]) -> Any:
    if fields.keys() == {_BYTES}:
        with suppress(ValueError, TypeError):  # a hash from a record may have the same key
            return base64.b64decode(fields[_BYTES], validate=True)
    return fields


@lru_cache(maxsize=1024)
def decode_label(data: bytes) -> Label:
    """Return the label encoded in some bytes."""
    tag, created, timekey, key_tag, variables, *came_through_error = json.loads(data, object_hook=_unlabelled)
    values = tuple((name, value) for name, value in variables)
    return Label(tag, ChunkKey(timekey, key_tag, values, bool(came_through_error)), created)


def encode_payloads(payloads: Payloads, size: int) -> Iterator[Content]:
    """Yield frames' contents for payloads of `size` bytes together."""
    step = _records_per_frame(len(payloads), size)
    for start in range(0, len(payloads), step):
        yield Content(Kind.PAYLOADS, payloads[start : start + step])


def encode_events(batch: EventBatch, size: int, refuse: Callable[[int, Exception], None]) -> Iterator[Content]:
    """Yield frames' contents for the events of a batch, about `size` bytes of JSON.

    `refuse(index, error)` is called for an event that cannot be encoded: one that is nested hundreds of levels deep.
    """
    step = _records_per_frame(len(batch), size)
    for start in range(0, len(batch), step):
        stop = start + step
        times, records = batch.times[start:stop], batch.records[start:stop]
        try:
            yield Content(Kind.JSON, *_encode_json(records, times))
        except (TypeError, struct.error):  # orjson's JSONEncodeError is a TypeError
            content = _pack_events(batch, range(start, min(stop, len(batch))), refuse)
            if content.records:
                yield content


def _encode_json(records: list[Record], times: list[Time]) -> tuple[list[bytes], bytes, bytes]:
    """Return each record's JSON, without the field that all have in common; the times; that field."""
    packed = pack_times(times)
    found = _last_in_common(records)
    if found is None:
        return list(map(orjson.dumps, records)), packed, b""
    name, value = found
    shared = orjson.dumps({name: value})
    # removing the last field and adding it again keeps the order of each record
    taken = list(map(dict.popitem, records))
    are_same = all(map(is_, map(_VALUE, taken), repeat(value))) and len(set(map(_NAME, taken))) == 1
    try:
        encoded = list(map(orjson.dumps, records)) if are_same else []
    finally:
        deque(map(setitem, records, map(_NAME, taken), map(_VALUE, taken)), maxlen=0)
    return (encoded, packed, shared) if are_same else (list(map(orjson.dumps, records)), packed, b"")


def _last_in_common(records: list[Record]) -> tuple[str, Any] | None:
    """Return the last field of the records if it seems to be large and the same object in all.

    Only three of them are compared.
    """
    if len(records) < LEAST_SHARING or not all(records):
        return None
    name = next(reversed(records[0]))
    value = records[0][name]
    if type(value) is not dict or len(value) < LEAST_FIELDS:
        return None
    for record in (records[len(records) // 2], records[-1]):
        if next(reversed(record)) != name or record[name] is not value:
            return None
    return name, value


def _pack_events(batch: EventBatch, numbers: range, refuse: Callable[[int, Exception], None]) -> Content:
    packed: list[bytes] = []
    for number in numbers:
        try:
            # inside an array, as it will be read: one that nests too deeply there would make its whole frame unreadable
            packed.append(pack([[batch.times[number], batch.records[number]]])[1:])
        except (TypeError, ValueError, RecursionError) as error:
            refuse(number, error)
    return Content(Kind.MSGPACK, packed)


def decode_body(index: Index, body: bytes) -> EventBatch:
    """Return the events of an intact frame."""
    tag = decode_label(index.label).tag
    if index.kind is Kind.JSON:
        return EventBatch(tag, list(index.times()), _with_shared(orjson.loads(body), index))
    pairs = unpack(body)
    return EventBatch(tag, [pair[0] for pair in pairs], [pair[1] for pair in pairs])


def decode_records(index: Index, numbers: Sequence[int], records: list[bytes]) -> EventBatch:
    """Return the events of some records of a frame, given by their numbers in it."""
    tag = decode_label(index.label).tag
    if index.kind is Kind.JSON:
        times = index.times()
        decoded = _with_shared(list(map(orjson.loads, records)), index)
        return EventBatch(tag, [times[number] for number in numbers], decoded)
    pairs = list(map(unpack, records))
    return EventBatch(tag, [pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _with_shared(records: list[Record], index: Index) -> list[Record]:
    if index.shared:
        shared = orjson.loads(index.shared)
        for record in records:
            record.update(shared)
    return records


def pack(value: Any) -> bytes:
    """Return a value as MessagePack.

    Raises:
        ValueError: it is nested too deep.
    """
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass", default=_packable)
    return packed


def unpack(data: bytes) -> Any:
    """Return the value that `pack` encoded."""
    return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_big_integer)


def _packable(value: Any) -> Any:
    return msgpack.ExtType(_BIG_INTEGER, hex(value).encode()) if isinstance(value, int) else repr(value)


def _big_integer(code: int, data: bytes) -> Any:
    return int(data, 16) if code == _BIG_INTEGER else msgpack.ExtType(code, data)


def _records_per_frame(count: int, size: int) -> int:
    return max(1, min(FRAME_RECORDS, FRAME_BYTES * count // max(size, 1)))
