"""Files that are cut: what was not read of them is in the copy that was made before, if there is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from logpipe import Host
from logpipe.builtin.in_tail.archive import SUFFIX, Archive
from logpipe.builtin.in_tail.decide import CLOCK_GRAIN
from logpipe.builtin.in_tail.disk import survey, who_is
from logpipe.builtin.in_tail.folders import Found, close
from logpipe.builtin.in_tail.following import Following
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.table import Trail


class Cut(NamedTuple):
    """What to do about a file whose content was cut off, or may have been."""

    own: Found | None
    """The copy of what was followed."""
    missed: list[Found]
    """Copies of what came and went since, oldest first."""


def after_cut(since: int, copies: Iterable[tuple[Found, bool]]) -> Cut:
    """Sort the files that came beside one that was cut, each with whether it holds what was read of that.

    Others are the path's if they came after `since`, when all that was in it was last read.
    """
    own: Found | None = None
    missed: list[Found] = []
    for found, holds in sorted(copies, key=lambda copy: copy[0].age):
        if holds:
            own = own or found
        elif found.changed >= since - CLOCK_GRAIN:
            missed.append(found)
    return Cut(own, missed)


class Cuts:
    """What a reader calls when a file is not what it was."""

    def __init__(self, host: Host, following: Following) -> None:
        self._host = host
        self._following = following
        self._registry = following.registry
        self.books = following.registry.books
        self._table = following.table

    async def truncated(self, trail: Trail, generation: Generation) -> None:
        """Begin anew with a file whose content is no longer what was read from it.

        What was not read of the old content is read from the copy that copytruncate made, if there is one.
        """
        async with self._following.changing:
            await self._following.look()  # its path may lead elsewhere by now
            file = generation.file
            if file is None or generation not in trail.generations:
                return
            cut = await self._find(trail, generation, generation.read_at)
            beginning = await self._host.in_thread(file.rewind)
            # from here on nothing waits: positions must not be written while the path has no generation
            was_live = generation is trail.live
            self._registry.files.release(generation)
            self._go_on(trail, generation, cut.own)
            self._read_missed(trail, generation, cut)
            born = generation.born
            after = trail.after(generation)
            self._table.remove(trail, generation)
            start = Found(generation.inode_path, generation.identity, born, file.size, file.changed, 0, beginning, file)
            if was_live:
                self._registry.rotated.add(1)
                self._host.log.info("detected rotation of %s", trail.name)
                self._registry.add(trail, start, 0)
            else:  # it was cut first and renamed then
                self._registry.read_before(trail, start, 0, after).nameless = generation.nameless
            for each in trail.generations:
                each.after_cut = each.after_cut or each.file is file
            self._registry.settled(trail)

    async def look_for_copies(self, trail: Trail, generation: Generation) -> None:
        """Look for what was in a file between two looks, and is gone from it: it was written, copied and cut."""
        async with self._following.changing:
            await self._following.look()
            if generation not in trail.generations:
                return
            cut = await self._find(trail, generation, generation.checked_at)
            self._read_missed(trail, generation, cut)
            close([cut.own] if cut.own is not None else [])

    async def _find(self, trail: Trail, generation: Generation, since: int) -> Cut:
        """Open the copies that were made of a file; its own may be any, others came after `since`."""
        looker, content = self._following.looker, generation.content
        await self._following.look_for_arrivals(trail)
        copies = await self._host.in_thread(looker.copies, trail.arrived, content)
        known = [each for each, holds in copies if not holds and _has_read(trail, trail.generations, each)]
        for each in known:
            _forget(trail, each)
        cut = after_cut(since, [copy for copy in copies if copy[0] not in known])
        close(each for each, _ in copies if each is not cut.own and each not in cut.missed)
        if cut.own is None and generation.behind:
            cut = cut._replace(own=await self._copy_beside(trail, generation))
        return cut

    async def _copy_beside(self, trail: Trail, generation: Generation) -> Found | None:
        """Open any file beside a path that holds what was read of one of its generations."""
        if not trail.hops:
            return None
        end = trail.hops[-1]
        here = await self._host.in_thread(survey, end[0])
        begun = {each.identity for each in trail.generations if each.begun and not _may_be_copy(each, generation)}
        return await self._host.in_thread(self._following.looker.copy, end, generation.content, here.names, begun)

    async def _likely_copy(self, trail: Trail, generation: Generation) -> Found | None:
        """Open what gzip made of a file that is gone, or another one beside it that begins like it.

        That is for one that held too little to tell its copy by when it was seen last.
        """
        content = generation.content
        if content.telling or not content.head.length:
            return None
        await self._following.look_for_arrivals(trail)
        paths = [generation.inode_path + SUFFIX, *trail.arrived]
        there = [found for found, _ in await self._host.in_thread(self._following.looker.copies, paths, content)]
        others = [each for each in trail.generations if each is not generation]
        alike = (each for each in there if content.head.begins(each.beginning) and each.size >= content.offset)
        likely = [each for each in alike if self._table.find(each) is None and not _has_read(trail, others, each)]
        own = min(likely, key=lambda each: each.age, default=None)
        close(each for each in there if each is not own)
        if own is not None:
            trail.remember(own.head, own.size)
            _forget(trail, own)
        return own

    def _read_missed(self, trail: Trail, generation: Generation, cut: Cut) -> None:
        """Read what came and went since, in front of what there is now."""
        other = generation if generation is trail.live else trail.after(generation)  # they came after it
        for found in cut.missed:
            if self._table.find(found) is None:
                self._registry.read_before(trail, found, 0, other)
                self._registry.wake(trail)
            else:
                close([found])
            _forget(trail, found)
        if cut.own is not None:
            trail.remember(cut.own.head, cut.own.size)
            _forget(trail, cut.own)

    def _go_on(self, trail: Trail, generation: Generation, copy: Found | None) -> None:
        """Go on with a generation in the copy of its file; what is in no copy is lost."""
        if copy is None:
            self.books.abandon(trail, generation, "truncated")
            self.books.close(trail, generation)
            return
        # what was written after the copy was made, and before the file was cut, is in neither
        if copy.exact:
            size, generation.size = generation.size, min(generation.size, copy.size)
            self.books.shorten(trail, generation, size)
        self._discard(trail, copy)
        if self._table.find(copy) is not None:
            generation.skip(generation.behind, "elsewhere")  # the copy is followed under its own name
        elif copy.size > generation.offset or not generation.settlement.complete:
            # what is owed for the file is owed for the copy now
            self._registry.read_before(trail, copy, generation.offset, generation, continues=generation)
            return
        self.books.close(trail, generation)
        close([copy])

    def _discard(self, trail: Trail, copy: Found) -> None:
        """Take out an older generation of which nothing was read, if the copy is its file: only the rest is wanted."""
        known = self._table.find(copy)
        if known is not None and known[0] is trail and known[1] in self._table.replaced and not known[1].begun:
            self._registry.files.close_now(known[1])
            self._table.remove(trail, known[1])

    async def give_up(self, trail: Trail, generation: Generation, reason: str) -> None:
        """Read a generation no further, its file is gone or cannot be read for good; or go on in a copy of it."""
        async with self._following.changing:
            await self._following.look()
            if generation.finished or generation not in trail.generations:
                return
            own: Found | None = None
            if generation.file is None:
                who = await self._host.in_thread(who_is, generation.inode_path)
                if who == (generation.identity, generation.born):
                    return  # it is known by now where it is
                own = await self._copy_beside(trail, generation) or await self._likely_copy(trail, generation)
            if generation.replaced_at is None:
                self._registry.replace(trail, generation)
            if own is not None:
                self._go_on(trail, generation, own)
                self._table.remove(trail, generation)
                self._registry.settled(trail)
                return
            self.books.abandon(trail, generation, reason)
            self._table.finish(generation)
            await self._registry.files.close([generation])


def _may_be_copy(other: Generation, cut: Generation) -> bool:
    """Return whether another generation of a path may hold all of one that was cut, and is read from its first byte."""
    if other is cut or other.ledger.before:
        return False
    return other.known_size == cut.size or (bool(cut.mark) and other.known_size > cut.size)


def _has_read(trail: Trail, generations: Iterable[Generation], found: Found) -> bool:
    """Return whether a compressed file holds what is or was read before it was compressed, as one of `generations`."""
    if not isinstance(found.file, Archive):
        return False
    contents = [*trail.contents, *((each.head, each.known_size) for each in generations)]
    return any(head.begins(found.beginning) and size == found.size for head, size in contents if head.length)


def _forget(trail: Trail, found: Found) -> None:
    for member in [each for each in trail.arrivals if each.last == found.path]:
        del trail.arrivals[member]
