"""Files that were compressed with gzip after they were rotated: as the content that they hold."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpipe.builtin.in_tail.archive import CUT_OFF, Archive
from logpipe.builtin.in_tail.logfile import NO_HEAD, Content, Head, LogFile

TEXT = b"".join(b"%06d the quick brown fox\n" % number for number in range(40_000))


def packed(path: Path, content: bytes = TEXT) -> Path:
    """Write a gzip file."""
    path.write_bytes(gzip.compress(content, compresslevel=1, mtime=0))
    return path


def read_all(file: LogFile, place: int = 0, *, step: int = 100_000) -> bytes:
    """Read on from a place as a generation does."""
    found = b""
    for _ in range(10_000):
        file.place, file.mark = place + len(found), found[-64:]
        found += file.read(step)[len(file.mark) :]
        if place + len(found) >= file.size:
            return found
    raise AssertionError("there is no end to it")


def test_it_is_read_as_what_it_holds(tmp_path: Path) -> None:
    """From its head or from where it was left, in steps of any size."""
    for place, step in ((0, 100_000), (123_457, 70_001), (len(TEXT), 10), (len(TEXT) - 1, 1)):
        with Archive(str(packed(tmp_path / "a.gz"))) as file:
            assert read_all(file, place, step=step) == TEXT[place:]
            assert (file.size, file.damage) == (len(TEXT), "")


def test_a_refused_slice_is_there_again(tmp_path: Path) -> None:
    """The same place can be read many times, with more of it each time, and a place before it too."""
    with Archive(str(packed(tmp_path / "a.gz"))) as file:
        for place, size in ((500_000, 10), (500_000, 300_000), (500_000, 10), (7, 20)):
            file.place, file.mark = place, TEXT[max(0, place - 64) : place]
            assert file.read(size) == file.mark + TEXT[place : place + size]


@given(cuts=st.lists(st.integers(0, 2000), max_size=5), padding=st.sampled_from([b"", b"\0" * 512, b"rubbish"]))
def test_several_members_are_one_content(tmp_path_factory: Any, cuts: list[int], padding: bytes) -> None:
    """As gzip reads them; what follows the last one is none of it."""
    content = TEXT[:2000]
    places = [0, *sorted(cuts), len(content)]
    path = tmp_path_factory.mktemp("members") / "a.gz"
    members = [gzip.compress(content[begin:end]) for begin, end in pairwise(places)]
    path.write_bytes(b"".join(members) + padding)
    with Archive(str(path)) as file:
        assert read_all(file, step=700) == content
        assert file.damage == ""
    assert content.startswith(gzip.decompress(b"".join(members)))


def test_a_way_of_many_visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread is not kept for the whole way to a far place: until then there is nothing, but no end either."""
    monkeypatch.setattr("logpipe.builtin.in_tail.archive._VISIT", 300_000)
    with Archive(str(packed(tmp_path / "a.gz"))) as file:
        file.place, file.mark = 900_000, TEXT[899_936:900_000]
        visits = 0
        while (data := file.read(1000)) == file.mark:
            assert file.size > file.place
            visits += 1
        assert data == TEXT[899_936:901_000]
        assert visits > 1


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A bomb of 256 MiB passes through, in pieces."""
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(256):
            file.write(bytes(1 << 20))
        file.write(b"end\n")
    tracemalloc.start()
    try:
        with Archive(str(path)) as archive:
            assert archive.next_text(0) == 256 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("keep", [0, 5, 20, 1000, 100_000])
def test_what_is_cut_off_is_read_to_there(keep: int, tmp_path: Path) -> None:
    """Whatever is there comes, and then the end is said to be none; more of it is taken when it comes."""
    whole = packed(tmp_path / "a.gz").read_bytes()
    path = tmp_path / "b.gz"
    path.write_bytes(whole[:keep])
    with Archive(str(path)) as file:
        found = read_all(file)
        assert TEXT.startswith(found)
        assert file.damage == CUT_OFF
        assert file.length() == file.size
        path.write_bytes(whole)
        assert file.length() > file.size
        assert found + read_all(file, len(found)) == TEXT
        assert file.damage == ""


@given(place=st.integers(10, 130_000), bit=st.integers(0, 7))
def test_no_flipped_bit_breaks_it(tmp_path_factory: Any, place: int, bit: int) -> None:
    """What comes before the damage is right; that there is damage is said, and how much is missing."""
    path = packed(tmp_path_factory.mktemp("flipped") / "a.gz")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with Archive(str(path)) as file:
        read_all(file)
        assert file.damage
        if file.damage != CUT_OFF and place % len(content) < len(content) - 8:
            assert file.missing == max(0, len(TEXT) - file.size)


def test_what_is_no_archive(tmp_path: Path) -> None:
    """A name says nothing: what is inside counts."""
    path = tmp_path / "a.gz"
    path.write_bytes(b"plain text\n" * 100)
    with Archive(str(path)) as file:
        assert read_all(file) == b""
        assert file.damage


def test_a_shorter_one_is_not_what_was_read(tmp_path: Path) -> None:
    """It ends before the place, or holds something else before it: that is damage, and its end."""
    for content, place, mark in ((TEXT[:5000], 6000, b""), (TEXT, 6000, b"other")):
        with Archive(str(packed(tmp_path / "a.gz", content))) as file:
            file.place, file.mark = place, mark
            assert file.read(100) == mark
            assert file.damage
            assert file.size >= place


def test_a_copy_is_known_by_head_and_mark(tmp_path: Path) -> None:
    """Both have to fit; NO_HEAD fits everything."""
    content = Content(Head.of(TEXT), 50_000, TEXT[49_936:50_000])
    for text, expected in (
        (TEXT, True),
        (TEXT[:50_000], True),
        (TEXT[:49_999], False),
        (b"x" + TEXT[1:], False),
        (TEXT[:49_999] + b"x", False),
    ):
        with Archive(str(packed(tmp_path / "a.gz", text))) as file:
            assert file.holds(content) is expected
            assert file.holds(Content(NO_HEAD, 0, b""))


@pytest.mark.parametrize("length", [0, 1, 34, 1024, 1025, 5000, len(TEXT)])
def test_its_size_is_known_from_the_first(length: int, tmp_path: Path) -> None:
    """The trailer says it, and where all is in sight that is seen to be so."""
    with Archive(str(packed(tmp_path / "a.gz", TEXT[:length]))) as file:
        assert file.size == length


def test_random_reads_agree_with_the_content(tmp_path: Path) -> None:
    """Forwards, on the spot, and back."""
    chance = random.Random(7)
    with Archive(str(packed(tmp_path / "a.gz"))) as file:
        for _ in range(60):
            place = chance.randrange(len(TEXT))
            size = chance.randrange(1, 200_000)
            file.place, file.mark = place, TEXT[max(0, place - 64) : place]
            data = file.read(size)
            assert data == TEXT[max(0, place - 64) : place + size]
