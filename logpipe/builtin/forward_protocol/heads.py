"""The first bytes of values in MessagePack: what they announce, without reading what follows."""

from __future__ import annotations

from typing import Final, NamedTuple

_SIZES: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4}
"""How many bytes the length of a string takes, by its first byte."""
_COUNTS: Final = {0xDC: 2, 0xDD: 4}
"""The same for arrays."""
_FIXED: Final = {
    **dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC3), 1),
    **dict.fromkeys((0xCC, 0xD0), 2),
    **dict.fromkeys((0xCD, 0xD1, 0xD4), 3),
    0xD5: 4,
    **dict.fromkeys((0xCA, 0xCE, 0xD2), 5),
    0xD6: 6,
    **dict.fromkeys((0xCB, 0xCF, 0xD3), 9),
    0xD7: 10,
    0xD8: 18,
}
"""The bytes of values that are always as long: nil, booleans, numbers, short extensions."""
NIL: Final = 0xC0


class Span(NamedTuple):
    """Where a string's bytes begin, and where they end: it need not be there yet."""

    start: int
    stop: int


class IncompleteError(Exception):
    """The first bytes are not all there."""


def is_array(first: int) -> bool:
    """Return whether a value that begins so is an array."""
    return first >> 4 == 0x9 or first in _COUNTS


def is_map(first: int) -> bool:
    """Return whether a value that begins so is a map."""
    return first >> 4 == 0x8 or first in {0xDE, 0xDF}


def is_container(first: int) -> bool:
    """Return whether a value that begins so holds others."""
    return is_array(first) or is_map(first)


def array_at(data: bytes | bytearray, place: int) -> tuple[int, int] | None:
    """Return how many values the array at a place has, and where the first begins; None where there is no array.

    Raises:
        IncompleteError: there are too few bytes to tell.
    """
    first = _byte(data, place)
    if first >> 4 == 0x9:
        return first & 0xF, place + 1
    size = _COUNTS.get(first)
    return (_number(data, place + 1, size), place + 1 + size) if size else None


def string_at(data: bytes | bytearray, place: int) -> Span | None:
    """Return where the string at a place is, of text or of bytes; None where there is none.

    Raises:
        IncompleteError: there are too few bytes to tell.
    """
    first = _byte(data, place)
    if first >> 5 == 0x5:
        return Span(place + 1, place + 1 + (first & 0x1F))
    size = _SIZES.get(first)
    if size is None:
        return None
    start = place + 1 + size
    return Span(start, start + _number(data, place + 1, size))


def _byte(data: bytes | bytearray, place: int) -> int:
    if place >= len(data):
        raise IncompleteError
    return data[place]


def _number(data: bytes | bytearray, place: int, size: int) -> int:
    if place + size > len(data):
        raise IncompleteError
    return int.from_bytes(data[place : place + size], "big")


def has_at_most(most: int, data: bytes, place: int) -> bool:
    """Return whether the value at a place, which is all there, is not more than so many, those within it too."""
    left = 1
    while left and most >= 0 and place < len(data):
        first = data[place]
        size, inside = _shape(data, place, first)
        place += size
        left += inside - 1
        most -= 1
    return most >= 0


def _shape(data: bytes, place: int, first: int) -> tuple[int, int]:
    """Return how many bytes a value takes, without those in it, and how many are in it."""
    if first < 0x80 or first >= 0xE0:
        return 1, 0
    if first < 0x90:
        return 1, 2 * (first & 0xF)
    if first < 0xA0:
        return 1, first & 0xF
    if first < 0xC0:
        return 1 + (first & 0x1F), 0
    if first in _SIZES:
        size = _SIZES[first]
        return 1 + size + _number(data, place + 1, size), 0
    if first in _COUNTS:
        return 1 + _COUNTS[first], _number(data, place + 1, _COUNTS[first])
    if first >= 0xDE:
        size = 2 if first == 0xDE else 4
        return 1 + size, 2 * _number(data, place + 1, size)
    if 0xC7 <= first <= 0xC9:
        size = 1 << (first - 0xC7)
        return 2 + size + _number(data, place + 1, size), 0
    return _FIXED[first], 0
