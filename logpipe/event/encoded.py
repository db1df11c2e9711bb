"""Payloads in one piece: what an output makes of its events, without an object for each of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import sub
from typing import TypeAlias, overload

_Places: TypeAlias = slice
"""Python's, where a method is called like it."""


class Encoded(Sequence[bytes]):
    """Payloads that stand one behind the other in one `blob`; a tail that all of them end with is stored once.

    It reads as the sequence of its payloads; who can do without them takes `blob`, `lengths`, `joined` and `slice`.
    A payload with a tail is never empty: a batch with a record that cannot be encoded is a list.

    Args:
        blob: all payloads, without their tails.
        ends: where each one ends, from the start of the first.
        tail: what each of them ends with.
        base: what is to be subtracted from `ends`, where they go on from other payloads.
    """

    __slots__ = ("base", "blob", "ends", "tail")

    def __init__(self, blob: bytes, ends: array[int], tail: bytes = b"", *, base: int = 0) -> None:
        self.blob = blob
        self.ends = ends
        self.tail = tail
        self.base = base

    @classmethod
    def of(cls, payloads: Sequence[bytes], tail: bytes = b"") -> Encoded:
        """Return payloads in one piece, each with `tail` behind it."""
        return cls(b"".join(payloads), array("I", accumulate(map(len, payloads))), tail)

    @property
    def nbytes(self) -> int:
        """Bytes of all payloads with their tails."""
        return len(self.blob) + len(self.ends) * len(self.tail)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[bytes]:
        blob, tail, base = self.blob, self.tail, self.base
        spans = pairwise(chain((base,), self.ends))
        if tail:
            return (blob[start - base : end - base] + tail for start, end in spans)
        return (blob[start - base : end - base] for start, end in spans)

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: _Places) -> list[bytes] | Encoded: ...

    def __getitem__(self, place: int | _Places) -> bytes | list[bytes] | Encoded:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self.ends))
            return self.slice(start, stop) if step == 1 else [self[number] for number in range(start, stop, step)]
        number = range(len(self.ends))[place]
        return self.blob[self._start(number) - self.base : self.ends[number] - self.base] + self.tail

    def _start(self, number: int) -> int:
        return self.ends[number - 1] if number else self.base

    def slice(self, start: int, stop: int) -> Encoded:
        """Return the payloads from number `start` until before `stop`, with a blob of their own."""
        start, stop, _ = slice(start, stop).indices(len(self.ends))
        if start >= stop:
            return Encoded(b"", array("I"), self.tail)
        base = self._start(start)
        blob = self.blob[base - self.base : self.ends[stop - 1] - self.base]
        return Encoded(blob, self.ends[start:stop], self.tail, base=base)

    def lengths(self) -> Iterator[int]:
        """Yield the bytes of each payload."""
        more = len(self.tail)
        bare = map(sub, self.ends, chain((self.base,), self.ends))
        return (length + more for length in bare) if more else bare

    def joined(self) -> bytes:
        """Return all payloads, one behind the other."""
        return b"".join(self) if self.tail else self.blob


Payloads: TypeAlias = list[bytes] | Encoded
"""What an output's `encode` returns: one for each event."""


def size_of(payloads: Sequence[bytes]) -> int:
    """Return the bytes of payloads together."""
    return payloads.nbytes if isinstance(payloads, Encoded) else sum(map(len, payloads))


def lengths_of(payloads: Sequence[bytes]) -> Iterator[int]:
    """Yield the bytes of each payload."""
    return payloads.lengths() if isinstance(payloads, Encoded) else map(len, payloads)


def pieces_in(payloads: Payloads) -> Sequence[bytes]:
    """Return the bytes of payloads in as many pieces as they are in."""
    return (payloads.joined(),) if isinstance(payloads, Encoded) else payloads


def joined(payloads: Sequence[bytes]) -> bytes:
    """Return payloads, one behind the other."""
    return payloads.joined() if isinstance(payloads, Encoded) else b"".join(payloads)
