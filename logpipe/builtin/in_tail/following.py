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
from logpipe.builtin.in_tail.decide import Rules, begin, decide
from logpipe.builtin.in_tail.difference import Hops, Place
from logpipe.builtin.in_tail.folder_looks import FolderLooks
from logpipe.builtin.in_tail.folders import MOST_MOVED, Folders, Happened, Key, Lying, Who
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.look import (
    MOST_LOOKS,
    Ask,
    Candidate,
    Looker,
    Status,
    all_hops,
    changed_at,
    look_all,
    survey,
    who_are,
)
from logpipe.builtin.in_tail.registry import Registry
from logpipe.builtin.in_tail.rotation_names import looks_rotated, rotation_of
from logpipe.builtin.in_tail.sightings import Sightings
from logpipe.builtin.in_tail.trail import MOST_FINISHED, Trail
from logpipe.builtin.in_tail.watch import Watch

_AT_ONCE: Final = 64
"""Paths looked at in one visit to a thread."""


class Following:
    """The followed paths of one `<source>`, kept in step with the disk."""

    def __init__(
        self,
        host: Host,
        *,
        registry: Registry,
        watch: Watch,
        looker: Looker,
        rules: Rules,
        wants: Callable[[str], bool],
        search: Callable[[], None],
    ) -> None:
        self.registry = registry
        self.table = registry.table
        self.looker = looker
        self.changing = asyncio.Lock()
        self.folders = Folders(self._who_was_at, archive_suffix=looker.archive_suffix)
        self.looks = FolderLooks(self.folders, self.table, registry.moved, archive_suffix=looker.archive_suffix)
        self._host = host
        self._watch = watch
        self._rules = rules
        self.wants = wants
        self._search = search
        self.awaited: dict[str, None] = {}
        """Links to nothing: their files may still come."""
        self._happened = Happened()
        self._void: set[str] = set()
        self._missed = host.counter("missed_event_count", "Rotations that inotify did not report.")

    # ---- what inotify tells

    async def catch_up(self) -> None:
        """Act on what inotify has told up to now."""
        async with self.changing:
            await self.look()

    async def look(
        self, paths: Iterable[str] = (), folders: Iterable[str] = (), *, at_end: Collection[str] = ()
    ) -> None:
        """Look at paths, and at all of which inotify has told, until they stand still; decide and act.

        What lies in `folders` is listed, and in all others of which nobody told what happened. New paths are followed,
        those in `at_end` from there. For who has the lock.
        """
        happened = self._happened
        sightings, still = Sightings(), False
        ends: dict[str, Key] = {}
        new: dict[str, list[Candidate]] = defaultdict(list)
        listed = dict.fromkeys(folders)
        asked = {**dict.fromkeys(paths), **self._paths_at(happened)}
        written: dict[Trail, Generation | None] = {}
        for turn in range(MOST_LOOKS):
            told, touched = self._take(happened)
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
            for path, some in (await self._list(stale)).items():
                new[path] += some
                there.setdefault(path, self._key_of(path))
            ends.update(there)
            asks = [self._ask(path, end, new.get(path, ())) for path, end in there.items()]
            seen = await self._host.in_thread(self.looker.places, asks, sightings.held)
            sightings.add(seen)
            self._note_opened(seen, happened)
        places = sightings.result(still=still)
        if happened.moved or places or listed:
            unsure = not still and 0 < len(happened.moved) < MOST_MOVED
            self._happened = happened if unsure else Happened()
            if unsure:  # some may have been found in no look: they are looked for again
                self._watch.remind()
            else:
                for path in happened.opened:
                    self.registry.books.miss(path, happened.missed(path, self._key_of(path)))
            found = {each.path: each for place in places for each in place.files}
            await self._settle(places, at_end)
            for lying in happened.moved:
                if lying.folder is not None and (file := found.get(lying.last)) is not None:
                    lying.who = file.identity, file.born
            await self._note_moves(happened)
            self.looks.decided()
        for trail in [trail for trail, live in written.items() if trail.live is live]:  # a new one is read anyway
            self.touch(trail)

    def _affected(self, told: Happened, ends: Iterable[str]) -> dict[str, None]:
        """Return the paths that have to be looked at again after what was told."""
        again = self._paths_at(told)
        if told.moved:
            again.update({path: None for path in ends if any(lying in told.moved for lying in self._came_to(path))})
        return again

    async def _changed(self, listed: Collection[str], told: Happened) -> dict[str, None]:
        """Return the folders in which something came or went since they were listed, or that never were."""
        times = await self._host.in_thread(changed_at, listed) if listed else []
        left = {base for base, _ in told.left}
        pairs = zip(listed, times, strict=True)
        known = ((base, time, self.folders.at(base)) for base, time in pairs)
        return {base: None for base, time, at in known if not at.looked_at or base in left or time != at.changed}

    async def _list(self, bases: Collection[str]) -> dict[str, list[Candidate]]:
        """See what lies in folders; returns what is new there and may be the past of paths that are followed."""
        found: dict[str, list[Candidate]] = defaultdict(list)
        suffix = self.looker.archive_suffix
        for base, seen in (await self._host.in_thread(survey, bases) if bases else {}).items():
            fresh = self.looks.note(base, seen)
            for name in () if fresh.first else fresh.files:
                self._note_arrival(self.folders.at(base).names[name])
                for trail, before in self._watch.beside(base, name, suffix).items():
                    if rotation_of(before, suffix).fullmatch(name):
                        found[trail.path].append(Candidate(base + name, fresh.since, fresh.listed))
        return found

    def _take(self, happened: Happened) -> tuple[Happened, set[Trail]]:
        """Add what inotify has told to what happened; returns what is new, and whose files were written to."""
        changes = self._watch.take()
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
            for base in self._watch.aliases(folder):
                paths.update({trail.path: None for trail in self._watch.followers(base, name) if trail.wanted})
                path = base + name
                came = (folder, name) in happened.arrived
                if came and path not in self.table.by_path and self._watch.is_searched(base):
                    paths.update({path: None} if self.wants(path) else {})
        return paths

    def _key_of(self, path: str) -> Key:
        trail = self.table.by_path.get(path)
        return self.end_of(
            (trail is not None and trail.hops) or ((path[: path.rfind("/") + 1], path.rpartition("/")[2]),)
        )

    def end_of(self, hops: Hops) -> Key:
        """Return folder and name of the file at the end of a path, as steps call them."""
        base, name = hops[-1]
        return self._watch.folder(base), name

    def _came_to(self, path: str) -> Sequence[Lying]:
        """Return the files that had a path's name and were not looked at yet."""
        return self._happened.arrived.get(self._key_of(path), ())

    def _note_opened(self, places: Iterable[Place], happened: Happened) -> None:
        for place in places:
            live = self.table.live(place.path)
            files = {each.identity for each in place.files if each.file is not None}
            happened.opened.setdefault(place.path, set()).update(
                files - ({live.identity} if live is not None else set())
            )

    def touch(self, trail: Trail) -> None:
        """Read what may have been written."""
        if (live := trail.live) is not None:
            live.stirred = True
            self.registry.wake(trail)

    def _who_was_at(self, base: str, name: str) -> Who | None:
        for alias in self._watch.aliases(base):
            for trail in self._watch.followers(alias, name):
                if trail.hops[-1] == (alias, name) and (live := trail.live) is not None:
                    return live.identity, live.born
        return None

    async def _note_moves(self, happened: Happened) -> None:
        """Note where files are now, known ones and those that are nobody's."""
        known = {lying for lying in happened.moved if lying.who is not None}
        there = [each for each in happened.moved if each.who is None and each.folder is not None]
        strangers = [each for each in there if looks_rotated(each.name)]
        births = await self._host.in_thread(who_are, [lying.last for lying in strangers]) if strangers else []
        known |= {lying.became for lying in known if lying.became is not None and not self._is_unexplained(lying)}
        for lying, who in zip(strangers, births, strict=True):
            lying.who = who
        for lying in happened.moved:
            owner = self.table.owners.get(lying.who) if lying.who is not None else None
            if owner is None:
                if lying not in known:
                    self._note_arrival(lying)
            elif (generation := owner[1]).replaced_at is not None:
                generation.adrift = lying.folder is None
                generation.inode_path = lying.last
                if generation.adrift:
                    self.registry.keep(generation)
            self.looks.changed(lying.last[: lying.last.rfind("/") + 1])
        for base, _ in happened.left:
            self.looks.changed(base)
        self.folders.rest(happened, self._is_kept)

    def _is_unexplained(self, lying: Lying) -> bool:
        base = lying.last[: lying.last.rfind("/") + 1]
        return any(
            lying in trail.arrivals for trail in self._watch.beside(base, lying.name, self.looker.archive_suffix)
        )

    def _is_kept(self, lying: Lying) -> bool:
        owner = self.table.owners.get(lying.who) if lying.who is not None else None
        is_past = owner is not None and owner[1].replaced_at is not None
        return is_past or (lying.who is not None and looks_rotated(lying.name))

    def _note_arrival(self, lying: Lying) -> None:
        """Remember a file that came and is nobody's with the paths of which it may be a copy."""
        if lying.folder is not None:
            for trail in self._watch.beside(lying.folder, lying.name, self.looker.archive_suffix):
                trail.arrive(lying)

    # ---- paths that are new

    async def follow(self, paths: Iterable[str], *, new_at_end: bool) -> None:
        """Begin to follow paths; those that are followed already are looked at again."""
        waiting = iter(paths)
        while some := list(islice(waiting, _AT_ONCE)):
            async with self.changing:
                await self.look(some, at_end=some if new_at_end else ())

    def _ask(self, path: str, end: Key, new: Iterable[Candidate]) -> Ask:
        """Return what to look at for a path that leads to `end`, and that an earlier run may have followed."""
        base, name = end
        before = tuple(each.path for each in self._came_to(path) if each.path)
        if (fresh := self.looks.awaiting(base, path)) is not None:
            pattern = rotation_of(name, self.looker.archive_suffix)
            others = [other for other in fresh.files if pattern.fullmatch(other)]
            new = [*new, *(Candidate(base + other, fresh.since, fresh.listed) for other in others)]
        return Ask(path, before, tuple(dict.fromkeys(new)))

    async def _prepare(self, paths: Iterable[str]) -> tuple[dict[str, Key], set[str]]:
        """Watch the folders on the way to files before they are opened.

        Returns folder and name of the file that each path leads to, be that there or not, and the folders of which not
        all is known: nobody told what happened there, or it may be new for a path of an earlier run what lies there.
        """
        asked = list(paths)
        hops = await self._host.in_thread(all_hops, asked) if asked else []
        bases = {base for each in hops for base, _ in each}
        told = {base for base in bases if self._watch.covers(base)}
        self._watch.cover(bases)
        ends = {path: self.end_of(each) for path, each in zip(asked, hops, strict=True)}
        self.looks.leads.update({end: path for path, end in ends.items() if self.looks.saved.knew(path)})
        unsure_of = {
            base
            for path, (base, _) in ends.items()
            if base not in told or not self.folders.at(base).looked_at or self.looks.awaiting(base, path)
        }
        return ends, unsure_of

    async def _settle(self, places: Sequence[Place], at_end: Collection[str]) -> None:
        """Decide about paths that were looked at, and act."""
        known = [place for place in places if place.path in self.table.by_path]
        new = [place for place in places if place.path not in self.table.by_path]
        for place in places:
            self.registry.complain(place.path, place.error)
        found = [each for place in known for each in place.files]
        self.registry.act(decide(self.table, known, self._rules), found)
        if new:
            arrived = {place.path for place in new if place.hops and self.looks.has_arrived(self.end_of(place.hops))}
            beginnings = await self._host.in_thread(self.looker.beginnings, new, arrived, self.looks.saved, {})
            for each in beginnings:
                actions = begin(self.table, each, self._rules, at_end=each.place.path in at_end)
                self.looks.saved.claim([row.position for row in each.rows])
                self.looks.saved.claim([each.own] if each.own is not None else [])
                rows = [row.found for row in each.rows if row.found is not None]
                self.registry.act(actions, [*each.place.files, *rows])
        for place in places:
            trail = self.table.by_path.get(place.path)
            if trail is None and place.now is None and len(place.hops) > 1:
                self.awaited[place.path] = None
            if trail is not None and place.now is not None:
                self._watch.follow(trail, place.hops)
                self._forget(trail, but=MOST_FINISHED)

    def follow_leftover(self, trail: Trail, hops: Hops) -> None:
        """Read the rest of a file whose path may lead nowhere, or is not meant any more."""
        trail.wanted = self.wants(trail.path)
        self._watch.follow(trail, hops)
        self.registry.settled(trail)
        self.registry.wake(trail)

    # ---- where nobody tells

    async def look_again(self, trails: Iterable[Trail]) -> None:
        """Ask the file system where paths lead now, and follow that."""
        asked = list(trails)
        statuses = await self._host.in_thread(look_all, [trail.path for trail in asked])
        await self.compare(zip(asked, statuses, strict=True), audit=False)

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
            statuses = await self._host.in_thread(look_all, [trail.path for trail in changed])
            changed = self._see(zip(changed, statuses, strict=True))
            if changed or folders:
                self._void.clear()
                before_this = self.registry.rotated.value
                paths = [trail.path for trail in changed]
                await self.look(paths, dict.fromkeys((*folders, *(self._key_of(path)[0] for path in paths))))
                if audit:
                    self._missed.add(self.registry.rotated.value - before_this)

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
        if not self._watch.covers(base):
            await self.look(folders=[base])

    def _forget(self, trail: Trail, *, but: int) -> None:
        for row in self.registry.forget(trail, but=but):
            self.looks.saved.add(row)
        if not trail.generations:
            self._watch.forget(trail)

    def forget(self) -> None:
        """Let go of what is finished and settled; called after a look at all paths has found what was renamed."""
        for trail in list(self.table.by_path.values()):
            self._forget(trail, but=self.registry.may_come_again(trail))
