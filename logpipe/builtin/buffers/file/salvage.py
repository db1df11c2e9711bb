"""Finds every intact record of a damaged buffer file. Everything here blocks.

Adjacent intact frames are one extent. After a damaged place the next intact block is searched: a tail block locates the
records before it from their end, a head block those after it from their start; each record is then accepted or
rejected by its own checksum.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from logpipe.builtin.buffers.file.frame import (
    END_SIZE,
    FIXED_SIZE,
    HEAD,
    MARK,
    TAIL,
    Index,
    block_size,
    inflate,
    is_intact,
    parse_block,
)

WINDOW: Final = 1 << 20
"""Bytes that are read at a time."""
_SECTOR: Final = 4096
_MOST_INSERTED: Final = 16 << 20
"""The most inserted bytes inside a frame after which its end is still searched."""
_UNREADABLE: Final = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN})


@dataclass(frozen=True, slots=True)
class Extent:
    """Adjacent intact frames."""

    start: int
    end: int
    count: int
    """Records in it."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The intact part of a damaged frame."""

    index: Index
    start: int
    end: int
    """The place in the file of its body, or of the remaining part."""
    spans: tuple[tuple[int, int, int], ...]
    """Number, start and end of each intact record in these bytes, decompressed where they are compressed."""

    @property
    def count(self) -> int:
        """Records in it."""
        return len(self.spans)


class Damage(NamedTuple):
    """A damaged part of a file."""

    start: int
    end: int
    lost: int | None
    """The number of lost records; None where it is unknown."""
    saved: int
    """The number of intact records in it."""


class Scan(NamedTuple):
    """The intact and damaged parts of a file."""

    parts: list[Extent | Fragment]
    """In order."""
    damages: list[Damage]
    first: Index | None
    """The first index found."""


class Window:
    """A file's bytes, read in large pieces; unreadable ones are zeros."""

    def __init__(self, descriptor: int, end: int) -> None:
        self.end = end
        self._descriptor = descriptor
        self._data = b""
        self._at = 0

    def read(self, place: int, size: int) -> bytes:
        """Return up to `size` bytes from `place`, fewer only at the end."""
        offset = place - self._at
        if offset < 0 or offset + size > len(self._data):
            length = min(max(size, WINDOW), self.end - place)
            self._data, self._at, offset = self._load(place, length), place, 0
        return self._data[offset : offset + size]

    def _load(self, place: int, length: int) -> bytes:
        try:
            return _read(self._descriptor, place, length)
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
        pieces: list[bytes] = []
        for start in range(place, place + length, _SECTOR):
            size = min(_SECTOR, place + length - start)
            try:
                pieces.append(_read(self._descriptor, start, size))
            except OSError as error:
                if error.errno not in _UNREADABLE:
                    raise
                pieces.append(bytes(size))
        return b"".join(pieces)

    def find(self, pattern: bytes, place: int) -> int:
        """Return the next place of `pattern` from `place` on; the end where there is none."""
        overlap = len(pattern) - 1
        while place < self.end:
            data = self.read(place, min(WINDOW, self.end - place))
            found = data.find(pattern)
            if found >= 0:
                return place + found
            if place + len(data) >= self.end or len(data) <= overlap:
                break
            place += len(data) - overlap
        return self.end


def _read(descriptor: int, place: int, length: int) -> bytes:
    pieces: list[bytes] = []
    while length > 0:
        data = os.pread(descriptor, length, place)
        if not data:
            break
        pieces.append(data)
        place += len(data)
        length -= len(data)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def scan(descriptor: int, start: int, end: int, chunk_id: bytes) -> Scan:
    """Return the intact and damaged parts of a chunk's file between two places.

    Raises:
        OSError: it cannot be read at all; unreadable parts count as damaged.
    """
    return _Scanner(Window(descriptor, end), chunk_id).scan(start)


@dataclass(frozen=True, slots=True)
class _Block:
    place: int
    marker: bytes
    index: Index


