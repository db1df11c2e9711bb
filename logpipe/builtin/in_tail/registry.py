"""Carries out what was decided: opens the books of files, keeps them open, lets them go, and says so."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.accounting import Books
from logpipe.builtin.in_tail.decide import (
    Action,
    Follow,
    Lost,
    PassOver,
    Place,
    ReadBefore,
    ReadOn,
    SetAside,
    TakeOver,
    read_on,
)
from logpipe.builtin.in_tail.disk import Looker, in_one_visit
from logpipe.builtin.in_tail.folders import Found, close
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import Identity, Look
from logpipe.builtin.in_tail.open_files import OpenFiles
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.table import Table, Trail, shown, tag_of
from logpipe.builtin.message_limit import MessageLimit
from logpipe.builtin.position_file import Position, is_storable

LONGEST_ABSENCE: Final = 60.0
"""Seconds that a path may lead nowhere before it is forgotten what it led to."""


_LOST: Final = (
    "%s was rotated while it was not followed, and the older file is gone: what it held after byte %d was not read"
)


class Registry:
    """The followed paths of one `<source>` and their files."""

    def __init__(
        self, options: TailOptions, host: Host, *, wake: Callable[[Trail], None], moved: Callable[[], None]
    ) -> None:
        """Call `wake` with a path that has something to read, and `moved` when there is something to write down."""
        self.table = Table(self.settled)
        self.files = OpenFiles(host)
        self.messages = MessageLimit(host.log, host.clock)
        self.books = Books(host, self.messages)
        self.wake = wake
        self.moved = moved
        self.unreadable: dict[str, None] = {}
        """Paths that cannot be opened; it was said once of each."""
        self.rotated = host.counter("rotated_file_count", "Files that were rotated or truncated.")
        self._options = options
        self._host = host
        self._refused: set[str] = set()
        host.gauge("tracked_file_count", lambda: sum(each.live is not None for each in self.table.by_path.values()))
        host.gauge("behind_bytes", lambda: sum(each.waiting for each in self.table.generations()))

    def settled(self, trail: Trail) -> None:
        """Note that the rows of a path have changed."""
        trail.moved()
        self.moved()

    def act(self, actions: Iterable[Action], found: Iterable[Found]) -> None:
        """Do what was decided; of the files that were found, those that nobody takes are closed."""
        taken: set[int] = set()
        trails: dict[str, Trail] = {}
        for action in actions:
            trail = trails.get(action.path) or self.table.by_path.get(action.path)
            if trail is None:
                trail = trails[action.path] = Trail(action.path, tag_of(self._options.tag, action.path))
            match action:
                case SetAside(_, generation):
                    self.replace(trail, generation)
                case ReadBefore(_, file, offset, successor):
                    taken.add(id(file))
                    self.read_before(trail, file, offset, successor)
                case ReadOn(_, file, generation):
                    taken.add(id(file))
                    self._read_on(trail, file, generation)
                case Follow(_, file, offset):
                    taken.add(id(file))
                    self._follow(trail, file, offset)
                case TakeOver(_, file, owner, generation):
                    taken.add(id(file))
                    self._take_over(trail, file, owner, generation)
                case PassOver(_, file, why):
                    self.books.pass_over(trail, file.path, file.size, why)
                case Lost(_, offset):
                    self._host.log.warning(_LOST, trail.name, offset)
            if trail.generations:
                self.settled(trail)
                self.wake(trail)
        close(each for each in found if id(each) not in taken)

    async def read_on(self, places: Iterable[Place], looker: Looker) -> None:
        """Read on what was let go while its path led nowhere, if that leads to another file now and more is there.

        So it is where a folder was away for a while, or where nobody makes a new file for long.
        """
        ends = {place.path: place.now.identity for place in places if place.now is not None}
        last = [(path, left) for path in ends if (left := self.table.left(path)) is not None and not left.gone]
        rows = [left.saved_as(path) for path, left in last if left.identity != ends[path]]
        found = await self._host.in_thread(looker.rows, rows, {}, set(ends.values())) if rows else []
        self.act(read_on(self.table, found), [row.found for row in found if row.found is not None])

    def replace(self, trail: Trail, live: Generation) -> None:
        """Note that a path no longer leads to its live generation."""
        self._host.log.info("detected rotation of %s; waiting %s seconds", trail.name, float(self._options.rotate_wait))
        self.rotated.add(1)
        self.set_aside(trail, live)

    def set_aside(self, trail: Trail, live: Generation) -> None:
        """Read a file to its end, then let it go."""
        self.table.set_aside(trail, live, now=self._host.clock.monotonic())
        self.files.keep(live)
        self.wake(trail)

    def read_before(
        self,
        trail: Trail,
        found: Found,
        offset: int,
        before: Generation | None = None,
        *,
        continues: Generation | None = None,
    ) -> Generation:
        """Read the rest of a file before another one of its path, as in `Table.add`."""
        # it was renamed no later than it changed last: a start must not begin its rotate_wait anew
        since = (self._host.clock.now() - found.changed) / 1_000_000_000 if found.changed else 0.0
        replaced_at = self._host.clock.monotonic() - max(0.0, min(since, float(self._options.rotate_wait)))
        generation = self.table.add(trail, found, offset, replaced_at=replaced_at, before=before, continues=continues)
        self.files.hold(generation, found.file)
        if generation.behind:
            self._host.log.info("reading the rest of %s, which was %s", shown(found.path), trail.name)
        return generation

    def _follow(self, trail: Trail, found: Found, offset: int) -> None:
        if found.identity in _own_output():  # reading that would feed on itself
            close([found])
            self._refuse(trail.path, f"{trail.name} is where our own log goes: it is not followed")
            return
        self.add(trail, found, offset)
        self._host.log.info("following tail of %s", trail.name)
        if self._options.pos_file is not None and not is_storable(trail.path):
            self._refuse(trail.path, f"{trail.name!r} cannot stand in pos_file: its position is not remembered")

    def add(self, trail: Trail, found: Found, offset: int) -> None:
        """Follow a file that a path leads to."""
        trail.wanted = True
        self.files.hold(self.table.add(trail, found, offset), found.file)

    def _take_over(self, trail: Trail, found: Found, owner: Trail, generation: Generation) -> None:
        was_finished = generation.finished
        self.table.take_over(trail, owner, generation, found.path)
        trail.wanted = True
        generation.nameless = generation.kept = False
        if was_finished:
            self.books.regain(trail, generation)
            self.files.hold(generation, found.file)
        else:
            close([found])
        self._host.log.info("following tail of %s", trail.name)

    def _read_on(self, trail: Trail, found: Found, generation: Generation) -> None:
        self.table.resume(trail, generation, found.path, now=self._host.clock.monotonic())
        self.books.regain(trail, generation)
        self.files.hold(generation, found.file)
        self._host.log.info("reading what was added to %s, which was %s", shown(found.path), trail.name)

    def _refuse(self, path: str, message: str) -> None:
        """Say once what is not done for a path."""
        if path not in self._refused:
            self._refused.add(path)
            self._host.log.warning("%s", message)

    def note_error(self, path: str, error: OSError | None) -> None:
        """Say once that a path cannot be opened, and remember it; None is that it can."""
        if error is None or isinstance(error, FileNotFoundError):
            self.unreadable.pop(path, None)
        elif path not in self.unreadable:
            self.unreadable[path] = None
            self._host.log.warning(
                "%s unreadable. It is excluded and would be examined next time. (%s)", shown(path), error.strerror
            )

    def read_more(self, trail: Trail, generation: Generation) -> None:
        """Read what may have come to a file."""
        generation.pending = True
        self.wake(trail)

    async def look_at(self, files: Iterable[tuple[Trail, Generation]]) -> list[tuple[Trail, Generation, Look | None]]:
        """See how much files hold now; None where that cannot be seen.

        More of how they begin is remembered, though it is not read yet: by that a file is known again, whatever it is
        called.
        """
        asked = list(files)
        looks = await in_one_visit(self._host, Look.at, [generation.known for _, generation in asked])
        seen = [(trail, generation, look) for (trail, generation), look in zip(asked, looks, strict=True)]
        for trail, generation, look in seen:
            if look is not None and look.head.length > generation.head.length:
                generation.head = look.head
                self.settled(trail)
        return seen

    async def finish(self, generations: Iterable[tuple[Trail, Generation]]) -> None:
        """Let go of generations that are read to their end; not of those to which something has come meanwhile."""
        done = [(trail, each) for trail, each in generations if each.replaced_at is not None and not each.pending]
        done = [(trail, each) for trail, each in done if each.damage or not each.behind]
        for trail, generation in done:
            self.books.damaged(trail, generation)
            self.table.finish(generation)
            self.moved()
        await self.files.close(generation for _, generation in done)

    def forget(self, trail: Trail, *, but: int, awaited: Collection[Identity] = ()) -> list[Position]:
        """Let go of a path's generations that are finished and settled, all but some and those that another path takes.

        Returns the rows of those whose files may be followed or looked for again: they are still there under the path,
        or it leads nowhere, as where a disk is away. Then what lies beside it may not have been compared yet with what
        lay there in an earlier run.
        """
        over = [each for each in trail.done[: max(0, len(trail.done) - but)] if each.identity not in awaited]
        away = not but and trail.wanted and trail.live is None
        if away and len(over) < len(trail.generations):
            return []  # its rows are looked for together, or not at all
        if over:
            self.table.remove(trail, *over)
            for generation in over:
                self.books.close(trail, generation)
                trail.remember(generation.head, generation.size)
            self.settled(trail)
        if not trail.generations and self.table.by_path.pop(trail.path, None) is not None:
            self.books.drop(trail)
            self._refused.discard(trail.path)
        return [each.saved_as(trail.path) for each in over if (each.kept or away) and not each.gone]

    def may_come_again(self, trail: Trail) -> bool:
        """Return whether a path leads nowhere since a short time: its files tell what came and went unnoticed."""
        if not trail.wanted or trail.live is not None or not trail.generations:
            return False
        gone_at = trail.generations[-1].replaced_at
        return gone_at is not None and self._host.clock.monotonic() - gone_at < LONGEST_ABSENCE


def _own_output() -> Iterator[Identity]:
    """Yield the files that standard output and error go to."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                yield Identity.of(status)
