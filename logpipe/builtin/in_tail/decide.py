"""What is done about files that come, go and change their names: decisions, without any I/O.

Only what is known to have been a path's file is its past: a file that was followed, or whose rename from the path was
reported. Where nobody reported, a file is taken for it only if it was not there at the last look, came to be or got its
name after that, is called as rotated files are, and is nobody else's. In doubt it is not read, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from logpipe.builtin.in_tail.folders import Found, Hops
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import Head, Identity
from logpipe.builtin.in_tail.table import Table, Trail
from logpipe.builtin.position_file import Position


class Candidate(NamedTuple):
    """The path of a file whose name is that of a rotated one, and that was not there at the last look."""

    path: str
    since: int
    """When that look was, nanoseconds since the epoch."""
    listed: bool
    """Whether it is known what lay there then; else only when it was."""


class Doubtful(NamedTuple):
    """Such a file."""

    found: Found
    since: int
    listed: bool


class Ask(NamedTuple):
    """What to look at for a path."""

    path: str
    before: tuple[str, ...] = ()
    """Where the files are that had its name."""
    new: tuple[Candidate, ...] = ()


class Place(NamedTuple):
    """What became of a path since the last look."""

    path: str
    hops: Hops = ()
    now: Found | None = None
    """The file that it leads to."""
    error: OSError | None = None
    """Why that cannot be opened."""
    before: tuple[Found, ...] = ()
    """Files that had its name since the last look and have another one now, oldest first: for certain."""
    new: tuple[Doubtful, ...] = ()
    """Files that may have had its name."""

    @property
    def files(self) -> list[Found]:
        """Every file that may be open."""
        now = [self.now] if self.now is not None else []
        return [*now, *self.before, *(each.found for each in self.new)]


class Row(NamedTuple):
    """One saved position of a path, and the file that it was found to be of."""

    position: Position
    found: Found | None
    hops: Hops
    """Where its path leads."""


class Beginning(NamedTuple):
    """What the saved positions say of a path that is to be followed."""

    place: Place
    own: Position | None
    """The row of the file that the path leads to."""
    rows: tuple[Row, ...]
    """Those of files that it led to before, oldest first."""
    known: bool
    """Whether the path ever had a row."""
    arrived: bool = False
    """Whether the file that the path leads to was not there at the last look of an earlier run."""


CLOCK_GRAIN: Final = 10_000_000
"""Nanoseconds by which a file's times may lag behind the clock: the kernel's, which is why no other is asked here."""


class SetAside(NamedTuple):
    """A path leads to its file no more: read that to its end, then let it go."""

    path: str
    generation: Generation


class ReadBefore(NamedTuple):
    """Read a file that was a path's, before the one that it leads to now."""

    path: str
    found: Found
    offset: int
    successor: Generation | None = None
    """What came after it, where that is known already and is not what the path leads to."""


class Follow(NamedTuple):
    """Follow the file that a path leads to."""

    path: str
    found: Found
    offset: int


class TakeOver(NamedTuple):
    """Go on with a file that is known: it has got a path back, or another one."""

    path: str
    found: Found
    owner: Trail
    generation: Generation


class ReadOn(NamedTuple):
    """Read what was added to a file of a path after it was let go, where nobody saw that: its folder was away."""

    path: str
    found: Found
    generation: Generation


class PassOver(NamedTuple):
    """Say that a file was not read, since it may not be the path's."""

    path: str
    found: Found
    why: str


class Lost(NamedTuple):
    """Say that a file is gone that was to be read on at `offset`."""

    path: str
    offset: int


Action: TypeAlias = SetAside | ReadBefore | ReadOn | Follow | TakeOver | PassOver | Lost


class Rules(NamedTuple):
    """What the configuration says of names."""

    wants: Callable[[str], bool]
    """Whether a path is meant, for itself."""
    excludes: Callable[[str], bool]
    """Whether exclude_path names a path."""
    follows: Callable[[str], bool]
    """Whether a path is followed for itself, by this source or another one."""


def decide(table: Table, places: Iterable[Place], rules: Rules) -> list[Action]:
    """Return what is to be done about paths that may lead elsewhere, in this order."""
    all_places = list(places)
    aside = [
        SetAside(place.path, live)
        for place in all_places
        if (live := table.live(place.path)) is not None and not (place.now is not None and live.is_of(place.now))
    ]
    leaving = {action.generation for action in aside}
    taken: set[Identity] = set()
    before: list[Action] = []
    after: list[Action] = []
    for place in all_places:
        taken_here = {place.now.identity} if place.now is not None else set()
        live = table.live(place.path)
        kept = live is not None and live not in leaving
        new = [each for each in place.new if not kept or _came_before(live, each.found)]
        actions = [*_certain(table, place), *_pasts(place.path, new, rules)]
        if place.new:
            actions.sort(key=lambda each: each.found.age)
        before += _unknown(table, actions, taken, taken_here)
    for place in all_places:
        if place.now is not None and place.error is None and place.now.identity not in taken:
            after += _now(table, place.path, place.now, 0, leaving)
            taken.add(place.now.identity)
    return [*aside, *before, *after]


def read_on(table: Table, rows: Iterable[Row]) -> list[ReadOn]:
    """Return which files are to be read on that were let go: more is there, of those that were found for their rows."""
    actions: list[ReadOn] = []
    for row in rows:
        known = None if row.found is None else table.find(row.found)
        if row.found is not None and known is not None and known[1].finished and row.found.size > known[1].size:
            actions.append(ReadOn(row.position.path, row.found, known[1]))
    return actions


