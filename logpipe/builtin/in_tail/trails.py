"""Every followed path, and what happens to its files: found, rotated, truncated, gone, read to the end.

Files change while we look at them. Therefore changes are made one at a time, each on what a single look at a path
said, and a look that comes too late finds nothing to do. The rule that holds between them: a path that leads to a file
has exactly one live generation, with that file's identity, and a file has one generation however many paths lead to it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from logpipe import Host, SourceAccount
from logpipe.builtin.in_tail.archive import SUFFIX
from logpipe.builtin.in_tail.books import Books
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.history import CLOCK_GRAIN, Beginning, Copies, History, Saved
from logpipe.builtin.in_tail.logfile import Content, Identity, Look, looks
from logpipe.builtin.in_tail.neighbours import Neighbours, Start
from logpipe.builtin.in_tail.open_files import OpenFiles
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.roster import Roster
from logpipe.builtin.in_tail.targets import Status, look
from logpipe.builtin.in_tail.trail import MOST_FINISHED, Trail, shown, tag_of
from logpipe.builtin.in_tail.watch import Watch
from logpipe.builtin.position_file import Entry, Loaded, entry

LONGEST_ABSENCE: Final = 60.0
"""Seconds that a path may lead nowhere before it is forgotten what it led to."""

_AT_ONCE: Final = 64
"""Files opened in one visit to a thread."""


class Trails:
    """The followed paths of one `<source>`."""

    def __init__(
        self,
        options: TailOptions,
        host: Host,
        *,
        files: OpenFiles,
        watch: Watch,
        wake: Callable[[Trail], None],
        moved: Callable[[], None],
    ) -> None:
        self.by_path: dict[str, Trail] = {}
        self.unreadable: dict[str, None] = {}
        """Paths that cannot be opened; it was said once of each."""
        self.saved = Saved(Loaded([], [], 0.0))
        self._options = options
        self._host = host
        self._files = files
        self._watch = watch
        self._wake = wake
        self._moved = moved
        self._history = History(Neighbours(archive_suffix=SUFFIX if options.read_compressed_rotated else ""))
        self._changing = asyncio.Lock()
        self.books = Books(host)
        self.roster = Roster(options, host, files=files, books=self.books, settled=self._settled)
        self._rotated = host.counter("rotated_file_count", "Files that were rotated or truncated.")
        self._missed = host.counter("missed_event_count", "Rotations that inotify did not report.")
        host.gauge("tracked_file_count", lambda: sum(trail.live is not None for trail in self.by_path.values()))
        host.gauge("behind_bytes", lambda: sum(each.waiting for each in self.generations()))

    def generations(self) -> Iterator[Generation]:
        """Yield every generation."""
        return (each for trail in self.by_path.values() for each in trail.generations)

    def accounts(self) -> Iterator[SourceAccount]:
        """Yield where the bytes of each path went."""
        return self.books.accounts(self.by_path.values())

    def entries(self) -> list[Entry]:
        """Return the rows of the position file: what was followed before and is not found yet, and what is followed."""
        return [entry(self.saved.unclaimed()), *(trail.entry for trail in self.by_path.values())]

    def _settled(self, trail: Trail) -> None:
        trail.moved()
        self._moved()

    async def follow(self, paths: Iterable[str], *, new_at_end: bool) -> None:
        """Begin to follow paths; those that are followed already are passed over."""
        waiting = iter(paths)
        while some := list(islice(waiting, _AT_ONCE)):
            async with self._changing:
                new = [path for path in some if path not in self.by_path]
                for beginning in await self._host.in_thread(self._history.begin_all, new, self.saved, new_at_end):
                    self._adopt(beginning)
                for trail in [trail for path in some if (trail := self.by_path.get(path)) and trail.live is None]:
                    await self._succeed(trail)

    async def look_again(self, trails: Iterable[Trail]) -> None:
        """Ask the file system where paths lead now, and follow that."""
        asked = list(trails)
        statuses = await self._host.in_thread(look_all, [trail.path for trail in asked])
        await self.compare(zip(asked, statuses, strict=True), audit=False)

    async def compare(self, seen: Iterable[tuple[Trail, Status]], *, audit: bool) -> None:
        """Act on what paths were seen to lead to; an `audit` finds only what nobody reported."""
        async with self._changing:
            for trail, status in seen:
                live = trail.live
                if live is not None and status is not None and Identity.of(status) == live.identity:
                    self._see(trail, live, status)
                elif trail.wanted and (live is not None or status is not None):
                    await self._renew(trail, audit=audit)

    async def _renew(self, trail: Trail, *, audit: bool) -> None:
        """Follow a path to where it leads now; what was seen before the lock was taken may be old."""
        status = await self._host.in_thread(look, trail.path)
        live = trail.live
        if live is not None and (status is None or Identity.of(status) != live.identity):
            self._missed.add(audit)
            self._replace(trail, live)
        if status is not None and trail.live is None:
            await self._succeed(trail)

    def _see(self, trail: Trail, live: Generation, status: os.stat_result) -> None:
        """Note that a path leads where it led, and read if anything was written."""
        live.seen_at = time.time_ns()
        live.seen_size = status.st_size
        if status.st_size != live.size or status.st_mtime_ns != live.modified:
            live.stirred = True
            self._wake(trail)

    def _replace(self, trail: Trail, live: Generation) -> None:
        """Note that a path no longer leads to its live generation."""
        self._host.log.info("detected rotation of %s; waiting %s seconds", trail.name, float(self._options.rotate_wait))
        self._rotated.add(1)
        self._set_aside(trail, live)

    def _set_aside(self, trail: Trail, live: Generation) -> None:
        self.roster.set_aside(trail, live)
        self._wake(trail)

    async def _succeed(self, trail: Trail) -> None:
        """Follow the file that a path leads to now, after those that came and went since the last one."""
        since = _last_sure(trail.generations[-1]) if trail.generations else time.time_ns()
        self._adopt(await self._host.in_thread(self._history.succeed, trail.path, since, trail.known))

    def let_go(self, trail: Trail) -> None:
        """Read a path's file to its end and follow it no longer: the configuration means it no more."""
        trail.wanted = False
        if (live := trail.live) is not None:
            self._set_aside(trail, live)

    def _adopt(self, beginning: Beginning) -> None:
        """Follow what was opened."""
        path = beginning.path
        self.saved.claim(beginning.claimed)
        if beginning.error is not None:
            self._complain(path, beginning.error)
        else:
            self.unreadable.pop(path, None)
        for offset in beginning.lost:
            self._host.log.warning(
                "%s was rotated while it was not followed, and the older file is gone: what it held after byte %d was "
                "not read",
                shown(path),
                offset,
            )
        trail = self.by_path.get(path) or Trail(path, tag_of(self._options.tag, path))
        for start in beginning.older:
            self.roster.add_older(trail, start)
        if beginning.live is not None:
            self.roster.add_live(trail, beginning.live)
        if not trail.generations:
            return
        self.by_path[path] = trail
        trail.wanted = True
        if trail.hops != beginning.hops:
            self._watch.follow(trail, beginning.hops)
        self.roster.let_go(trail, trail.forget_finished(but=MOST_FINISHED))
        self._settled(trail)
        self._wake(trail)

    def _complain(self, path: str, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            self.unreadable.pop(path, None)
        if isinstance(error, FileNotFoundError) or path in self.unreadable:
            return
        self.unreadable[path] = None
        self._host.log.warning(
            "%s unreadable. It is excluded and would be examined next time. (%s)", shown(path), error.strerror
        )

    def note_head(self, trail: Trail, generation: Generation, seen: Look | None) -> None:
        """Remember more of how a file begins that is not read yet: by that it is known again, whatever it is called."""
        if seen is not None and seen.head.length > generation.head.length:
            generation.head = seen.head
            self._settled(trail)

    async def look_a_last_time(self) -> None:
        """Note where every path leads, how much is there of every open file, and how it begins."""
        await self.look_again(self.by_path.values())
        opened = [(trail, each) for trail in self.by_path.values() for each in trail.generations if each.file]
        if not opened:
            return
        seen = await self._host.in_thread(looks, [(each.file, each.head) for _, each in opened])
        for (trail, generation), found in zip(opened, seen, strict=True):
            if found is not None:
                generation.seen_size = found.length
                self.note_head(trail, generation, found)

    def shortened(self, trail: Trail, generation: Generation, size: int) -> None:
        """Note that a file of that size was cut behind what was read of it."""
        self.books.shorten(trail, generation, size)

    async def truncated(self, trail: Trail, generation: Generation) -> None:
        """Begin anew with a file whose content is no longer what was read from it.

        What was not read of the old content is read from the copy that copytruncate made, if there is one.
        """
        async with self._changing:
            file = generation.file
            if file is None or generation not in trail.generations:
                return
            copies = await self._copies(trail, generation)
            beginning = await self._host.in_thread(file.rewind)
            # from here on nothing waits: positions must not be written while the path has no generation
            was_live = generation is trail.live
            self._files.release(generation)
            self._read_copies(trail, generation, copies)
            self.roster.remove(trail, generation)
            start = Start(file, generation.inode_path, 0, beginning)
            self.roster.discard(trail, start)
            if was_live:
                self._rotated.add(1)
                self._host.log.info("detected rotation of %s", trail.name)
                self.roster.add_live(trail, start)
            else:  # it was cut first and renamed then
                self.roster.add_older(trail, start)
            for each in trail.generations:
                each.after_cut = each.after_cut or each.file is file
            self._settled(trail)

    async def look_for_copies(self, trail: Trail, generation: Generation) -> None:
        """Look for what was in a file between two looks, and is gone from it: it was written, copied and cut."""
        async with self._changing:
            copies = await self._copies(trail, generation)
            if copies.own is not None:
                self.roster.discard(trail, copies.own)
                self._know_copy(trail, copies.own)
            if copies.missed:  # if the path leads elsewhere by now they came after this file, not before it
                await self._renew(trail, audit=False)
            for start in copies.missed:
                self.roster.add_older(trail, start)

    async def _copies(self, trail: Trail, generation: Generation) -> Copies:
        content = _content(generation)
        return await self._host.in_thread(
            self._history.find_copies, trail.path, content, _last_sure(generation), trail.known, trail.begun
        )

    def _read_copies(self, trail: Trail, generation: Generation, copies: Copies) -> None:
        """Read on in the copies that were made of a file that was cut; what is in none of them is lost."""
        if copies.own is None:
            self.books.abandon(trail, generation, "truncated")
            self.books.close(trail, generation)
        else:
            self._go_on(trail, generation, copies.own)
        for start in copies.missed:
            self.roster.add_older(trail, start)

    def _go_on(self, trail: Trail, generation: Generation, copy: Start) -> None:
        """Go on with a generation in the copy of its file; what is owed for it is owed for the copy now.

        What was written after the copy was made, and before the file was cut, is in neither.
        """
        if copy.file.exact:
            size, generation.size = generation.size, min(generation.size, copy.file.size)
            self.books.shorten(trail, generation, size)
        self.roster.discard(trail, copy)
        if self.roster.knows(copy):
            generation.skip(generation.behind, "elsewhere")  # the copy is followed under its own name
        elif copy.file.size > generation.offset or not generation.settlement.complete:
            self.roster.go_on(trail, generation, copy)
            return
        self.books.close(trail, generation)
        self._know_copy(trail, copy)

    def _know_copy(self, trail: Trail, copy: Start) -> None:
        """Remember a copy of what was read, so that nobody takes it for something else."""
        trail.copies = (*trail.copies[-MOST_FINISHED:], (copy.file.identity, copy.head, copy.file.size))
        copy.file.close()

    async def give_up(self, trail: Trail, generation: Generation, reason: str) -> None:
        """Read a generation no further, its file is gone or cannot be read for good; or go on in a copy of it."""
        async with self._changing:
            if generation.finished or generation not in trail.generations:
                return
            copy = (
                None
                if generation.file
                else await self._host.in_thread(self._history.find_copy, trail.path, _content(generation), trail.begun)
            )
            if generation.replaced_at is None:
                self._replace(trail, generation)
            if copy is not None:
                self._go_on(trail, generation, copy)
                self.roster.remove(trail, generation)
                self._settled(trail)
                return
            self.books.abandon(trail, generation, reason)
            self.roster.finish(generation)
            await self._files.close([generation])

    async def finish(self, generations: Iterable[tuple[Trail, Generation]]) -> None:
        """Let go of generations that are read to their end; not of those to which something has come meanwhile."""
        async with self._changing:
            done = [(trail, each) for trail, each in generations if each.replaced_at is not None]
            done = [(trail, each) for trail, each in done if not each.stirred and (each.damage or not each.behind)]
            for trail, generation in done:
                self.books.damaged(trail, generation)
                self.roster.finish(generation)
            await self._files.close(generation for _, generation in done)

    def forget(self, *, saved_too: bool) -> None:
        """Let go of what is finished and settled; called after a look at all paths has found what was renamed.

        With `saved_too` the saved positions go whose files have not come.
        """
        if saved_too and self.saved.unclaimed():
            self.saved.drop()
            self._moved()
        for trail in list(self.by_path.values()):
            over = trail.forget_finished(but=self._may_come_again(trail))
            if over:
                self.roster.let_go(trail, over)
                self._settled(trail)
            if not trail.generations:
                del self.by_path[trail.path]
                self.roster.drop(trail)
                self._watch.forget(trail)

    def _may_come_again(self, trail: Trail) -> bool:
        """Return whether a path leads nowhere since a short time: its last file tells what came and went unnoticed."""
        if not trail.wanted or trail.live is not None or not trail.generations:
            return False
        gone_at = trail.generations[-1].replaced_at
        return gone_at is not None and self._host.clock.monotonic() - gone_at < LONGEST_ABSENCE

    async def close(self) -> None:
        """Close every file."""
        await self._files.close_all()


def _last_sure(generation: Generation) -> int:
    """Return a time at which a generation was still what its path led to: whatever is older came before it."""
    return min(generation.modified, generation.seen_at - CLOCK_GRAIN)


def _content(generation: Generation) -> Content:
    return Content(generation.head, generation.offset, generation.mark, generation.size)


def look_all(paths: list[str]) -> list[Status]:
    """Return the status of several paths, None for those that lead to no regular file; blocks."""
    return [look(path) for path in paths]
