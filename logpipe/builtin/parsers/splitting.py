"""Streams of bytes to messages, none longer than may be held: lines, values of JSON, values of MessagePack."""

from __future__ import annotations

import re
from typing import Final

import msgpack

from logpipe import ParseError

LONGEST: Final = 16 * 1024 * 1024
"""Bytes of a message; a longer one is left out, up to the next newline."""
_SPACE: Final = b" \t\r\n"
_OPENING: Final = b"{["
_MARK: Final = re.compile(rb"[\[\]{}\"]")
_IN_TEXT: Final = re.compile(rb"[\"\\]")
_JOINED: Final = re.compile(rb"[}\]]\s*[{\[]")
"""Between two values on a line."""


class LineSplitter:
    """Lines; the last of a stream needs no newline."""

    def __init__(self, limit: int = LONGEST) -> None:
        self.left_out: list[int] = []
        self._limit = limit
        self._rest: list[bytes] = []
        self._size = 0
        """Of what is held, or of what has come of a line that is left out."""
        self._skips = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are whole now."""
        end = data.rfind(b"\n")
        lines: list[bytes] = []
        if end >= 0:
            lines = b"".join((*self._rest, data[:end])).split(b"\n")
            if self._skips:
                self.left_out.append(self._size + data.find(b"\n"))
                del lines[0]
            self._rest, self._size, self._skips = [], 0, False
            data = data[end + 1 :]
        self._size += len(data)
        if self._size > self._limit:
            self._skips = True
            self._rest.clear()
        elif data:
            self._rest.append(data)
        return self._short(lines)

    def finish(self) -> list[bytes]:
        """Return the last line, where it has no newline."""
        if self._skips:
            self.left_out.append(self._size)
        last = b"".join(self._rest)
        self._rest, self._size, self._skips = [], 0, False
        return self._short([last] if last else [])

    def _short(self, lines: list[bytes]) -> list[bytes]:
        if max(map(len, lines), default=0) > self._limit:
            self.left_out += [len(line) for line in lines if len(line) > self._limit]
            lines = [line for line in lines if len(line) <= self._limit]
        return [line.removesuffix(b"\r") for line in lines]  # Ruby's chomp


class JsonSplitter:
    """Objects and arrays, on one line or on several, with or without white space between; any other line is by itself.

    What begins as an object and never ends takes what follows with it, until it is too long.
    """

    def __init__(self, limit: int = LONGEST) -> None:
        self.left_out: list[int] = []
        self._limit = limit
        self._held = bytearray()
        self._skipped = 0
        """Bytes that have come of a message that is left out."""
        self._begin(0)

    def _begin(self, end: int) -> None:
        """Let go of what is before `end`, and look for what begins there."""
        del self._held[:end]
        self._place = 0
        self._depth = 0
        self._is_in_text = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the values that are whole now, and the lines between them."""
        self._held += data
        if self._skipped and not self._has_skipped():
            return []
        found: list[bytes] = []
        while (message := self._next()) is not None:
            found.append(message)
        if len(self._held) > self._limit:
            self._skipped = len(self._held)
            self._begin(len(self._held))
        return found

    def finish(self) -> list[bytes]:
        """Return what has begun and has no end."""
        if self._skipped:
            self.left_out.append(self._skipped)
            self._skipped = 0
        rest = bytes(self._held).strip()
        self._begin(len(self._held))
        return [rest] if rest else []

    def _has_skipped(self) -> bool:
        """Skip to the next newline; returns whether it is there."""
        end = self._held.find(b"\n")
        self._skipped += len(self._held) if end < 0 else end
        if end >= 0:
            self.left_out.append(self._skipped)
            self._skipped = 0
        self._begin(len(self._held) if end < 0 else end + 1)
        return end >= 0

    def _next(self) -> bytes | None:
        held = self._held
        if not self._depth:
            if held[:1] in _SPACE:
                self._begin(len(held) - len(held.lstrip(_SPACE)))
            newline = held.find(b"\n", self._place)
            line = bytes(held[: max(newline, 0)]).rstrip()
            if newline >= 0 and (line[:1] not in _OPENING or _is_whole(line)):
                self._begin(newline + 1)
                return line
            if held[:1] not in _OPENING:
                self._place = len(held)
                return None
        while (mark := (_IN_TEXT if self._is_in_text else _MARK).search(held, self._place)) is not None:
            if mark[0] == b"\\" and mark.end() == len(held):
                return None  # what it stands before is still to come
            self._pass(mark)
            if self._depth <= 0:
                message = bytes(held[: self._place])
                self._begin(self._place)
                return message
        self._place = len(held)
        return None

    def _pass(self, mark: re.Match[bytes]) -> None:
        sign, self._place = mark[0], mark.end()
        if sign == b"\\":
            self._place += 1
        elif sign == b'"':
            self._is_in_text = not self._is_in_text
        else:
            self._depth += 1 if sign in _OPENING else -1


def _is_whole(line: bytes) -> bool:
    """Return whether a line that begins a value surely ends it; most do, and need no closer look."""
    return (
        line[-1:] in b"}]"
        and line.count(b"{") == line.count(b"}")
        and line.count(b"[") == line.count(b"]")
        and _JOINED.search(line) is None
    )


class MsgpackSplitter:
    """Values of MessagePack, one right behind the other."""

    def __init__(self, limit: int = LONGEST) -> None:
        self.left_out: list[int] = []
        self._limit = limit
        self._held = bytearray()
        self._base = 0
        """How much of the stream came before what is held."""
        self._unpacker = msgpack.Unpacker(max_buffer_size=2 * limit, strict_map_key=False, raw=True)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the values that are whole now.

        Raises:
            ParseError: what comes is no MessagePack, or a value is too long.
        """
        found: list[bytes] = []
        self._held += data
        try:
            self._unpacker.feed(data)
            while True:
                self._unpacker.skip()
                end = self._unpacker.tell() - self._base
                found.append(bytes(self._held[:end]))
                del self._held[:end]
                self._base += end
        except msgpack.OutOfData:
            pass
        except (msgpack.UnpackException, ValueError) as problem:
            raise ParseError(f"it is no MessagePack: {problem or type(problem).__name__}") from None
        if len(self._held) > self._limit:
            raise ParseError(f"a value of MessagePack has more than {self._limit} bytes")
        return found

    def finish(self) -> list[bytes]:
        """Return what has begun and has no end."""
        rest = bytes(self._held)
        self._held.clear()
        return [rest] if rest else []