class _Scanner:
    def __init__(self, window: Window, chunk_id: bytes) -> None:
        self._window = window
        self._chunk_id = chunk_id
        self._parts: list[Extent | Fragment] = []
        self._damages: list[Damage] = []
        self._first: Index | None = None

    def scan(self, place: int) -> Scan:
        while place < self._window.end:
            head = self._block(place, HEAD)
            if head is not None and self._is_whole(place, head):
                self._extend(place, head)
                place += head.frame_size
            else:
                place = self._pick(place, head)
        return Scan(self._parts, self._damages, self._first)

    def _block(self, place: int, marker: bytes) -> Index | None:
        size = block_size(self._window.read(place, min(FIXED_SIZE, self._window.end - place)), marker)
        if size is None or place + size > self._window.end:
            return None
        index = parse_block(self._window.read(place, size), marker)
        if index is None or index.chunk_id != self._chunk_id:
            return None
        self._first = self._first or index
        return index

    def _is_whole(self, place: int, index: Index) -> bool:
        size = index.frame_size
        if place + size > self._window.end:
            return False
        frame = self._window.read(place, size)
        tail_at = index.size + index.body_size
        body = memoryview(frame)[index.size : tail_at]
        return len(frame) == size and is_intact(index, body, frame[tail_at:], frame[: index.size])

    def _extend(self, place: int, index: Index) -> None:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, Extent) and last.end == place:
            self._parts[-1] = Extent(last.start, place + index.frame_size, last.count + index.count)
        else:
            self._parts.append(Extent(place, place + index.frame_size, index.count))

    def _pick(self, place: int, head: Index | None) -> int:
        """Collect intact records of damaged frames from `place` to the next intact block; returns where to continue."""
        floor = place if head is None else place + head.size
        following = self._following(floor, head)
        stop = self._window.end if following is None else following.place
        tail = following.index if following is not None and following.marker == TAIL else None
        end = stop if tail is None else self._behind(stop + tail.size, tail)
        saved, known = 0, 0
        if head is not None and head == tail:
            fragments = [self._fragment(head, floor, stop, from_start=True, from_end=True)]
            known = head.count
        else:
            fragments = []
            if head is not None:
                fragments.append(self._fragment(head, floor, stop, from_start=True, from_end=False))
                known += head.count
            if tail is not None:
                fragments.append(self._fragment(tail, floor, stop, from_start=False, from_end=True))
                known += tail.count
        for fragment in fragments:
            saved += fragment.count
            if fragment.spans:
                self._parts.append(fragment)
        self._damages.append(Damage(place, end, known - saved if fragments else None, saved))
        return end

    def _behind(self, place: int, tail: Index) -> int:
        """Return where to continue after a tail block: the length that follows it may be damaged or missing."""
        after = min(self._window.end, place + END_SIZE)
        following = self._window.read(place, min(END_SIZE + len(HEAD), self._window.end - place))
        is_there = following.startswith(tail.size.to_bytes(END_SIZE, "little"))
        return after if is_there or following[END_SIZE:] in {HEAD, b""} else place

    def _following(self, place: int, head: Index | None) -> _Block | None:
        """Return the next intact block: the head's own tail, else the first that is found."""
        if head is not None:
            tail_at = place + head.body_size
            tail = self._block(tail_at, TAIL) if tail_at < self._window.end else None
            if head == tail:
                return _Block(tail_at, TAIL, tail)
        while (place := self._window.find(MARK, place)) < self._window.end:
            for marker in (HEAD, TAIL):
                index = self._block(place, marker)
                if index is not None:
                    return _Block(place, marker, index)
            place += 1
        return None

    def _fragment(self, index: Index, start: int, stop: int, *, from_start: bool, from_end: bool) -> Fragment:
        """Return the intact records of a frame whose body, or a part of it, is between two places."""
        if index.compression is not None:
            body = inflate(index, self._window.read(start, min(index.body_size, stop - start)))
            ways = [0] if from_start else []
            return Fragment(index, start, stop, tuple(_intact(index, memoryview(body), ways)))
        if from_start and stop - start > _MOST_INSERTED + index.body_size:
            from_end = False  # rather than read an unlimited amount into memory
        if not from_start:
            start = max(start, stop - index.body_size)
        elif not from_end:
            stop = min(stop, start + index.body_size)
        body = self._window.read(start, stop - start)
        ways = [0] if from_start else []
        if from_end:
            ways.append(len(body) - index.whole_size)
        return Fragment(index, start, stop, tuple(_intact(index, memoryview(body), ways)))


def _intact(index: Index, body: memoryview, ways: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the places of intact records in a body that starts at one of `ways`, possibly before its first byte."""
    records = zip(index.offsets(), index.lengths(), index.checksums(), strict=True)
    for number, (offset, length, checksum) in enumerate(records):
        for way in ways:
            start = way + offset
            if start >= 0 and start + length <= len(body) and zlib.crc32(body[start : start + length]) == checksum:
                yield number, start, start + length
                break
