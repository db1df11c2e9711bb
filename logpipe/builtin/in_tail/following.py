"""Follows paths to the files that they lead to: looks, decides and acts, one thing at a time.

Files change while we look at them. What inotify tells is taken until nothing more comes for the files that were looked
at; where it tells nothing, a folder is looked at until it stands still.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail import disk
from logpipe.builtin.in_tail.checkpoints import FolderLooks
from logpipe.builtin.in_tail.decide import Ask, Candidate, Place, Rules, begin, decide
from logpipe.builtin.in_tail.disk import Looker, Status, Survey, in_one_visit
from logpipe.builtin.in_tail.folders import (
    Folders,
    Happened,
    Hops,
    Key,
    Member,
    Who,
    key_of,
    looks_rotated,
    rotation_of,
)
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.registry import Registry
from logpipe.builtin.in_tail.several_looks import SeveralLooks
from logpipe.builtin.in_tail.table import MOST_FINISHED, Trail
from logpipe.builtin.in_tail.watch import Watch

_AT_ONCE: Final = 64
"""Paths looked at in one visit to a thread."""

MOST_MOVED: Final = 1024
"""Files that are remembered as moved while it is not sure that they were found."""


class Following:
    """The followed paths of one `<source>`, kept in step with the disk."""

    def __init__(
        self, options: TailOptions, host: Host, registry: Registry, rules: Rules, *, search: Callable[[], None]
    ) -> None:
        """Call `search` where everything has to be searched for again."""
        self.registry = registry
        self.table = registry.table
        self.watch = Watch(host.log)
        self.looker = Looker(options.archive_suffix, room=registry.files.room)
        self.rules = rules
        self.changing = asyncio.Lock()
        """Held by whoever looks, decides and acts."""
        self.folders = Folders(self._who_was_at, archive_suffix=options.archive_suffix)
        self.looks = FolderLooks(self.folders, self.table, registry.moved, archive_suffix=options.archive_suffix)
        self.awaited: dict[str, None] = {}
        """Links to nothing: their files may still come."""
        self._archive_suffix = options.archive_suffix
        self._host = host
        self._search = search
        self._happened = Happened()
        """What nobody has looked at yet."""
        self._void: set[str] = set()
        """Folders of which events were lost."""
        self._missed = host.counter("missed_event_count", "Rotations that inotify did not report.")

    # ---- looking

    async def catch_up(self) -> None:
        """Act on what inotify has told up to now."""
        async with self.changing:
            await self.look()

    async def follow(self, paths: Iterable[str], *, new_at_end: bool) -> None:
        """Begin to follow paths; those that are followed already are looked at again."""
        waiting = iter(paths)
        while some := list(islice(waiting, _AT_ONCE)):
            async with self.changing:
                await self.look(some, at_end=some if new_at_end else ())

    async def look(
        self, paths: Iterable[str] = (), folders: Iterable[str] = (), *, at_end: Collection[str] = ()
    ) -> None:
        """Look at paths, and at all of which inotify has told, until they stand still; decide and act.

        What lies in `folders` is listed, and in all others of which nobody told what happened. New paths are followed,
        those in `at_end` from there. For who has the lock.
        """
        happened = self._happened
        found_so_far, still = SeveralLooks(), False
        ends: dict[str, Key] = {}
        new: dict[str, list[Candidate]] = defaultdict(list)
        listed = dict.fromkeys(folders)
        asked = {**dict.fromkeys(paths), **self._paths_at(happened)}
        written: dict[Trail, Generation | None] = {}
        while_listing = Happened()
        for turn in range(disk.MOST_LOOKS):
            told, touched = self._take(happened)
            told.add(while_listing)
            again = {**asked, **self._paths_at(told)} if turn == 0 else self._affected(told, ends)
            stale = dict.fromkeys(listed) if turn == 0 else await self._changed(listed, told)
            again.update({path: None for path, (base, _) in ends.items() if base in stale})
            for trail in touched:
                if trail.path in ends or trail.path in again:
                    written[trail] = trail.live
                else:
                    self.touch(trail)
            still = not again and not stale
            if still:
                break
            there, unsure_of = await self._prepare(again)
            stale.update(await self._changed(unsure_of - listed.keys(), told))
            listed.update(dict.fromkeys(unsure_of | stale.keys()))
            surveys = await in_one_visit(self._host, disk.survey, stale)
            # what was told up to now may be older than what was listed: it is about the names that were known before
            while_listing, touched = self._take(happened)
            written.update({trail: trail.live for trail in touched})
            for path, some in self._compare_lists(zip(stale, surveys, strict=True)).items():
                new[path] += some
                there.setdefault(path, self._key_of(path))
            ends.update(there)
            asks = [self._ask(path, end, new.get(path, ())) for path, end in there.items()]
            seen = await self._host.in_thread(self.looker.places, asks, found_so_far.held)
            found_so_far.add(seen)
            self._note_opened(seen, happened)
        places = found_so_far.result(still=still)
        if happened.moved or places or listed:
            await self._conclude(places, happened, at_end, still=still)
        for trail in [trail for trail, live in written.items() if trail.live is live]:  # a new one is read anyway
            self.touch(trail)

    async def _conclude(
        self, places: Sequence[Place], happened: Happened, at_end: Collection[str], *, still: bool
    ) -> None:
        """Act on what was found; if files never stood `still`, some may have been found in no look."""
        if not still and 0 < len(happened.moved) < MOST_MOVED:
            self.watch.changed.set()  # they are looked for again
        else:
            self._happened = Happened()
            for path in happened.opened:
                self.registry.books.miss(path, happened.missed(path, self._key_of(path)))
        found = {each.path: each for place in places for each in place.files}
        await self._settle(places, at_end)
        for member in happened.moved:
            if member.there and (file := found.get(member.last)) is not None:
                member.who = file.identity, file.born
        await self._note_moves(happened)
        self.looks.decided()

    def _take(self, happened: Happened) -> tuple[Happened, set[Trail]]:
        """Add what inotify has told to what happened; returns what is new, and whose files were written to."""
        changes = self.watch.take()
        self._void |= changes.void
        if changes.search:
            self._search()
        new = self.folders.apply(changes.steps, happened)
        happened.add(new)
        return new, changes.written

    def _paths_at(self, happened: Happened) -> dict[str, None]:
        """Return the paths that lead through names that came or went, or are meant by those that came."""
        paths: dict[str, None] = {}
        for folder, name in happened.left:
            for base in self.watch.aliases(folder):
                paths.update({trail.path: None for trail in self.watch.followers(base, name) if trail.wanted})
                path = base + name
                is_new = (folder, name) in happened.arrived and path not in self.table.by_path
                if is_new and base in self.watch.searched and self.rules.wants(path):
                    paths[path] = None
        return paths

    def _affected(self, told: Happened, ends: Iterable[str]) -> dict[str, None]:
        """Return the paths that have to be looked at again after what was told."""
        moved = told.moved
        moving = {path: None for path in ends if moved and any(each in moved for each in self._came_to(path))}
        return self._paths_at(told) | moving

    async def _changed(self, listed: Collection[str], told: Happened) -> dict[str, None]:
        """Return the folders in which something came or went since they were listed, or that never could be."""
        times = await in_one_visit(self._host, disk.changed_at, listed)
        left = {base for base, _ in told.left}
        known = ((base, time, self.folders.by_base[base]) for base, time in zip(listed, times, strict=True))
        return {base: None for base, time, at in known if base in left or time != at.changed}

    async def _prepare(self, paths: Iterable[str]) -> tuple[dict[str, Key], set[str]]:
        """Watch the folders on the way to files before they are opened.

        Returns folder and name of the file that each path leads to, be that there or not, and the folders of which not
        all is known: nobody told what happened there, or it may be new for a path of an earlier run what lies there.
        """
        asked = list(paths)
        hops = await in_one_visit(self._host, disk.hops_of, asked)
        bases = {base for each in hops for base, _ in each}
        told = {base for base in bases if self.watch.covers(base)}
        self.watch.cover(bases)
        ends = {path: self.end_of(each) for path, each in zip(asked, hops, strict=True)}
        self.looks.leads.update({end: path for path, end in ends.items() if self.looks.saved.knew(path)})
        unsure_of = {
            base
            for path, (base, _) in ends.items()
            if base not in told or not self.folders.by_base[base].looked_at or self.looks.awaiting(base, path)
        }
        return ends, unsure_of

    def _compare_lists(self, surveys: Iterable[tuple[str, Survey]]) -> dict[str, list[Candidate]]:
        """Note what lies in folders; returns what is new there and may be the past of paths that are followed."""
        found: dict[str, list[Candidate]] = defaultdict(list)
        for base, seen in surveys:
            fresh = self.looks.note(base, seen)
            for name in () if fresh.first else fresh.files:
                self._note_arrival(self.folders.by_base[base].names[name])
                for trail, before in self.watch.beside(base, name, self._archive_suffix).items():
                    if rotation_of(before, self._archive_suffix).fullmatch(name):
                        found[trail.path].append(Candidate(base + name, fresh.since, fresh.listed))
        return found

    def _ask(self, path: str, end: Key, new: Iterable[Candidate]) -> Ask:
        """Return what to look at for a path that leads to `end`, and that an earlier run may have followed."""
        base, name = end
        before = tuple(each.path for each in self._came_to(path) if each.path)
        if (fresh := self.looks.awaiting(base, path)) is not None:
            pattern = rotation_of(name, self._archive_suffix)
            others = [other for other in fresh.files if pattern.fullmatch(other)]
            new = [*new, *(Candidate(base + other, fresh.since, fresh.listed) for other in others)]
        return Ask(path, before, tuple(dict.fromkeys(new)))

    def _key_of(self, path: str) -> Key:
        """Return folder and name of the file that a path led to when it was last looked at."""
        trail = self.table.by_path.get(path)
        return self.end_of((trail is not None and trail.hops) or (key_of(path),))

    def end_of(self, hops: Hops) -> Key:
        """Return folder and name of the file at the end of a path, as steps call them."""
        base, name = hops[-1]
        return self.watch.folder(base), name

    def _came_to(self, path: str) -> Sequence[Member]:
        """Return the files that had a path's name and were not looked at yet."""
        return self._happened.arrived.get(self._key_of(path), ())

    def _note_opened(self, places: Iterable[Place], happened: Happened) -> None:
        for place in places:
            known = live.identity if (live := self.table.live(place.path)) is not None else None
            opened = {each.identity for each in place.files if each.file is not None and each.identity != known}
            happened.opened.setdefault(place.path, set()).update(opened)

    # ---- acting

    async def _settle(self, places: Sequence[Place], at_end: Collection[str]) -> None:
        """Decide about paths that were looked at, and act."""
        known = [place for place in places if place.path in self.table.by_path]
        new = [place for place in places if place.path not in self.table.by_path]
        for place in places:
            self.registry.note_error(place.path, place.error)
        await self.registry.read_on(known, self.looker)
        self.registry.act(decide(self.table, known, self.rules), [each for place in known for each in place.files])
        if new:
            arrived = {place.path for place in new if place.hops and self.looks.has_arrived(self.end_of(place.hops))}
            saved = self.looks.saved
            for each in await self._host.in_thread(saved.beginnings, new, arrived, self.looker):
                actions = begin(self.table, each, self.rules, at_end=each.place.path in at_end)
                saved.claim([row.position for row in each.rows])
                saved.claim([each.own] if each.own is not None else [])
                rows = [row.found for row in each.rows if row.found is not None]
                self.registry.act(actions, [*each.place.files, *rows])
        for place in places:
            trail = self.table.by_path.get(place.path)
            if trail is None and place.now is None and len(place.hops) > 1:
                self.awaited[place.path] = None
            if trail is not None and place.now is not None:
                self.watch.follow(trail, place.hops)
                self._forget(trail, but=MOST_FINISHED)

    async def _note_moves(self, happened: Happened) -> None:
        """Note where files are now, known ones and those that are nobody's."""
        known = {member for member in happened.moved if member.who is not None}
        strangers = [each for each in happened.moved if each.who is None and each.there and looks_rotated(each.name)]
        births = await in_one_visit(self._host, disk.who_is, [member.last for member in strangers])
        known |= {member.became for member in known if member.became is not None and not self._is_unexplained(member)}
        for member, who in zip(strangers, births, strict=True):
            member.who = who
        for member in happened.moved:
            owner = self._owner(member)
            if owner is None:
                if member not in known and (not member.was_there or self.looks.has_arrived(member.key)):
                    self._note_arrival(self.folders.listed(member))
            elif owner.replaced_at is not None:
                owner.nameless = not member.there
                owner.inode_path = member.last
                if owner.nameless:
                    self.registry.files.keep(owner)
            self.looks.changed(member.folder)
        for base, _ in happened.left:
            self.looks.changed(base)
        self.folders.rest(happened, self._is_kept)

    def _owner(self, member: Member) -> Generation | None:
        owner = self.table.owners.get(member.who) if member.who is not None else None
        return owner[1] if owner is not None else None

    def _is_unexplained(self, member: Member) -> bool:
        """Return whether a file is among those that may be copies."""
        beside = self.watch.beside(member.folder, member.name, self._archive_suffix)
        return any(member in trail.arrivals for trail in beside)

    def _is_kept(self, member: Member) -> bool:
        owner = self._owner(member)
        is_past = owner is not None and owner.replaced_at is not None
        return is_past or (member.who is not None and looks_rotated(member.name))

    def _note_arrival(self, member: Member) -> None:
        """Remember a file that came and is nobody's with the paths of which it may be a copy."""
        if member.there:
            for trail in self.watch.beside(member.folder, member.name, self._archive_suffix):
                trail.arrive(member)

    def _who_was_at(self, base: str, name: str) -> Who | None:
        for alias in self.watch.aliases(base):
            for trail in self.watch.followers(alias, name):
                if trail.hops[-1] == (alias, name) and (live := trail.live) is not None:
                    return live.identity, live.born
        return None

    def touch(self, trail: Trail) -> None:
        """Read what may have been written."""
        if (live := trail.live) is not None:
            self.registry.read_more(trail, live)

    def read_rest_of(self, trail: Trail, hops: Hops) -> None:
        """Read the rest of a file whose path may lead nowhere, or is not meant any more."""
        trail.wanted = self.rules.wants(trail.path)
        self.watch.follow(trail, hops)
        self.registry.settled(trail)
        self.registry.wake(trail)

    def forget(self, awaited: Collection[Identity]) -> None:
        """Let go of what is finished and settled; called after a look at all paths has found what was renamed.

        Files that are `awaited` at paths of their own stay known until these are followed.
        """
        for trail in list(self.table.by_path.values()):
            self._forget(trail, but=MOST_FINISHED if self.registry.may_come_again(trail) else 0, awaited=awaited)

    def _forget(self, trail: Trail, *, but: int, awaited: Collection[Identity] = ()) -> None:
        for row in self.registry.forget(trail, but=but, awaited=awaited):
            self.looks.saved.add(row)
        if not trail.generations:
            self.watch.forget(trail)

    # ---- where nobody tells

    async def compare(self, seen: Iterable[tuple[Trail, Status]], *, audit: bool, anew: Iterable[str] = ()) -> None:
        """Act on what paths were seen to lead to; an `audit` finds only what nobody reported.

        The folders `anew` are looked at whether their paths have changed or not.
        """
        async with self.changing:
            changed = self._see(seen)
            folders = [*anew, *self._void]
            if not changed and not folders:
                return
            await self.look()
            changed = self._see(await self.statuses(changed))
            if changed or folders:
                self._void.clear()
                before_this = self.registry.rotated.value
                paths = [trail.path for trail in changed]
                await self.look(paths, dict.fromkeys((*folders, *(self._key_of(path)[0] for path in paths))))
                if audit:
                    self._missed.add(self.registry.rotated.value - before_this)

    async def statuses(self, trails: Iterable[Trail]) -> list[tuple[Trail, Status]]:
        """Return what paths lead to now."""
        asked = list(trails)
        return list(zip(asked, await in_one_visit(self._host, disk.look, [trail.path for trail in asked]), strict=True))

    def _see(self, seen: Iterable[tuple[Trail, Status]]) -> list[Trail]:
        """Wake what was written to, and return the paths that lead elsewhere."""
        changed: list[Trail] = []
        for trail, status in seen:
            live = trail.live
            if live is not None and status is not None and Identity.of(status) == live.identity:
                live.seen_size = status.st_size
                if status.st_size != live.size or status.st_mtime_ns != live.modified:
                    self.touch(trail)
            elif trail.wanted and (live is not None or status is not None):
                changed.append(trail)
        return changed

    async def look_for_arrivals(self, trail: Trail) -> None:
        """Look for files beside a path where nobody tells that they come; for who has the lock."""
        base, _ = self._key_of(trail.path)
        if not self.watch.covers(base):
            await self.look(folders=[base])
