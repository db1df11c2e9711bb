"""Cuts MessagePack into frames: one value each."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import msgpack

from logpipe.builtin.forward_protocol.frame import Frame, Oversized
from logpipe.builtin.forward_protocol.heads import NIL, IncompleteError, array_at, is_container, string_at
from logpipe.builtin.forward_protocol.limits import FrameLimits, ProtocolError
from logpipe.codec import readable


class PackedCutter:
    """Cuts what is in `held`.

    The packed events of a frame are a string, whose length stands before it: they are counted and not looked at, for
    msgpack would hold them a second time. What stands behind them, and frames of other kinds, it skips value by value.
    """

    def __init__(self, limits: FrameLimits) -> None:
        self.held = bytearray()
        self._limits = limits
        self._whole: deque[Frame | Oversized] = deque()
        """Frames that are cut, and not in `held` any more."""
        self._head: _Head | None = None
        self._gone = 0
        """Bytes of the frame that are not in `held` any more, since it is too large."""
        self._scanner: Any = None
        """Skips what is not counted."""
        self._origin = 0
        """Where in `held` that begins; before it where some is gone."""
        self._fed = 0
        """Where in `held` that ends which the scanner was given."""
        self._left = 0
        """How many values it has to skip."""

    @property
    def announced(self) -> int:
        """Bytes of the frame that has begun: as its events say it, or those that have come."""
        head = self._head
        if head is None or head.body > self._limits.frame:
            return len(self.held)
        return max(head.body, len(self.held))

    def rest(self) -> bytes:
        """Return what nobody has been given, and hold it no more."""
        rest = b"".join([*(each.data for each in self._whole if isinstance(each, Frame)), self.held])
        self._whole.clear()
        self.held.clear()
        return rest

    def unread(self) -> bytes | None:
        """Return what is held of a frame that is not whole; None where some of it is gone."""
        return None if self._gone else bytes(self.held)

    def next(self) -> Frame | Oversized | None:
        """Return the next frame; None where it is not complete.

        Raises:
            ProtocolError: it is none.
        """
        if self._whole:
            return self._whole.popleft()
        if self._head is None:
            self._cut_whole()
            if self._whole:
                return self._whole.popleft()
            self._head = self._begun()
        head = self._head
        if head is None or (self._scanner is None and not self._is_past_events(head)):
            return None
        end = self._end(head)
        if end is None:
            return None
        return self._taken(head, end)

    def _cut_whole(self) -> None:
        """Cut all frames that have come as a whole, in one go: loggers send many small ones."""
        held = self.held
        if not held or not self._is_frame(held[0]):
            return
        scanner = msgpack.Unpacker(read_size=1, max_buffer_size=len(held))
        ends: list[int] = []
        try:
            scanner.feed(held)
            while True:
                scanner.skip()
                ends.append(scanner.tell())
        except (ValueError, msgpack.UnpackException):
            pass  # the rest is not whole, or none: that is found out by itself
        data = bytes(memoryview(held)[: ends[-1]]) if ends else b""
        start = 0
        for end in ends:
            if not self._is_frame(data[start]):
                break
            whole = end - start <= self._limits.frame
            self._whole.append(Frame(data[start:end]) if whole else Oversized(Frame(data[start:end]).tag, end - start))
            start = end
        del held[:start]

    @staticmethod
    def _is_frame(first: int) -> bool:
        return first == NIL or is_container(first)

    def _taken(self, head: _Head, end: int) -> Frame | Oversized:
        size = self._gone + end
        frame: Frame | Oversized
        if size > self._limits.frame:
            frame = Oversized(head.tag, size)
        else:
            with memoryview(self.held) as view:
                frame = Frame(bytes(view[:end]))
        del self.held[:end]
        self._head = self._scanner = None
        self._gone = 0
        return frame

    def _begun(self) -> _Head | None:
        """Return how the next frame begins; None where too little of it has come."""
        held = self.held
        if not held:
            return None
        if not self._is_frame(held[0]):
            start = bytes(held[:16])
            hint = ", an HTTP request" if start.startswith((b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ")) else ""
            hint = ", which is TLS: write <transport tls>" if start.startswith(b"\x16\x03") else hint
            raise ProtocolError(f"what begins with {start!r} is neither MessagePack nor JSON of this protocol{hint}")
        try:
            return _head_of(held, self._limits)
        except IncompleteError:
            return None

    def _is_past_events(self, head: _Head) -> bool:
        """Return whether the packed events have come; begins to scan behind them."""
        held = self.held
        if head.body > self._limits.frame:
            cut = min(head.body - self._gone, len(held))
            del held[:cut]
            self._gone += cut
        end = head.body - self._gone
        if len(held) < end:
            return False
        self._origin = self._fed = end
        self._left = head.left
        if self._left:
            self._scanner = msgpack.Unpacker(read_size=1, max_buffer_size=2 * self._limits.frame)
        return True

    def _end(self, head: _Head) -> int | None:
        """Return where in `held` the frame ends; None where that has not come."""
        held = self.held
        if not self._left:
            return self._origin
        # what stands behind packed events is short, and the next frame may have come with it
        most = min(len(held), self._origin + self._limits.option) if head.body else len(held)
        try:
            while not self._has_skipped(most):
                if self._fed == most:
                    self._wait(head)
                    return None
        except msgpack.BufferFull:
            raise ProtocolError(f"one value of more than {self._limits.frame} bytes") from None
        except (ValueError, msgpack.UnpackException) as problem:
            raise ProtocolError(f"not MessagePack: {problem or type(problem).__name__}") from None
        return self._origin + int(self._scanner.tell())

    def _has_skipped(self, most: int) -> bool:
        """Give the scanner some more, up to a place in `held`; returns whether it is past the last value."""
        stop = min(most, self._fed + self._limits.frame)
        with memoryview(self.held) as view:
            self._scanner.feed(view[self._fed : stop])
        self._fed = stop
        try:
            while self._left:
                self._scanner.skip()
                self._left -= 1
        except msgpack.OutOfData:
            return False
        return True

    def _wait(self, head: _Head) -> None:
        """See that a frame that goes on does not become too large."""
        if head.body:
            if self._fed - self._origin >= self._limits.option:
                raise ProtocolError(f"more than {self._limits.option} bytes behind the events")
        elif self._gone + self._fed > self._limits.frame:
            del self.held[: self._fed]
            self._gone += self._fed
            self._origin -= self._fed
            self._fed = 0


class _Head(NamedTuple):
    """How a frame begins."""

    tag: str
    body: int
    """Where its packed events end; 0 where it has none."""
    left: int
    """How many values have to be skipped to its end: those behind its events, or the whole frame, which is one."""


def _head_of(data: bytearray, limits: FrameLimits) -> _Head:
    """Return how a frame begins.

    Raises:
        IncompleteError: too few bytes have come.
        ProtocolError: its tag is too long.
    """
    found = array_at(data, 0)
    if found is None or found[0] < 2:
        return _Head("", 0, 1)
    count, place = found
    tag = string_at(data, place)
    if tag is None:
        return _Head("", 0, 1)
    if tag.stop - tag.start > limits.tag:
        raise ProtocolError(f"a tag of {tag.stop - tag.start} bytes: {limits.tag} are the most")
    entries = string_at(data, tag.stop)
    if entries is None:
        return _Head(_text(data, tag.start, tag.stop), 0, 1)
    return _Head(_text(data, tag.start, tag.stop), entries.stop, count - 2)


def _text(data: bytearray, start: int, stop: int) -> str:
    return str(readable(bytes(data[start:stop])))
