"""Every generation that is followed, and whose it is: a file has one, however many paths lead to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from logpipe import Host
from logpipe.builtin.in_tail.books import Books
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.neighbours import Start
from logpipe.builtin.in_tail.open_files import OpenFiles
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.trail import MOST_CONTENTS, Trail, shown
from logpipe.builtin.position_file import is_storable


class Roster:
    """Puts generations to their paths, and takes them from there."""

    def __init__(
        self, options: TailOptions, host: Host, *, files: OpenFiles, books: Books, settled: Callable[[Trail], None]
    ) -> None:
        self.replaced: dict[Generation, Trail] = {}
        """Generations that were rotated away and may still have something to read."""
        self.own_output: frozenset[Identity] = frozenset()
        """The files that our own log goes to: reading them would feed on itself."""
        self._remembers = options.pos_file is not None
        self._host = host
        self._files = files
        self._books = books
        self._settled = settled
        self._owners: dict[Identity, Trail] = {}
        self._refused: set[str] = set()

    def knows(self, start: Start) -> bool:
        """Return whether a file has a generation; one with the inode of a file that is gone has none."""
        return self._find(start) is not None

    def _find(self, start: Start) -> tuple[Trail, Generation] | None:
        """Return whose a file is, and its generation."""
        identity = start.file.identity
        owner = self._owners.get(identity)
        if owner is None:
            return None
        generation = next(each for each in reversed(owner.generations) if each.identity == identity)
        is_it = generation.file is not None or (not generation.gone and start.was(generation.head, generation.size))
        return (owner, generation) if is_it or not generation.finished else None

    def add_older(self, trail: Trail, start: Start) -> None:
        """Read the rest of a file that was rotated away from a path, before what came after it."""
        if self.knows(start):
            start.file.close()
            return
        generation = self._older(trail, start)
        trail.insert(generation)
        if generation.behind:
            self._host.log.info("reading the rest of %s, which was %s", shown(start.path), trail.name)

    def go_on(self, trail: Trail, generation: Generation, copy: Start) -> None:
        """Go on with a generation in the copy of its file; what is owed for it is owed for the copy now."""
        rest = self._older(trail, copy)
        rest.mark, rest.settlement, rest.ledger = generation.mark, generation.settlement, generation.ledger
        trail.insert_before(generation, rest)

    def _older(self, trail: Trail, start: Start) -> Generation:
        generation = self._generation(trail, start)
        generation.replaced_at = self._host.clock.monotonic()
        self.replaced[generation] = trail
        self._files.hold(generation, start.file)
        return generation

    def add_live(self, trail: Trail, start: Start) -> None:
        """Follow the file that a path leads to now."""
        found = self._find(start)
        if found is not None:
            self._meet(trail, *found, start)
        elif start.file.identity in self.own_output:
            start.file.close()
            self._refuse(trail.path, f"{trail.name} is where our own log goes: it is not followed")
        else:
            generation = self._generation(trail, start)
            generation.seen_at = time.time_ns()
            trail.generations.append(generation)
            self._files.hold(generation, start.file)
            self._host.log.info("following tail of %s", trail.name)
            if self._remembers and not is_storable(trail.path):
                self._refuse(trail.path, f"{trail.name!r} cannot stand in pos_file: its position is not remembered")

    def _generation(self, trail: Trail, start: Start) -> Generation:
        file = start.file
        self._owners[file.identity] = trail
        return Generation(
            file.identity,
            start.path,
            offset=start.offset,
            moved=partial(self._settled, trail),
            size=file.size,
            modified=file.changed,
            head=start.head,
            form=type(file),
        )

    def _refuse(self, path: str, message: str) -> None:
        """Say once what is not done for a path."""
        if path not in self._refused:
            self._refused.add(path)
            self._host.log.warning("%s", message)

    def _meet(self, trail: Trail, owner: Trail, generation: Generation, start: Start) -> None:
        """A path leads to a file that is known: one that was renamed, back or to another name that is followed.

        While the old name's events are still being read the file stays with that name; a file to which two paths lead
        at the same time is read once.
        """
        if generation.replaced_at is None or (owner is not trail and not generation.finished):
            start.file.close()
            return
        owner.generations.remove(generation)
        owner.moved()
        self.replaced.pop(generation, None)
        generation.settlement.moved = partial(self._settled, trail)
        generation.inode_path = start.path
        generation.replaced_at = None
        generation.closing = False
        generation.stirred = True
        generation.seen_at = time.time_ns()
        if generation.finished:
            generation.finished = False
            self._books.regain(trail, generation)
            self._files.hold(generation, start.file)
        else:
            start.file.close()
        trail.generations.append(generation)
        self._owners[generation.identity] = trail
        self._host.log.info("following tail of %s", trail.name)

    def set_aside(self, trail: Trail, live: Generation) -> None:
        """Note that a path leads to its live generation no more."""
        live.replaced_at = self._host.clock.monotonic()
        live.stirred = True
        self.replaced[live] = trail
        self._files.keep(live)

    def finish(self, generation: Generation) -> None:
        """Note that nothing more is read of a generation; it stays until its receipts have settled."""
        generation.finished = True
        generation.stirred = False
        self.replaced.pop(generation, None)

    def discard(self, trail: Trail, start: Start) -> None:
        """Take out an older generation of which nothing was read, if it is that file or what that was compressed to.

        What it holds is read from that file.
        """
        file, twin = start.file, (start.head, start.file.size)
        for each in trail.generations:
            if each not in self.replaced or each.begun:
                continue
            is_other_form = each.form is not type(file) and (each.head, each.size) == twin
            if each.identity == file.identity or is_other_form:
                self._files.close_now(each)
                self.remove(trail, each)
                return

    def remove(self, trail: Trail, generation: Generation) -> None:
        """Take a generation out whose file goes on as another one."""
        trail.generations.remove(generation)
        self.replaced.pop(generation, None)
        self._disown(trail, generation)

    def _disown(self, trail: Trail, generation: Generation) -> None:
        """Let the inode of a generation that was taken from its path be another file's, if it is not already."""
        if self._owners.get(generation.identity) is trail and all(
            each.identity != generation.identity for each in trail.generations
        ):
            del self._owners[generation.identity]

    def let_go(self, trail: Trail, generations: Iterable[Generation]) -> None:
        """Forget generations that were taken from their path: their inodes may come back as other files."""
        for generation in generations:
            self._books.close(trail, generation)
            trail.contents = (*trail.contents[1 - MOST_CONTENTS :], (generation.head, generation.size))
            self._disown(trail, generation)

    def drop(self, trail: Trail) -> None:
        """Forget a path that has no generation left."""
        self._books.drop(trail)
        self._refused.discard(trail.path)
