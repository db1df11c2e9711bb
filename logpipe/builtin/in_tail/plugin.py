"""The stage: its parts put together, and its rounds: when files are looked for, and what became of the known ones.

inotify says most of it at once. What it does not say (it was not there, it lost events, the file is on another
machine's disk) is found by looking: every second at some files, or at all where nobody reports.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import islice
from typing import Final

from logpipe import Host, Input, InputHost
from logpipe.builtin.in_tail.checkpoints import Checkpoints
from logpipe.builtin.in_tail.decide import Rules
from logpipe.builtin.in_tail.disk import changed_at, in_one_visit, look
from logpipe.builtin.in_tail.folders import close
from logpipe.builtin.in_tail.following import Following
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.joining import Joining
from logpipe.builtin.in_tail.logfile import Identity, Look
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.paths import Scan, Targets
from logpipe.builtin.in_tail.reader import Reader
from logpipe.builtin.in_tail.registry import Registry
from logpipe.builtin.in_tail.schedule import FEWEST_BYTES, Schedule, Throttle
from logpipe.builtin.in_tail.table import Trail, tag_of
from logpipe.builtin.position_file import Entry
from logpipe.monitor import SourceAccount

TICK: Final = 1.0
"""Seconds between two rounds, as fluentd's watch timer."""

AUDIT: Final = 256
"""Files looked at in one round where inotify reports: on most machines all of them."""

_RACY: Final = 20_000_000
"""Nanoseconds within which a folder may change twice and have the same time."""

SEARCH_PACE: Final = 0.1
"""Seconds that reports of new folders gather before everything is searched again."""


