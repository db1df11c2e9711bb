"""Cuts the bytes of a connection into messages, of which none is longer than may be held."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Protocol

LONGEST: Final = 16 * 1024 * 1024
"""Bytes of a message where no setting says it."""
_HEAD: Final = 32
"""Bytes of a message that was left out which are shown."""
_DIGITS: Final = 10
"""Of the length of a message; a longer one is none."""
_LENGTH: Final = re.compile(rb"[\t-\r]*+([0-9]{1,%d}) " % _DIGITS)
# compat: Ruby's Integer() passes over a newline before it, which some write behind a message


class BrokenFrameError(ValueError):
    """What comes can be no message, and nothing says where the next one begins."""


class TooLong(NamedTuple):
    """A message that was left out."""

    size: int
    """Its bytes, or those that have come of it."""
    head: bytes


class Framing(Protocol):
    """Of one connection."""

    too_long: list[TooLong]
    """What was left out for its length; whoever has read it empties the list."""

    @property
    def held(self) -> int:
        """How many bytes of an unfinished message it holds."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole now.

        Raises:
            BrokenFrameError: there is no way on.
        """

    def unread(self) -> bytes | None:
        """Return what it holds, which another of its kind would begin with; None within a message that is left out."""


class Delimited:
    """Messages with a delimiter behind each.

    Args:
        delimiter: of one byte at least.
        limit: bytes of a message without its delimiter.
    """

    def __init__(self, delimiter: bytes, limit: int = LONGEST) -> None:
        self._delimiter = delimiter
        self._limit = limit
        self._rest = bytearray()
        self._skips = False
        """Whether what comes belongs to a message that is left out."""
        self.too_long: list[TooLong] = []

    @property
    def held(self) -> int:
        """How many bytes of an unfinished message it holds."""
        return len(self._rest)

    def unread(self) -> bytes | None:
        """Return what it holds; None within a message that is left out."""
        return None if self._skips else bytes(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole now."""
        delimiter, rest = self._delimiter, self._rest
        start = max(0, len(rest) - len(delimiter) + 1)
        rest += data
        messages: list[bytes] = []
        if rest.find(delimiter, start) >= 0:
            *messages, last = bytes(rest).split(delimiter)
            self._rest = rest = bytearray(last)
            if self._skips:
                self._skips = False
                del messages[0]
            if max(map(len, messages), default=0) > self._limit:
                self.too_long += [TooLong(len(each), each[:_HEAD]) for each in messages if len(each) > self._limit]
                messages = [each for each in messages if len(each) <= self._limit]
        overlap = len(delimiter) - 1  # what may be the beginning of one
        if len(rest) > self._limit + overlap:
            if not self._skips:
                self.too_long.append(TooLong(len(rest), bytes(rest[:_HEAD])))
            self._skips = True
        if self._skips:
            del rest[: len(rest) - overlap]
        return messages


class OctetCounted:
    """Messages with their length before each, as RFC 6587 has it: `5 hello`.

    Args:
        limit: bytes of a message.
    """

    def __init__(self, limit: int = LONGEST) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._skipping = 0
        """Bytes that are still to come of a message that is left out."""
        self._size: int | None = None
        """Of the first message with its length, where it is not whole yet."""
        self.too_long: list[TooLong] = []

    @property
    def held(self) -> int:
        """How many bytes of an unfinished message it holds."""
        return len(self._rest)

    def unread(self) -> bytes | None:
        """Return what it holds; None within a message that is left out."""
        return None if self._skipping else bytes(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole now.

        Raises:
            BrokenFrameError: there is no length where one should be.
        """
        self._rest += data
        messages: list[bytes] = []
        if self._needs_more():
            return messages
        found, place = bytes(self._rest), 0
        try:
            while place < len(found):
                skipped = min(self._skipping, len(found) - place)
                self._skipping -= skipped
                place += skipped
                head = _LENGTH.match(found, place)
                if head is None:
                    _check_length(found[place:].lstrip(b"\t\n\v\f\r")[: _DIGITS + 1])
                    break
                size = int(head[1])
                start = head.end()
                if size > self._limit:
                    self.too_long.append(TooLong(size, found[start : start + min(size, _HEAD)]))
                    self._skipping = size
                    place = start
                    continue
                if start + size > len(found):
                    break
                messages.append(found[start : start + size])
                place = start + size
        except BrokenFrameError:
            if not messages:
                raise
            # those before it are whole; the next call finds it again
        self._rest = bytearray(found[place:])
        return messages

    def _needs_more(self) -> bool:
        """Return whether the first message is not whole yet; a long one is not looked at each time."""
        if self._skipping:
            return False
        if self._size is None or len(self._rest) >= self._size:
            self._size = None
            head = _LENGTH.match(self._rest)
            if head is not None and int(head[1]) <= self._limit and len(self._rest) < head.end() + int(head[1]):
                self._size = head.end() + int(head[1])
        return self._size is not None


def _check_length(begin: bytes) -> None:
    """Look at what may become a length, when more comes.

    Raises:
        BrokenFrameError: it cannot.
    """
    if (begin and not begin.isdigit()) or len(begin) > _DIGITS:
        raise BrokenFrameError(f"{begin!r} is no length of a message")