def begin(table: Table, beginning: Beginning, rules: Rules, *, at_end: bool) -> list[Action]:
    """Return what is to be done about a path that is to be followed from now on.

    A file that has a row goes on there; one that took a known file's place begins at 0, another one at its end if
    `at_end`.
    """
    path, now, own = beginning.place.path, beginning.place.now, beginning.own
    if now is None or beginning.place.error is not None:
        return []
    taken = {now.identity}
    here = [ReadBefore(path, row.found, row.position.offset) for row in beginning.rows if row.found is not None]
    actions: list[Action] = [*_unknown(table, here, taken)]
    missing = [row.position for row in beginning.rows if row.found is None and not row.position.whole]
    new = [each for each in beginning.place.new if beginning.known and _may_be_past(each.found, own)]
    new = [each for each in new if not any(_is_read_as(each.found, row) for row in beginning.rows)]
    pasts = list(_unknown(table, _pasts(path, new, rules, missing), taken))
    actions += (Lost(path, row.offset) for row in missing if not any(_may_be_of(each.found, row) for each in pasts))
    actions += pasts
    actions += _unknown(table, _certain(table, beginning.place), taken)
    if own is not None:
        offset = own.offset if own.offset <= now.size else 0
    else:
        offset = now.size if at_end and not beginning.known and not beginning.arrived else 0
    return [*actions, *_now(table, path, now, offset, ())]


def _unknown(
    table: Table,
    actions: Iterable[ReadBefore | PassOver],
    taken: set[Identity],
    but: Collection[Identity] = (),
) -> Iterator[ReadBefore | PassOver]:
    """Yield what is done with files that are not known, once each."""
    for action in actions:
        identity = action.found.identity
        if identity not in taken and identity not in but and table.find(action.found) is None:
            taken.add(identity)
            yield action


def _may_be_past(found: Found, own: Position | None) -> bool:
    """Return whether a file may be the past of one with a row: its copy before a cut, where something was read of that.

    A cut is seen by the head, but not where that was so short that the file may begin with it again.
    """
    if own is None or not own.offset:
        return True
    head = Head.parse(own.fingerprint)
    return head is not None and not head.telling and head.begins(found.beginning)


def _may_be_of(found: Found, position: Position) -> bool:
    """Return whether a file begins like the one of a row, and is as long as that was at least."""
    head = Head.parse(position.fingerprint)
    return head is not None and head.begins(found.beginning) and found.size >= position.offset


def _is_read_as(found: Found, row: Row) -> bool:
    """Return whether a file is read already as that of a row: it is that, or what gzip is making of it beside it.

    Nothing is concluded from a row alone: where its file was not found, nothing else reads what that held.
    """
    if row.found is None:
        return False
    if found.exact:
        return found.identity.inode == row.position.inode and _may_be_of(found, row.position)
    return found.path.startswith(row.found.path) and found.beginning == row.found.beginning


def _came_before(live: Generation | None, found: Found) -> bool:
    """Return whether a file got its name before the live one was made: it was missed when that was found."""
    return live is not None and 0 < found.changed <= live.born


def _certain(table: Table, place: Place) -> list[ReadBefore]:
    """Return the reading of files that had the path's name; one that is found late comes before its successors."""
    actions: list[ReadBefore] = []
    successor: Generation | None = None
    for found in reversed(place.before):
        known = table.find(found)
        if known is None:
            actions.append(ReadBefore(place.path, found, 0, successor))
        elif known[0].path == place.path:
            successor = known[1]
    return actions[::-1]


def _pasts(
    path: str, new: Iterable[Doubtful], rules: Rules, missing: Collection[Position] = ()
) -> Iterator[ReadBefore | PassOver]:
    """Yield what is done with files that may have been a path's, oldest first; those of `missing` rows may be."""
    for each in sorted(new, key=lambda each: each.found.age):
        if rules.follows(each.found.path):
            continue
        why = _doubt(each, rules, missing)
        if why:
            yield PassOver(path, each.found, why)
        elif why is not None:
            yield ReadBefore(path, each.found, 0)


def _doubt(each: Doubtful, rules: Rules, missing: Iterable[Position]) -> str | None:
    """Return why a file may not be the path's; empty where it is, None where it surely is not."""
    found, since = each.found, each.since - CLOCK_GRAIN
    if not each.listed and (found.born or found.changed) < since:
        return None
    is_owed = any(_may_be_of(found, row) and row.offset < found.size for row in missing)
    if not found.exact and found.modified < since and not is_owed:  # compressing keeps the time of what is compressed
        return None
    if rules.excludes(found.path):
        return "exclude_path names it"
    if not each.listed and not found.born:
        return "nothing tells whether it was there before"
    if max(found.born, found.changed) < since:
        return "it is older than the last look at its folder"
    return ""


def _now(table: Table, path: str, now: Found, offset: int, leaving: Collection[Generation | None]) -> Iterator[Action]:
    known = table.find(now)
    if known is None:
        yield Follow(path, now, offset)
        return
    owner, generation = known
    if generation.replaced_at is None and generation not in leaving:
        return  # two paths lead to one file: it is read once
    if owner.path == path or generation.finished:
        yield TakeOver(path, now, owner, generation)
    # else the file stays with its old name until what it held then is read