class Discovery:
    """Looks after the files of one `<source>`."""

    def __init__(
        self, options: TailOptions, host: Host, following: Following, targets: Targets, joining: Joining | None
    ) -> None:
        self._options = options
        self._host = host
        self._following = following
        self._registry = following.registry
        self._table = following.table
        self._watch = following.watch
        self._targets = targets
        self._joining = joining
        self.searches = 0
        """How often files were searched for."""
        self._search_wanted = asyncio.Event()
        self._next_audited = 0
        self._compacted_at = 0.0

    async def run(self) -> None:
        """Look after files until cancelled."""
        self._compacted_at = self._host.clock.monotonic()
        if self.searches or not self._options.skip_refresh_on_startup:
            self._search_wanted.set()
        sleep, refresh = self._host.clock.sleep, float(self._options.refresh_interval)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(self._search_wanted.wait, self._search_soon), name="tail.search")
            group.create_task(self._keep(partial(sleep, refresh), self._refresh), name="tail.refresh")
            group.create_task(self._keep(self._watch.changed.wait, self._following.catch_up), name="tail.listen")
            group.create_task(self._keep(partial(sleep, TICK), self.tick), name="tail.tick")

    async def _keep(self, due: Callable[[], Awaitable[object]], work: Callable[[], Awaitable[None]]) -> None:
        """Do something whenever it is due; no error stops that, or files would silently be followed no longer."""
        while True:
            await due()
            try:
                await work()
            except Exception:
                self._host.log.exception("unexpected error while looking after files; the next turn tries again")

    def want_search(self) -> None:
        """Search for files soon; before the first search is due nothing is looked for."""
        if self.searches:
            self._search_wanted.set()

    async def _search_soon(self) -> None:
        if self.searches:
            await asyncio.sleep(SEARCH_PACE)
        self._search_wanted.clear()
        await self.search()

    async def _refresh(self) -> None:
        self._search_wanted.set()

    async def search(self) -> None:
        """Find every file that is meant; what has come is followed, what is not meant any more is let go."""
        first = self.searches == 0
        self.searches += 1
        self._following.awaited.clear()
        scan = await self._scan()
        if self._watch.search_in(scan.folders):
            scan = await self._scan()  # what came before the folder was watched
        by_path = self._table.by_path
        known = list(by_path.values())
        for path, error in scan.refused.items():
            self._registry.note_error(path, error)
        new = [path for path in scan.files if path not in by_path]
        await self._following.follow(new, new_at_end=first and not self._options.read_from_head)
        if first:
            await self._read_unfollowed()
        self._following.looks.searched = True
        self._following.looks.decided()
        selection = self._targets.now
        for trail in known:
            if trail.path not in scan.files and trail.wanted and not selection.wants(trail.path):
                self._let_go(trail)
        await self._following.compare([(trail, scan.files.get(trail.path)) for trail in known], audit=not first)
        self._following.forget({Identity.of(scan.files[path]) for path in new if path not in by_path})
        await self._expire()
        self._following.awaited.update(dict.fromkeys(scan.awaited))

    async def _scan(self) -> Scan:
        limit = self._options.limit_recently_modified
        since = None if limit is None else self._host.clock.now() / 1_000_000_000 - limit
        return await self._host.in_thread(self._targets.now.scan, since)

    async def _read_unfollowed(self) -> None:
        """Read to their ends the files of rows whose paths are not followed.

        The rows of a path are kept where nothing is to be read of any of its files; else its files are known together.
        """
        following, saved = self._following, self._following.looks.saved
        async with following.changing:
            unclaimed = [row for row in saved.unclaimed() if row.path not in self._table.by_path]
            rows = await self._host.in_thread(following.looker.rows, unclaimed, {}, set())
            behind = {row.path for row, found, _ in rows if found is not None and found.size > row.offset}
            for row, found, hops in rows:
                following.looks.leads[following.end_of(hops)] = row.path
                if found is None:
                    continue
                if row.path not in behind or self._table.find(found) is not None:
                    close([found])
                    continue
                trail = self._table.by_path.get(row.path) or Trail(row.path, tag_of(self._options.tag, row.path))
                saved.claim([row])
                generation = self._registry.read_before(trail, found, row.offset)
                generation.kept = found.path == "".join(hops[-1])
                following.read_rest_of(trail, hops)

    async def _expire(self) -> None:
        """Drop the rows of files that are gone for good."""
        interval, now = self._options.pos_file_compaction_interval, self._host.clock.monotonic()
        compact = interval is not None and now - self._compacted_at >= interval
        if compact:
            self._compacted_at = now
        saved = self._following.looks.saved
        async with self._following.changing:
            paths = list({row.path for row in saved.unclaimed()})
            statuses = await in_one_visit(self._host, look, paths)
            inodes = {
                path: None if status is None else Identity.of(status).inode
                for path, status in zip(paths, statuses, strict=True)
                if status is None or path in self._table.by_path or not self._following.rules.wants(path)
            }  # what has just come is about to be followed, and its rows say where
            if saved.expire(inodes, self._host.clock.now() / 1_000_000_000, compact=compact):
                self._registry.moved()

    async def tick(self) -> None:
        """Make one round, every second from the first search on."""
        if not self.searches:
            return
        self._registry.messages.sum_up()
        await self._following.catch_up()
        await self._attend_replaced()
        await self._attend_missing()
        for trail, generation in self._joining.overdue() if self._joining is not None else ():
            self._registry.read_more(trail, generation)
        await self._audit()

    async def _attend_replaced(self) -> None:
        """Read what rotated files still bring, and let go of those that have been quiet for rotate_wait."""
        replaced = [(trail, each) for each, trail in self._table.replaced.items()]
        seen = await self._registry.look_at(replaced)
        now = self._host.clock.monotonic()
        quiet = [(trail, each) for trail, each, look in seen if self._is_over(trail, each, look, now)]
        if quiet:
            async with self._following.changing:
                await self._registry.finish(quiet)

    def _is_over(self, trail: Trail, generation: Generation, seen: Look | None, now: float) -> bool:
        """Return whether a rotated file can be let go: nothing more comes; its last line may have to be read before."""
        if seen is not None and seen.length != generation.size:
            generation.replaced_at = now
            self._registry.read_more(trail, generation)
        quiet_since = generation.replaced_at
        if generation.pending or quiet_since is None or now - quiet_since < self._options.rotate_wait:
            return False
        if generation.damage or not generation.behind:
            return True
        if not generation.closing:
            generation.closing = True
            self._registry.read_more(trail, generation)
            return False
        generation.skip(generation.behind, "unended")
        return True

    async def _attend_missing(self) -> None:
        """Follow what could not be followed before: files that were still to come, files without permission."""
        by_path = self._table.by_path
        selection = self._targets.now
        absent = [path for path in selection.fixed if path not in by_path]
        asked = list(islice({**dict.fromkeys(absent), **self._following.awaited}, AUDIT))
        statuses = await in_one_visit(self._host, look, asked)
        there = [path for path, status in zip(asked, statuses, strict=True) if status is not None]
        unreadable = list(islice(self._registry.unreadable, AUDIT))
        if there or unreadable:
            await self._following.follow(
                [path for path in (*there, *unreadable) if selection.wants(path)],
                new_at_end=self.searches <= 1 and not self._options.read_from_head,
            )

    async def _audit(self) -> None:
        """Look at paths in turn, or at all of them where nobody reports what happens."""
        trails = list(self._table.by_path.values())
        folders: list[str] = []
        if self._watch.blind:
            folders = await self._changed_unnoticed()
        else:
            if not self._options.enable_watch_timer:
                return
            start = self._next_audited if self._next_audited < len(trails) else 0
            trails = trails[start : start + AUDIT]
            self._next_audited = start + AUDIT
        if trails:
            seen = await self._following.statuses(trails)
            await self._following.compare(seen, audit=not self._watch.blind, anew=folders)

    async def _changed_unnoticed(self) -> list[str]:
        """Return the folders that have changed, or may have, of those of which nobody tells."""
        by_base = self._following.folders.by_base
        unwatched = {base: each for base, each in by_base.items() if not self._watch.covers(base)}
        times = await in_one_visit(self._host, changed_at, unwatched)
        return [
            base
            for (base, each), changed in zip(unwatched.items(), times, strict=True)
            if changed != each.changed or changed > each.looked_at - _RACY
        ]

    async def look_a_last_time(self) -> None:
        """Note where every path leads, how much is there of every open file, and how it begins."""
        await self._following.catch_up()
        await self._following.compare(await self._following.statuses(self._table.by_path.values()), audit=False)
        opened = [(trail, each) for trail in self._table.by_path.values() for each in trail.generations if each.file]
        for _, generation, seen in await self._registry.look_at(opened):
            if seen is not None:
                generation.seen_size = seen.length

    def _let_go(self, trail: Trail) -> None:
        """Read a path's file to its end and follow it no longer: the configuration means it no more."""
        trail.wanted = False
        if (live := trail.live) is not None:
            self._registry.set_aside(trail, live)
            live.kept, live.nameless = True, False


