"""Every short history of a small folder: what is decided about it, without any file."""

from __future__ import annotations

from itertools import product

import pytest

from logpipe.builtin.in_tail.decide import (
    Doubtful,
    Follow,
    PassOver,
    Place,
    ReadBefore,
    Rules,
    SetAside,
    TakeOver,
    decide,
)
from logpipe.builtin.in_tail.folders import Folders, Found, Happened, Kind, Step, rotation_of
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.table import Table, Trail

PATH = "a.log"
MOVES = {"rotate": (PATH, "a.log.1"), "shift": ("a.log.1", "a.log.2"), "away": (PATH, "x"), "back": ("x", PATH)}
DOINGS = ("make", "drop", "delete", "look", *MOVES)
RULES = Rules(wants=lambda path: path == PATH, excludes=lambda _: False, follows=lambda _: False)


class World:
    """A folder in which `a.log` is followed."""

    def __init__(self, *, watched: bool) -> None:
        self.watched = watched
        self.now = 1_000_000_000
        self.names: dict[str, Found] = {}
        self.steps: list[Step] = []
        self.were: list[Found] = []
        """All files that had the name, in that order."""
        self.table = Table(lambda _: None)
        self.folders = Folders(self.who_was_at)
        self.known: set[Identity] = set()
        self.looked_at = 0
        self.make(PATH)
        self.look()

    def who_was_at(self, _: str, name: str) -> tuple[Identity, int] | None:
        live = self.table.live(PATH)
        return (live.identity, live.born) if name == PATH and live is not None else None

    def make(self, name: str) -> None:
        if name not in self.names:
            self.now += 1_000_000_000
            found = Found(name, Identity(1, self.now), self.now, 4, self.now, self.now, b"text")
            self.names[name] = found
            self.steps.append(Step("", name, Kind.MADE))
            self.was(found)

    def was(self, found: Found) -> None:
        if found.path == PATH and found.identity not in {each.identity for each in self.were}:
            self.were.append(found)

    def move(self, old: str, new: str) -> None:
        if old in self.names:
            self.now += 1_000_000_000
            found = self.names.pop(old)._replace(path=new, changed=self.now)
            self.names[new] = found
            self.steps += [Step("", old, Kind.LEFT, self.now), Step("", new, Kind.CAME, self.now)]
            self.was(found)

    def do(self, doing: str) -> None:
        if doing == "make":
            self.make(PATH)
        elif doing == "drop":
            self.make("a.log.1")
        elif doing == "delete" and "a.log.1" in self.names:
            del self.names["a.log.1"]
            self.steps.append(Step("", "a.log.1", Kind.DELETED))
        elif doing == "look":
            self.look()
        elif doing in MOVES:
            self.move(*MOVES[doing])

    def look(self) -> None:
        before: list[Found] = []
        new: list[Doubtful] = []
        if self.watched:
            happened = Happened()
            happened.add(self.folders.apply(self.steps, happened))
            chain = happened.arrived.get(("", PATH), ())
            before = [self.names[each.path] for each in chain if each.path not in {None, PATH}]  # type: ignore[index]
            self.folders.rest(happened, lambda _: False)
        else:
            rotated = [each for name, each in self.names.items() if rotation_of(PATH).fullmatch(name)]
            fresh = [each for each in rotated if each.identity not in self.known and self.table.find(each) is None]
            new = [Doubtful(each, self.looked_at, listed=True) for each in fresh]
        place = Place(PATH, (("", PATH),), self.names.get(PATH), None, tuple(before), tuple(new))
        for action in decide(self.table, [place], RULES):
            trail = self.table.by_path.get(PATH) or Trail(PATH, "t")
            match action:
                case SetAside(_, generation):
                    self.table.set_aside(trail, generation, now=0.0)
                case ReadBefore(_, found, offset):
                    self.table.add(trail, found, offset, replaced_at=0.0)
                case Follow(_, found, offset):
                    self.table.add(trail, found, offset)
                case TakeOver(_, found, owner, generation):
                    self.table.take_over(trail, owner, generation, found.path)
                case PassOver():
                    raise AssertionError
        self.steps = []
        self.known = {each.identity for each in self.names.values()}
        self.looked_at = self.now

    def read(self) -> list[Identity]:
        return [each.identity for each in self.table.generations()]


@pytest.mark.parametrize("watched", [True, False])
def test_every_short_history(watched: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """A file is read once; where renames are reported, all that had the name are, and no other file.

    Where none are, what is read had the name, or came to be called like it since the last look.
    """
    for history in product(DOINGS, repeat=5):
        world = World(watched=watched)
        for doing in history:
            world.do(doing)
        world.look()
        read = world.read()
        assert len(read) == len(set(read)), history
        live = world.table.live(PATH)
        assert (None if live is None else live.identity) == (
            world.names[PATH].identity if PATH in world.names else None
        ), history
        if not watched:
            continue
        were = [each.identity for each in world.were]
        there = {each.identity for each in world.names.values()}
        assert set(read) <= set(were), history
        assert {each for each in were if each in there} <= set(read), history
        if "back" not in history:
            assert read == [each for each in were if each in set(read)], history


def test_a_file_that_lay_there_is_nobodys_past() -> None:
    """Also where nobody reports: what was there at the last look is not read, whatever happens then."""
    for history in product(DOINGS, repeat=4):
        world = World(watched=False)
        world.do("drop")
        world.look()
        stranger = world.names["a.log.1"].identity
        for doing in history:
            world.do(doing)
        world.look()
        had_the_name = stranger in {each.identity for each in world.were}
        assert stranger not in world.read() or had_the_name, history


@pytest.mark.parametrize(
    ("read", "found", "is_it"),
    [
        (b"text", b"text", True),
        (b"text", b"text and more", True),
        (b"text", b"tex", False),
        (b"text", b"other text", False),
        (b"\0\0\0\0", b"\0\0\0\0", True),
        (b"\0", b"\0", True),
        (b"\0\0\0\0", b"\0\0\0\0\0", False),
        (b"\0\0\0\0", b"text", True),
        (b"", b"", False),
    ],
)
def test_a_file_on_a_disk_that_knows_no_births_is_known_by_its_head(read: bytes, found: bytes, *, is_it: bool) -> None:
    """By its size where it begins with a hole; that of an empty file fits every other one, so that it tells nothing."""
    before, now = (Found(PATH, Identity(1, 1), size=len(data), beginning=data) for data in (read, found))
    generation = Table(lambda _: None).add(Trail(PATH, "t"), before, 0)

    assert generation.is_of(now), "until it is read to its end"
    generation.finished = True
    assert generation.is_of(now) == is_it
    generation.gone = True
    assert not generation.is_of(now), "the disk gives a number again"
    assert not generation.is_of(now._replace(identity=Identity(1, 2)))


def test_names_that_count_up_from_the_youngest() -> None:
    """They sort files of the same moment; no number, a 0 and what is a date or no count say nothing."""

    def number(name: str) -> int:
        return Found(name, Identity(1, 1)).age[1]

    assert sorted(["a.log.1", "a.log.10", "a.log.2"], key=number) == ["a.log.10", "a.log.2", "a.log.1"]
    assert {number(name) for name in ("a.log", "a.log.0", "a.log-20260101", "a.log.99999999")} == {0}
    assert number("a.log.9999999") == -9999999
