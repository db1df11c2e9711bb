"""Reads the content file of a chunk that fluentd wrote. Everything here blocks.

Events are MessagePack of `[time, record]`, one after the other; outputs with a `format` of their own store its result.
Compressed content is members of gzip or Zstandard, one after the other. There is no checksum: damage is detected by
data that is not an event, and reading continues at the next place that looks like one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import msgpack

from logpipe import Record, Time
from logpipe.builtin.compression import Compression, CorruptError, decompressor
from logpipe.codec import readable, text_or_bytes, unescaped

BLOCK: Final = 256 * 1024
LARGEST_EVENT: Final = 64 << 20
"""A larger event is taken for damage."""

_MAGIC: Final[dict[Compression, bytes]] = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}
_LONGEST_MAGIC: Final = 4
_PAIR: Final = b"\x92"
_EVENT_TIME: Final = b"\xd7\x00"
_INTEGER_TIMES: Final = (b"\xce", b"\xcf")
_NOT_AN_EVENT: Final = (ValueError, TypeError, OverflowError, msgpack.UnpackException)

Event: TypeAlias = tuple[Time, Record]


class NotReadableError(Exception):
    """The content is in a format that cannot be read here."""


class _Moment(int):
    """A time with nanoseconds; plain integers are seconds."""


class Content:
    """A chunk's content file.

    Args:
        path: the file.
        limit: bytes that it may have decompressed.

    Raises:
        NotReadableError: it exceeds the limit.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, *, limit: int) -> None:
        self.damages = 0
        """The parts that reading has skipped so far."""
        self._path = path
        self._limit = limit
        with path.open("rb") as file:
            start = file.read(_LONGEST_MAGIC)
        found = (compression for compression, magic in _MAGIC.items() if start.startswith(magic))
        self._compression = next(found, None)
        self._mark = _find_mark(next(self.blocks(), b""))
        self.damages = 0

    @property
    def has_events(self) -> bool:
        """Whether it contains events, rather than the result of an output's format."""
        return bool(self._mark)

    def events(self) -> Iterator[list[Event]]:
        """Yield its events, a block's at a time."""
        rest = b""
        for block in self.blocks():
            rest += block
            events, used = self._decode(rest, is_all=False)
            rest = rest[used:]
            if events:
                yield events
        events, _ = self._decode(rest, is_all=True)
        if events:
            yield events

    def _decode(self, data: bytes, *, is_all: bool) -> tuple[list[Event], int]:
        """Return the events in `data` and the number of bytes consumed."""
        events: list[Event] = []
        place = 0
        while place < len(data):
            place = _decode_run(data, place, events)
            left = len(data) - place
            if not left or not (is_all or _is_broken(data, place) or left > LARGEST_EVENT):
                break
            self.damages += 1
            following = data.find(self._mark, place + 1)
            if following < 0:
                return events, len(data) if is_all else len(data) - len(self._mark) + 1
            place = following
        return events, place

    def lines(self) -> Iterator[bytes]:
        """Yield its lines, with their ends."""
        rest = b""
        for block in self.blocks():
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield line + b"\n"
        if rest:
            yield rest

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes, decompressed."""
        with self._path.open("rb") as file:
            if self._compression is not None:
                yield from self._inflated(file, self._compression)
            else:
                while block := file.read(BLOCK):
                    yield block

    def _inflated(self, file: BinaryIO, compression: Compression) -> Iterator[bytes]:
        left, magic = self._limit, _MAGIC[compression]
        stream = decompressor(compression)
        block, inside = b"", False
        pending = b""
        while not stream.needs_input or (pending := pending or file.read(BLOCK)):
            block, pending = pending or block, b""
            try:
                piece = stream.decompress(block if stream.needs_input else b"", BLOCK)
            except CorruptError:
                self.damages += 1
                following = block.find(magic, 1)
                stream, pending = decompressor(compression), block[following:] if following > 0 else b""
                inside = False
                continue
            left -= len(piece)
            if left < 0:
                raise NotReadableError(f"it has more than {self._limit} bytes: raise decompression_size_limit")
            if piece:
                yield piece
            inside = not stream.eof
            if stream.eof:
                stream, pending = decompressor(compression), stream.unused_data
        if inside:
            self.damages += 1


def _find_mark(start: bytes) -> bytes:
    """Return the bytes that each event begins with; empty where the content does not begin with events."""
    mark = _PAIR + _EVENT_TIME
    if start.startswith(mark) or (mark in start and not _is_text(start)):
        return mark
    if start[:1] == _PAIR and start[1:2] in _INTEGER_TIMES and not _is_broken(start, 0):
        return start[:2]
    return b""


def _is_text(data: bytes) -> bool:
    try:
        data[:-4].decode()
    except UnicodeDecodeError:
        return False
    return True


def _decode_run(data: bytes, place: int, events: list[Event]) -> int:
    """Append the complete events from `place` on; returns where the first incomplete one begins."""
    unpacker = _unpacker()
    unpacker.feed(memoryview(data)[place:])
    done = place
    try:
        for value in unpacker:
            event = _event(value)
            if event is None:
                break
            events.append(event)
            done = place + unpacker.tell()
    except _NOT_AN_EVENT:
        pass
    return done


def _is_broken(data: bytes, place: int) -> bool:
    """Return whether the data at `place` is not an event, as opposed to an incomplete one."""
    unpacker = _unpacker()
    unpacker.feed(memoryview(data)[place:])
    try:
        return _event(unpacker.unpack()) is None
    except msgpack.OutOfData:
        return False
    except _NOT_AN_EVENT:
        return True


def _unpacker() -> msgpack.Unpacker:
    return msgpack.Unpacker(
        strict_map_key=False, unicode_errors="surrogateescape", ext_hook=_extension, max_buffer_size=4 * LARGEST_EVENT
    )


def _extension(code: int, data: bytes) -> Any:
    if code == 0 and len(data) == 8:
        return _Moment(int.from_bytes(data[:4], "big") * 1_000_000_000 + int.from_bytes(data[4:], "big"))
    return msgpack.ExtType(code, data)


def _event(value: Any) -> Event | None:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], dict):
        return None
    time, record = value
    if isinstance(time, _Moment):
        return int(time), _value(record)
    if isinstance(time, (int, float)) and not isinstance(time, bool):
        return int(time * 1_000_000_000), _value(record)
    return None


def _value(value: Any) -> Any:
    """Return a value as records hold it: Ruby packs text of unknown encoding as bytes, and any bytes as text."""
    if isinstance(value, str):
        return unescaped(value)
    if isinstance(value, bytes):
        return text_or_bytes(value)
    if isinstance(value, dict):
        return {readable(name) if isinstance(name, (str, bytes)) else name: _value(value[name]) for name in value}
    if isinstance(value, list):
        return list(map(_value, value))
    return int(value) if isinstance(value, _Moment) else value
