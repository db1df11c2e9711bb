"""Payloads in one piece read as the list that they stand for."""

from __future__ import annotations

import pytest

from logpipe.codec import Encoded, joined, lengths_of, pieces_in, size_of

PAYLOADS = [b"a", b"", b"ccc", b"dd", b"e" * 300]


@pytest.fixture(params=[b"", b"}\n"])
def tail(request: pytest.FixtureRequest) -> bytes:
    """What each payload ends with."""
    found: bytes = request.param
    return found


@pytest.mark.parametrize("bounds", [(0, 5), (1, 4), (3, 4), (2, 2), (4, 1), (0, 99), (-2, 5)])
def test_it_is_a_sequence(bounds: tuple[int, int], tail: bytes) -> None:
    """Of all payloads, and of a slice of a slice."""
    start, stop = bounds
    wanted = [payload + tail for payload in PAYLOADS]
    encoded = Encoded.of(PAYLOADS, tail)
    for found, expected in (
        (encoded, wanted),
        (encoded.slice(start, stop), wanted[start:stop]),
        (encoded[start:stop], wanted[start:stop]),
        (encoded.slice(1, 5).slice(start, stop), wanted[1:5][start:stop]),
        (encoded[1:5][::2], wanted[1:5][::2]),
    ):
        assert list(found) == expected
        assert [found[number] for number in range(len(found))] == expected
        assert size_of(found) == sum(map(len, expected))
        assert list(lengths_of(found)) == [*map(len, expected)]
        assert joined(found) == b"".join(expected) == b"".join(pieces_in(found))
        assert bool(found) == bool(expected)


def test_places_from_the_end_and_beyond(tail: bytes) -> None:
    """As with any sequence."""
    encoded = Encoded.of(PAYLOADS, tail).slice(1, 4)
    assert encoded[-1] == b"dd" + tail
    assert encoded[-3] == tail
    with pytest.raises(IndexError):
        encoded[3]
    assert b"ccc" + tail in encoded


def test_a_slice_keeps_no_more_than_its_own(tail: bytes) -> None:
    """A part that waits for long does not hold the whole."""
    encoded = Encoded.of(PAYLOADS, tail)
    assert encoded.slice(2, 4).blob == b"cccdd"
    assert encoded.slice(4, 4).blob == b""


def test_a_tail_is_stored_once() -> None:
    """It counts for each payload all the same."""
    encoded = Encoded.of(PAYLOADS, b"-" * 1000)
    assert len(encoded.blob) == 306
    assert encoded.nbytes == 5306


def test_one_piece_stays_one() -> None:
    """Nothing is copied that need not be."""
    encoded = Encoded.of(PAYLOADS)
    assert joined(encoded) is encoded.blob
