"""Files that are renamed all the time while they are looked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import disk
from logpipe.builtin.in_tail.decide import Ask, Place
from logpipe.builtin.in_tail.disk import Looker
from logpipe.builtin.in_tail.folders import Found, close
from logpipe.builtin.in_tail.logfile import Identity, LogFile
from logpipe.builtin.in_tail.several_looks import SeveralLooks

ROTATIONS = 25
ORDER = ((1, "gone", 5), (2, "first", 9), (3, "second", 2), (4, "now", 9))


def open_file() -> LogFile:
    return LogFile(__file__)


async def test_a_rotation_in_every_look(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that have another name whenever one looks are found when that ends, each once."""
    log = tmp_path / "a.log"
    names = iter(f"generation {number}" for number in range(ROTATIONS + 2))
    left = ROTATIONS
    places = Looker.places

    def rotate() -> None:
        for old in sorted(tmp_path.glob("a.log.*"), key=lambda path: -int(path.suffix[1:])):
            old.rename(tmp_path / f"a.log.{int(old.suffix[1:]) + 1}")
        log.rename(tmp_path / "a.log.1")
        log.write_text(f"{next(names)}\n")

    def rotated(looker: Looker, asks: Iterable[Ask], held: int = 0) -> list[Place]:
        nonlocal left
        if left:
            left -= 1
            rotate()
        return places(looker, asks, held)

    log.write_text(f"{next(names)}\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        monkeypatch.setattr(Looker, "places", rotated)
        rotate()
        await run.tick_until(lambda: not left and len(run.host.lines) >= ROTATIONS + 2)
        await run.idle()
        assert len(set(run.host.lines)) == len(run.host.lines) == ROTATIONS + 2


async def test_a_file_that_is_found_late(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files never stand still, and one is in no look until they do: it comes before those that came after it."""
    log = tmp_path / "a.log"
    names = iter(f"generation {number:02}" for number in range(2 * ROTATIONS + 2))
    expected: list[str] = []
    left = ROTATIONS
    places = Looker.places

    def make() -> None:
        expected.append(next(names))
        log.write_text(f"{expected[-1]}\n")

    def rotate() -> None:
        for old in sorted(tmp_path.glob("a.log.*"), key=lambda path: -int(path.suffix[1:])):
            old.rename(tmp_path / f"a.log.{int(old.suffix[1:]) + 1}")
        log.rename(tmp_path / "a.log.1")
        make()

    def overlooked(looker: Looker, asks: Iterable[Ask], held: int = 0) -> list[Place]:
        nonlocal left
        if not left:
            return places(looker, asks, held)
        left -= 1
        rotate()
        rotate()
        found = places(looker, asks, held)
        late = [each for place in found for each in place.before if each.beginning == b"generation 02\n"]
        close(late)
        return [place._replace(before=tuple(each for each in place.before if each not in late)) for place in found]

    make()
    async with follow(tmp_path) as run:
        await run.lines(1)
        run.host.refusals = 1  # nothing is read before all are known
        monkeypatch.setattr(Looker, "places", overlooked)
        rotate()
        await run.until(lambda: not left and len(list(run.tail.registry.table.generations())) == len(expected))
        await run.tick_until(lambda: len(run.host.lines) >= len(expected))
        assert run.host.lines == expected


async def test_rotations_within_each_look(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its path was found to lead to is not the youngest file any more when those with other names are opened."""
    log = tmp_path / "a.log"
    expected = ["generation 0"]
    left = ROTATIONS
    open_file = disk.open_file

    def opened(path: str, *, archive: bool = False) -> Found:
        nonlocal left
        found = open_file(path, archive=archive)
        for _ in range(2 if path == str(log) and left else 0):
            for old in sorted(tmp_path.glob("a.log.*"), key=lambda path: -int(path.suffix[1:])):
                old.rename(tmp_path / f"a.log.{int(old.suffix[1:]) + 1}")
            log.rename(tmp_path / "a.log.1")
            expected.append(f"generation {len(expected)}")
            log.write_text(f"{expected[-1]}\n")
            left -= left > 0
        return found

    log.write_text(f"{expected[-1]}\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        run.host.refusals = 1  # nothing is read before all are known
        monkeypatch.setattr(disk, "open_file", opened)
        run.append(log, "late\n")
        log.rename(tmp_path / "a.log.1")
        log.write_text("next\n")
        await run.until(lambda: not left and len(list(run.tail.registry.table.generations())) == len(expected) + 1)
        await run.tick_until(lambda: len(run.host.lines) >= len(expected) + 2)
        assert run.host.lines == [expected[0], "late", "next", *expected[1:]]


async def test_a_new_file_that_is_renamed_after_it_was_listed(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells of names: it is not found where it was listed, and the next list has it under another name."""
    log, old, older, survey = tmp_path / "a.log", tmp_path / "a.log.1", tmp_path / "a.log.2", disk.survey

    def renamed(base: str) -> disk.Survey:
        seen = survey(base)
        if old.exists():
            old.rename(older)
        return seen

    log.write_text("1\n")
    async with follow(tmp_path, "enable_stat_watcher false", path="a.log") as run:
        await run.lines(1)
        monkeypatch.setattr(disk, "survey", renamed)
        log.rename(tmp_path / "a.log.3")
        old.write_text("2\n")
        log.write_text("3\n")
        await run.tick_until(lambda: "3" in run.host.lines)
        assert run.host.lines == ["1", "2", "3"]


def test_files_of_one_moment_in_several_looks() -> None:
    """A look that misses a file does not put it behind one that came after it; clocks are too coarse to tell."""
    first, second, third = (Found(name, Identity(1, number), number, 4, 9) for number, name in enumerate("abc", 1))
    found_so_far = SeveralLooks()
    for before, now in ((first,), second), ((first,), third), ((), Found("d", Identity(1, 4), 4, 4, 9)):
        files = [each._replace(file=open_file()) for each in before]
        found_so_far.add([Place("p", (), now._replace(file=open_file()), None, tuple(files))])
    (place,) = found_so_far.result(still=False)
    assert [each.identity.inode for each in place.before] == [1, 2, 3]
    close(place.files)


def test_a_file_that_only_an_earlier_look_found() -> None:
    """The others stay in the order that was told, though the oldest of them was written to last."""
    found_so_far = SeveralLooks()
    files = [Found(name, Identity(1, number), number, 4, time, file=open_file()) for number, name, time in ORDER]
    gone, first, second, now = files
    found_so_far.add([Place("p", (), gone)])
    found_so_far.add([Place("p", (), now, None, (first, second))])
    (place,) = found_so_far.result(still=True)
    assert [each.path for each in place.before] == ["gone", "first", "second"]
    close(place.files)


def test_what_there_was_no_room_for_is_not_held() -> None:
    """Files that were closed again count as little as those that could not be opened, in any of the looks."""
    found_so_far = SeveralLooks()
    first, second, third, gone = (Found(name, Identity(1, number)) for number, name in enumerate("abcd", 1))
    for before, now in (first, second), (gone, third):
        files = [each._replace(file=open_file()) for each in (before, now)]
        found_so_far.add([Place("p", (), files[1], None, (files[0],))])
        close(files[:1])
    unreadable = Found("q", Identity(1, 5))
    found_so_far.add([Place("q", (), unreadable)])
    assert found_so_far.held == 2
    close(found_so_far.result(still=True)[0].files)
    close([files[1]])
