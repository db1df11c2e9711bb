"""Cuts a stream of JSON into frames: one array or object each, with or without white space between."""

from __future__ import annotations

import re
from typing import Final

from logpipe.builtin.forward_protocol.frame import Frame, Oversized
from logpipe.builtin.forward_protocol.limits import FrameLimits, ProtocolError

DEPTH: Final = 1024
_SPACE: Final = b" \t\r\n"
_MARK: Final = re.compile(rb"[\[\]{}\"]")
_IN_TEXT: Final = re.compile(rb"[\"\\]")
_OPENING: Final = b"[{"


class JsonCutter:
    """Cuts what is in `held`; it looks at each byte once, however small the pieces are that they come in."""

    def __init__(self, limits: FrameLimits) -> None:
        self.held = bytearray()
        self._limit = min(limits.frame, limits.json)
        self._most = limits.json_containers
        self._containers = 0
        self._place = 0
        """Where in `held` that begins which nobody has looked at."""
        self._depth = 0
        self._is_in_text = False
        self._gone = 0
        """Bytes of the frame that are not in `held` any more, since it is too large."""

    @property
    def announced(self) -> int:
        """Bytes that have come of the frame."""
        return len(self.held)

    def rest(self) -> bytes:
        """Return what nobody has been given, and hold it no more."""
        rest = bytes(self.held)
        self.held.clear()
        return rest

    def unread(self) -> bytes | None:
        """Return what is held of a message that is not whole; None where some of it is gone."""
        return None if self._gone else bytes(self.held).lstrip()

    def next(self) -> Frame | Oversized | None:
        """Return the next frame; None where it is not complete.

        Raises:
            ProtocolError: it is none.
        """
        held = self.held
        if not self._depth:
            del held[: len(held) - len(held.lstrip(_SPACE))]
            if held and held[0] not in _OPENING:
                raise ProtocolError(f"what begins with {bytes(held[:16])!r} is no message in JSON")
        while (found := (_IN_TEXT if self._is_in_text else _MARK).search(held, self._place)) is not None:
            if not self._has_passed(found):
                return None
            if not self._depth:
                return self._taken()
        self._place = len(held)
        if self._gone + len(held) > self._limit:
            self._gone += len(held)
            held.clear()
            self._place = 0
        return None

    def _has_passed(self, found: re.Match[bytes]) -> bool:
        """Take note of a mark; returns whether all of it has come."""
        mark = found[0]
        place = found.end()
        if mark == b"\\":
            if place == len(self.held):
                self._place = place - 1
                return False
            place += 1
        elif mark == b'"':
            self._is_in_text = not self._is_in_text
        elif mark in {b"[", b"{"}:
            self._depth += 1
            if self._depth > DEPTH:
                raise ProtocolError(f"JSON that is nested deeper than {DEPTH} levels")
            self._containers += 1
            if self._containers > self._most:
                raise ProtocolError(f"more than {self._most} arrays and objects in one message of JSON")
        else:
            self._depth -= 1
        self._place = place
        return True

    def _taken(self) -> Frame | Oversized:
        end, self._place = self._place, 0
        size, self._gone = self._gone + end, 0
        self._containers = 0
        with memoryview(self.held) as view:
            frame = Frame(bytes(view[:end]), "json") if size <= self._limit else Oversized("", size)
        del self.held[:end]
        return frame