class Tail(Input[TailOptions], type="tail"):
    """Follows files and emits what is written to them, line by line."""

    compat = frozenset({"parser"})
    keeps_tag = True

    def __init__(self, options: TailOptions, host: InputHost) -> None:
        super().__init__(options, host)
        if options.pos_file not in {None, os.devnull}:
            host.claim("pos_file", str(options.pos_file))
        self._warn()
        self._loaded = False
        self._discovering: asyncio.Task[None] | None = None
        self._checkpoints = Checkpoints(options.pos_file, host, self._written)
        self._throttle = Throttle(options, host)
        self._targets = Targets(options, host.clock, never=self._checkpoints.file.companions)
        rules = Rules(self.follows, self._excludes, _is_followed)
        self.registry = Registry(options, host, wake=self._wake, moved=self._checkpoints.due.set)
        self.following = Following(options, host, self.registry, rules, search=self._search)
        reader = Reader(options, host, self.following, self._throttle)
        self._joining = reader.joining
        self.discovery = Discovery(options, host, self.following, self._targets, reader.joining)
        self._schedule = Schedule(reader.serve, clock=host.clock, log=host.log)

    async def start(self) -> None:
        """Take the position file, and begin to listen."""
        await self._checkpoints.open()
        _running.add(self)
        if self.options.enable_stat_watcher:
            self.following.watch.start()

    def _warn(self) -> None:
        options, log = self.options, self.host.log
        if options.pos_file is None:
            # compat: in_tail.rb says it in these two lines
            log.warning("'pos_file PATH' parameter is not set to a 'tail' source.")
            log.warning("this parameter is highly recommended to save the position to resume tailing.")
        if options.encoding is not None and options.encoding == options.from_encoding:
            log.warning("'encoding' and 'from_encoding' are same encoding. No effect")
        if 0 < options.read_bytes_limit_per_second < FEWEST_BYTES:
            text = "Should specify greater equal than %d. Use %d for read_bytes_limit_per_second"
            log.warning(text, FEWEST_BYTES, FEWEST_BYTES)

    async def run(self) -> None:
        """Follow files until cancelled; nothing is lost by that, what was not accepted is read again."""
        if not self._loaded:
            self.following.looks.saved.take(await self._checkpoints.load())
            self._loaded = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._schedule.run(), name="tail.schedule")
            self._discovering = group.create_task(self.discovery.run(), name="tail.discovery")
            group.create_task(self._checkpoints.run(), name="tail.checkpoints")
            for trail in self.registry.table.by_path.values():  # of an earlier run that failed
                for generation in trail.generations:
                    generation.pending = not generation.finished
                self._schedule.restart(trail)

    async def quiesce(self) -> None:
        """Look for nothing and read nothing new; what was read is emitted, and positions move.

        Events of several lines that wait for more are passed on.
        """
        self._schedule.quiesce()
        if self._discovering is not None:
            self._discovering.cancel()
        last = list(self._joining.last(kept=not self._checkpoints.file.forgets)) if self._joining is not None else []
        for _, generation in last:
            generation.pending = True
        await self._schedule.serve_last(dict.fromkeys(trail for trail, _ in last))

    async def stop(self) -> None:
        """Write down what has settled, and close everything."""
        _running.discard(self)
        self.registry.messages.sum_up(everything=True)
        await self.discovery.look_a_last_time()
        self.following.watch.stop()
        await self._checkpoints.stop()
        await self.registry.files.close_all()

    def accounts(self) -> Iterable[SourceAccount]:
        """Return where the bytes of each followed path went, all that its name ever led to together."""
        return self.registry.books.accounts(self.registry.table.by_path.values())

    def _wake(self, trail: Trail) -> None:
        self._throttle.join(trail)
        self._schedule.wake(trail)

    def _written(self) -> tuple[list[Entry], bytes]:
        return self.following.looks.entries(), self.following.looks.written()

    def _search(self) -> None:
        self.discovery.want_search()

    def _excludes(self, path: str) -> bool:
        return self._targets.now.excludes(path)

    def follows(self, path: str) -> bool:
        """Return whether a path is meant for itself."""
        return self._targets.now.wants(path)


_running: weakref.WeakSet[Tail] = weakref.WeakSet()
"""The sources at work: none takes what another one follows for its own."""


def _is_followed(path: str) -> bool:
    """Return whether a path is meant for itself by any source of this process."""
    return any(each.follows(path) for each in _running)
