"""Bytes to messages, however they are torn."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest

from logpipe.builtin.message_inputs.framing import BrokenFrameError, Delimited, Framing, OctetCounted, TooLong

PIECES = 40


def pieces(data: bytes, random: Random) -> list[bytes]:
    """Tear bytes into pieces, some of them empty."""
    places = sorted(random.choices(range(len(data) + 1), k=min(PIECES, len(data))))
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]


def fed(framing: Framing, data: list[bytes]) -> list[bytes]:
    return [message for each in data for message in framing.feed(each)]


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"aba", b"\0"])
def test_delimited(delimiter: bytes) -> None:
    """Every message as it was, empty ones too, and the rest waits."""
    random = Random(delimiter.hex())
    for _ in range(30):
        text = bytes(random.choices(b"ab\r\n\0c", k=200))
        expected = text.split(delimiter)
        framing = Delimited(delimiter)
        assert fed(framing, pieces(text, random)) == expected[:-1]
        assert framing.held == len(expected[-1])


@pytest.mark.parametrize("delimiter", [b"\n", b"<>"])
def test_long_messages_are_left_out(delimiter: bytes) -> None:
    """And no other, wherever they are torn; they are not held either."""
    random = Random(1)
    for _ in range(50):
        framing = Delimited(delimiter, limit=10)
        sent = [random.choice((b"x", b"y")) * random.choice((0, 3, 9, 10, 11, 50)) for _ in range(9)]
        found = []
        for piece in pieces(delimiter.join([*sent, b""]), random):
            found += framing.feed(piece)
            assert framing.held <= 10 + len(delimiter) - 1
        assert found == [each for each in sent if len(each) <= 10]
        assert [each.head for each in framing.too_long] == [each.head[:32] for each in framing.too_long]
        assert len(framing.too_long) == sum(len(each) > 10 for each in sent)


def test_octet_counted() -> None:
    """Whatever is in them; what is longer than the limit is passed over, and a newline between two."""
    random = Random(2)
    for _ in range(50):
        sent = [bytes(random.choices(b"12 \nx", k=random.choice((0, 1, 9, 10, 11, 70)))) for _ in range(9)]
        data = b"".join(b"%s%d %s" % (random.choice((b"", b"\n")), len(each), each) for each in sent)
        framing = OctetCounted(limit=10)
        found = []
        for piece in pieces(data, random):
            found += framing.feed(piece)
            assert framing.held <= 10 + 5
        assert found == [each for each in sent if len(each) <= 10]
        assert [each.size for each in framing.too_long] == [len(each) for each in sent if len(each) > 10]


@pytest.mark.parametrize("sent", [b"hello", b"<6>x", b"-1 x", b" 5 hello", b"12345678901 x", b"5x hello", b"\0"])
def test_what_is_no_length(sent: bytes) -> None:
    """What came before it is whole; then there is no way on."""
    framing = OctetCounted()
    assert framing.feed(b"2 ab" + sent) == [b"ab"]
    with pytest.raises(BrokenFrameError, match="is no length of a message"):
        framing.feed(b"x")
    with pytest.raises(BrokenFrameError):
        OctetCounted().feed(sent)


@pytest.mark.parametrize("framing", [Delimited(b"\n"), OctetCounted()])
def test_a_long_message_in_small_pieces_takes_linear_time(framing: Framing) -> None:
    """Its bytes are moved a few times each, not once a piece."""
    framing.feed(b"2000000 ")
    tracemalloc.start()
    for _ in range(1000):
        framing.feed(b"x" * 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert framing.held >= 1_000_000
    assert peak < 3_000_000


def test_too_long_says_how_it_began() -> None:
    """Size and first bytes, for the log."""
    framing = Delimited(b"\n", limit=2)
    framing.feed(b"abc\n" + b"d" * 40)
    assert framing.too_long == [TooLong(3, b"abc"), TooLong(40, b"d" * 32)]
