"""One frame of a buffer file: the records of a batch between two copies of their index.

    HEAD block | body | TAIL block | length of the block, 4 bytes

A block is a marker, a checksum over the rest of the block, the chunk's id, the number of records in the chunk before
this frame, size and checksum of the body, a label (tag, key and age of the records), the fields that they have in
common, the length and the checksum of each record and, of events in JSON, the time of each. All numbers are
little-endian.

Why two copies: whichever byte of a frame is damaged or missing, one copy still locates the records on its side of the
damage, and each record's own checksum shows whether it is intact. Why the length at the end: the last few bytes
of a file show whether it ends with a complete frame. Why the chunk's id: a log line that contains a frame is not
mistaken for one of the file's own.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from logpipe.builtin.compression import Compression, CorruptError, compressor, decompressor
from logpipe.codec import Payloads, joined, lengths_of

_CODES: Final[dict[Compression | None, int]] = {None: 0, "gzip": 1, "zstd": 2}
_COMPRESSIONS: Final = {code: compression for compression, code in _CODES.items()}

MARK: Final = b"\x93LPF\r\n\x1a"
HEAD: Final = MARK + b"H"
TAIL: Final = MARK + b"T"

_FIXED: Final = struct.Struct("<8sII16sQIIIBBHII")
_LENGTH: Final = struct.Struct("<I")
_CHECKED_FROM: Final = 12
"""The block's checksum covers what follows the marker and the checksum itself."""

_STEP: Final = 64
"""Bytes that are decompressed at a time from a damaged body: the output of a failing step is lost."""

FIXED_SIZE: Final = _FIXED.size
END_SIZE: Final = _LENGTH.size


class Kind(enum.IntEnum):
    """The format of a frame's records."""

    PAYLOADS = 0
    """Bytes from an output's `encode`."""
    JSON = 1
    """The records of events; the body is one array of them, the times are in the index."""
    MSGPACK = 2
    """Events in MessagePack, each `[time, record]`, for what JSON cannot represent; the body is one array of them."""


# the offset of the first record in a body, and the number of bytes between two records
_FIRST: Final = {Kind.PAYLOADS: 0, Kind.JSON: 1, Kind.MSGPACK: 5}
_GAP: Final = {Kind.PAYLOADS: 0, Kind.JSON: 1, Kind.MSGPACK: 0}
_LAST: Final = {Kind.PAYLOADS: 0, Kind.JSON: 1, Kind.MSGPACK: 0}


@dataclass(frozen=True, slots=True)
class Index:
    """An intact block."""

    size: int
    """Bytes of the block."""
    chunk_id: bytes
    first: int
    """The number of records in the chunk before this frame."""
    count: int
    body_size: int
    body_crc: int
    kind: Kind
    compression: Compression | None
    label: bytes
    shared: bytes
    """Of events in JSON: an object of the fields that end each record, or nothing."""
    arrays: bytes
    """The lengths, then the checksums, then, of events in JSON, the times of the records."""

    @property
    def frame_size(self) -> int:
        """Bytes of the whole frame."""
        return 2 * self.size + self.body_size + END_SIZE

    def lengths(self) -> Sequence[int]:
        """Return each record's length."""
        return struct.unpack_from(f"<{self.count}I", self.arrays)

    def checksums(self) -> Sequence[int]:
        """Return each record's CRC-32."""
        return struct.unpack_from(f"<{self.count}I", self.arrays, 4 * self.count)

    def times(self) -> Sequence[int]:
        """Return each event's time; of JSON only."""
        return struct.unpack_from(f"<{self.count}q", self.arrays, 8 * self.count)

    def offsets(self) -> Iterator[int]:
        """Yield the offset of each record in the uncompressed body."""
        gap = _GAP[self.kind]
        steps = (length + gap for length in self.lengths()[:-1])
        return accumulate(steps, initial=_FIRST[self.kind])

    @property
    def whole_size(self) -> int:
        """Bytes of the uncompressed body."""
        between = _GAP[self.kind] * (self.count - 1)
        return _FIRST[self.kind] + sum(self.lengths()) + between + _LAST[self.kind]


class Content(NamedTuple):
    """The content of one frame, at least one record."""

    kind: Kind
    records: Payloads
    times: bytes = b""
    """Of events in JSON, packed by `pack_times`."""
    shared: bytes = b""
    """Of events in JSON, the fields that were removed from the end of each record, as an object."""


