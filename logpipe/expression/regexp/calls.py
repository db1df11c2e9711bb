r"""Calls of groups, `\g<name>`: the group's pattern is matched, and captures, again at their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from logpipe.expression.regexp.names import HIDDEN


class Piece:
    """A piece of the translation, and its place in the source."""

    __slots__ = ("call", "place", "text")

    def __init__(self, place: int, text: str, call: str = "") -> None:
        self.place = place
        self.text = text
        self.call = call
        """The group whose pattern is to be repeated here: `\\g<name>`."""


class Span(NamedTuple):
    """A closed group: its first and last piece, and the flags in it."""

    first: Piece
    last: Piece
    flags: frozenset[str]


def write_calls(pieces: list[Piece], groups: Mapping[str, Span], *, most: int) -> None:
    """Replace each call by the pattern of its group; recursive calls stay calls.

    `regex` has calls of its own, but they do not capture.

    Raises:
        OverflowError: the result has more than `most` characters.
    """
    _Calls(pieces, groups, most).write()


class _Calls:
    def __init__(self, pieces: list[Piece], groups: Mapping[str, Span], most: int) -> None:
        self._pieces = pieces
        self._flags = {name: group.flags for name, group in groups.items()}
        places = {id(piece): place for place, piece in enumerate(pieces)}
        self._spans = {
            name: range(places[id(first)], places[id(last)] + 1) for name, (first, last, _) in groups.items()
        }
        self._texts = [piece.text for piece in pieces]
        self._calls = [(place, piece.call) for place, piece in enumerate(pieces) if piece.call]
        self._elsewhere = {name for place, name in self._calls if place not in self._spans[name]}
        """Groups that are called from outside."""
        self._defined: dict[str, None] = {}
        self._left = most

    def write(self) -> None:
        for place, name in self._calls:
            self._pieces[place].text = self._called(name, place, frozenset())
        for name in self._defined:
            pattern = self._pattern(name, frozenset({name}))
            self._pieces.append(Piece(0, f"(?(DEFINE)(?P<{HIDDEN}r_{name}>{pattern}))"))

    def _called(self, name: str, place: int, within: frozenset[str]) -> str:
        inside = place in self._spans[name]
        if inside and name not in self._elsewhere:
            return f"(?&{name})"
        # a recursive group, or one whose number would be taken by a group before it
        if name in within or inside or (name.startswith(HIDDEN) and place < self._spans[name].start):
            self._defined.setdefault(name)
            return f"(?&{HIDDEN}r_{name})"
        return self._pattern(name, within | {name})

    def _pattern(self, name: str, within: frozenset[str]) -> str:
        parts = []
        for place in self._spans[name]:
            call = self._pieces[place].call
            parts.append(self._called(call, place, within) if call else self._texts[place])
        text = "".join(parts)
        self._left -= len(text)
        if self._left < 0:
            raise OverflowError
        on = "".join(sorted(self._flags[name])).replace("m", "s")
        off = "".join(flag for flag in "is" if flag not in on)
        return f"(?{on}{'-' if off else ''}{off}:{text})"
