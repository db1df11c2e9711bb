"""A rotated file that was compressed with gzip: read as the file that it was, forwards and in bounded memory.

Offsets, head and mark are those of the content, so that reading goes on where it was left before the compression.
"""

from __future__ import annotations

import os
import zlib
from typing import ClassVar, Final

from logpipe.builtin.in_tail.logfile import HEAD_BYTES, Content, Head, LogFile

SUFFIX: Final = ".gz"

CUT_OFF: Final = "cut off"

_GZIP: Final = 31
"""zlib's word for a gzip header, and a check of the sum at the end."""

_RAW: Final = 16 * 1024
_PIECE: Final = 256 * 1024

_VISIT: Final = 32 * 1024 * 1024
"""Bytes of content that are passed in one visit to a thread on the way to a place: a tenth of a second."""

_MOST_RATIO: Final = 1032
"""How many times its size a gzip file can hold."""


class Archive(LogFile):
    """A gzip file, open for reading as its content; from the last `place` on the bytes are kept: there is no way back.

    It is never `Rewritten`: where it does not hold what it should, it is damaged and ends. gzip checks the sum of a
    file at its end, when its content was long sent on: what damage made of the lines right before it, nobody can tell.
    """

    exact: ClassVar[bool] = False
    __slots__ = ("_beginning", "_start", "_stream", "_window", "damage", "missing")

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.damage = ""
        self.missing = 0
        self._restart()
        try:
            self._fill(HEAD_BYTES)
            self._beginning = bytes(self._window[:HEAD_BYTES])
            self._measure()
        except OSError:
            self.close()
            raise

    def _restart(self) -> None:
        self._stream = _Stream(self.fileno())
        self._window = bytearray()
        self._start = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the mark and up to `size` bytes that stand at `place`; only the mark on a long way there."""
        begin = self.place - len(self.mark)
        if begin < self._start:
            self._restart()
        self._stream.resume()
        self._go_to(begin, most=_VISIT)
        data = self.mark
        if self._start == begin:
            wanted = len(self.mark) + (_PIECE if size is None or size < 0 else size)
            self._fill(begin + wanted)
            data = bytes(self._window[:wanted])
        if not data.startswith(self.mark) or (self._stream.ended and self._stream.produced < self.place):
            self._stream.fail("not the file that was read")
            data = self.mark
        self._measure()
        self.head = Head.of(self._beginning)
        return data

    def beginning(self) -> bytes:
        """Return as much of the content as a fingerprint covers."""
        return self._beginning

    def holds(self, content: Content) -> bool:
        """Return whether the content is, or begins with, what was read; where no mark is known the head decides."""
        if not content.begins(self._beginning, self.size):
            return False
        begin = content.offset - len(content.mark)
        if content.mark and begin >= self._start:
            self._go_to(begin)
            self._fill(content.offset)
            self._measure()
            return self._window[: len(content.mark)] == content.mark
        return not content.mark

    def next_text(self, place: int) -> int | None:
        """Return where, from `place` on, the first byte stands that is no NUL; None where there is none."""
        while True:
            self._go_to(place)
            self._fill(place + _PIECE)
            if not self._window:
                return None
            text = self._window.lstrip(b"\0")
            if text:
                return place + len(self._window) - len(text)
            place += len(self._window)

    def length(self) -> int:
        """Return its size, or more where something was added to a file that was cut off."""
        return self.size + self._stream.has_grown()

    def _go_to(self, place: int, *, most: int | None = None) -> None:
        """Let go of what is before a place, or of `most` bytes on the way to it."""
        end = place if most is None else min(place, self._stream.produced + most)
        while True:
            passed = min(len(self._window), end - self._start)
            del self._window[:passed]
            self._start += passed
            if self._start == end or not self._take():
                return

    def _fill(self, end: int) -> None:
        """Hold everything from the start of the window up to `end`."""
        while self._stream.produced < end and self._take():
            pass

    def _take(self) -> bool:
        """Decompress some more; returns False at the end."""
        piece = self._stream.more()
        self._window += piece
        return bool(piece)

    def _measure(self) -> None:
        """Note how much it holds: what its trailer says until that is known, and at least one byte more than we saw."""
        stream = self._stream
        promised = stream.promised()
        if promised == stream.produced:
            self._take()  # it is all there: see that nothing follows
        if stream.ended:
            self.size = max(stream.produced, self.place)  # what was read of it was there
            self.damage = stream.damage
            self.missing = max(0, promised - self.size) if stream.damage not in {"", CUT_OFF} else 0
        else:
            self.size = max(stream.produced + 1, self.place, promised)


class _Stream:
    """The content of a gzip file, of all its members, piece by piece."""

    __slots__ = ("_consumed", "_decoder", "_descriptor", "_pending", "damage", "ended", "produced")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = zlib.decompressobj(_GZIP)
        self._pending = b""
        self._consumed = 0
        self.produced = 0
        self.ended = False
        self.damage = ""
        """Why it ended too early."""

    def more(self) -> bytes:
        """Return the next piece, empty at the end."""
        while not self.ended:
            raw = self._raw()
            if self._decoder.eof:
                if raw[:1] != b"\x1f":  # nothing follows a member, or padding
                    self.ended = True
                    break
                self._decoder = zlib.decompressobj(_GZIP)
            try:
                piece = self._decoder.decompress(raw, _PIECE)
            except zlib.error as error:
                self.fail(str(error))
                break
            self._pending = self._decoder.unused_data or self._decoder.unconsumed_tail
            self.produced += len(piece)
            if piece:
                return piece
            if not raw and not self._decoder.eof:
                self.fail(CUT_OFF)
        return b""

    def _raw(self) -> bytes:
        raw, self._pending = self._pending, b""
        if not raw:
            raw = os.pread(self._descriptor, _RAW, self._consumed)
            self._consumed += len(raw)
        return raw

    def fail(self, damage: str) -> None:
        """End here."""
        self.ended = True
        self.damage = self.damage or damage

    def has_grown(self) -> bool:
        """Return whether there is more now of what was cut off."""
        return self.damage == CUT_OFF and os.fstat(self._descriptor).st_size > self._consumed

    def resume(self) -> None:
        """Go on where there is more now."""
        if self.has_grown():
            self.ended, self.damage = False, ""

    def promised(self) -> int:
        """Return what the last bytes say of the size of the content, 0 where they cannot be right."""
        size = os.fstat(self._descriptor).st_size
        promised = int.from_bytes(os.pread(self._descriptor, 4, max(0, size - 4)), "little")
        return promised if promised <= size * _MOST_RATIO else 0