def encode_frame(
    chunk_id: bytes, first: int, label: bytes, content: Content, *, compression: Compression | None = None
) -> tuple[bytes, bytes, bytes]:
    """Return the bytes of a frame: before the body, the body, after it.

    Args:
        chunk_id: 16 bytes.
        first: the number of records in the chunk before this frame.
        label: tag, key and age of the records.
        content: the records.
        compression: how the body is compressed, as one member.
    """
    kind, records, times, shared = content
    count = len(records)
    body = _body(kind, records)
    if compression is not None:
        body = compressor(compression)(body)
    arrays = struct.pack(f"<{2 * count}I", *lengths_of(records), *map(zlib.crc32, records)) + times
    size = FIXED_SIZE + len(label) + len(shared) + len(arrays)
    code, sizes = _CODES[compression], (len(label), len(shared))
    fixed = _FIXED.pack(HEAD, 0, size, chunk_id, first, count, len(body), zlib.crc32(body), kind, code, 0, *sizes)
    checked = b"".join((fixed[_CHECKED_FROM:], label, shared, arrays))
    rest = _LENGTH.pack(zlib.crc32(checked)) + checked
    return HEAD + rest, body, b"".join((TAIL, rest, _LENGTH.pack(size)))


def pack_times(times: Sequence[int]) -> bytes:
    """Return the times of a frame's events as stored in its index.

    Raises:
        struct.error: one is not an integer of 64 bits.
    """
    return struct.pack(f"<{len(times)}q", *times)


def _body(kind: Kind, records: Payloads) -> bytes:
    if kind is Kind.JSON:
        return b"[%b]" % b",".join(records)
    if kind is Kind.MSGPACK:
        return b"\xdd%b%b" % (len(records).to_bytes(4, "big"), b"".join(records))
    return joined(records)


def block_size(data: bytes, marker: bytes) -> int | None:
    """Return the size field of the block at the start of `data`, unchecked; None where no block begins."""
    if len(data) < FIXED_SIZE or data[: len(marker)] != marker:
        return None
    size: int = _LENGTH.unpack_from(data, _CHECKED_FROM)[0]
    return size if size >= FIXED_SIZE else None


def parse_block(data: bytes, marker: bytes) -> Index | None:
    """Return the block that `data` begins with, or None where it is not complete and intact."""
    size = block_size(data, marker)
    if size is None or len(data) < size:
        return None
    (_, crc, _, chunk_id, first, count, body_size, body_crc, kind, code, _, *sizes) = _FIXED.unpack_from(data)
    if zlib.crc32(memoryview(data)[_CHECKED_FROM:size]) != crc:
        return None
    shared_at = FIXED_SIZE + sizes[0]
    arrays_at = shared_at + sizes[1]
    per_record = 16 if kind == Kind.JSON else 8
    if (
        size != arrays_at + per_record * count
        or count == 0
        or kind not in Kind._value2member_map_
        or code not in _COMPRESSIONS
    ):
        return None  # written by a later version
    return Index(
        size,
        chunk_id,
        first,
        count,
        body_size,
        body_crc,
        Kind(kind),
        _COMPRESSIONS[code],
        label=data[FIXED_SIZE:shared_at],
        shared=data[shared_at:arrays_at],
        arrays=data[arrays_at:size],
    )


def end_block_size(data: bytes) -> int | None:
    """Return the size of the last block of a file ending in `data`, as in its last bytes, unchecked."""
    if len(data) < END_SIZE:
        return None
    size: int = _LENGTH.unpack_from(data, len(data) - END_SIZE)[0]
    return size if size >= FIXED_SIZE else None


def is_intact(index: Index, body: memoryview, ending: bytes, block: bytes) -> bool:
    """Return whether body and end of a frame match its head block, whose bytes are `block`."""
    if zlib.crc32(body) != index.body_crc:
        return False
    size = index.size
    return (
        ending[: len(TAIL)] == TAIL
        and ending[len(TAIL) : size] == block[len(HEAD) : size]
        and ending[size:] == _LENGTH.pack(size)
    )


def inflate(index: Index, body: bytes) -> bytes:
    """Return the decompressed bytes of a body; of a damaged one as many as possible."""
    if index.compression is None:
        return body
    try:
        return decompressor(index.compression).decompress(body, index.whole_size)
    except CorruptError:
        return _inflate_start(index.compression, body, index.whole_size)


def _inflate_start(compression: Compression, body: bytes, limit: int) -> bytes:
    stream, whole = decompressor(compression), bytearray()
    for place in range(0, len(body), _STEP):
        try:
            whole += stream.decompress(body[place : place + _STEP], limit)
        except CorruptError:
            break
        if stream.eof:
            break
    return bytes(whole[:limit])
