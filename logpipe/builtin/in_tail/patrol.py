"""Goes round and looks: for new files, for what became of the known ones, for what rotated files still bring.

inotify says most of it at once. What it does not say (it was not there, it lost events, the file is on another
machine's disk) is found by looking: every second at some files, or at all where nobody reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.complaints import Complaints
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import Look, looks
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.targets import Scan, Targets
from logpipe.builtin.in_tail.trail import Trail
from logpipe.builtin.in_tail.trails import Trails, look_all
from logpipe.builtin.in_tail.watch import Changes, Watch

TICK: Final = 1.0
"""Seconds between two rounds, as fluentd's watch timer."""

AUDIT: Final = 256
"""Files looked at in one round where inotify reports: on most machines all of them."""

SEARCH_PACE: Final = 0.1
"""Seconds that reports of new folders gather before everything is searched again."""


class Patrol:
    """Looks after the trails of one `<source>`."""

    def __init__(
        self,
        options: TailOptions,
        host: Host,
        *,
        trails: Trails,
        targets: Targets,
        watch: Watch,
        wake: Callable[[Trail], None],
        complaints: Complaints,
    ) -> None:
        self._options = options
        self._host = host
        self._trails = trails
        self._targets = targets
        self._watch = watch
        self._wake = wake
        self._complaints = complaints
        self.searches = 0
        """How often files were searched for."""
        self._began = 0.0
        self._search_wanted = asyncio.Event()
        self._awaited: dict[str, None] = {}
        self._next_audited = 0

    async def keep_searching(self) -> None:
        """Search for files at once, then whenever it is asked for."""
        if self.searches or not self._options.skip_refresh_on_startup:
            self._search_wanted.set()
        while True:
            await self._search_wanted.wait()
            if self.searches:
                await asyncio.sleep(SEARCH_PACE)
            self._search_wanted.clear()
            await self._guarded(self.search())

    async def keep_asking(self) -> None:
        """Ask for a search every refresh_interval."""
        while True:
            await self._host.clock.sleep(float(self._options.refresh_interval))
            self._search_wanted.set()

    async def keep_listening(self) -> None:
        """Act on what inotify reports."""
        while True:
            changes = await self._watch.changes()
            await self._guarded(self._act(changes))

    async def keep_ticking(self) -> None:
        """Make a round every second."""
        while True:
            await self._host.clock.sleep(TICK)
            await self._guarded(self.tick())

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Finish one turn whatever happens: what stops a loop here would silently stop the following of files."""
        try:
            await work
        except Exception:
            self._host.log.exception("unexpected error while looking after files; the next turn tries again")

    async def search(self) -> None:
        """Find every file that is meant; what has come is followed, what is not meant any more is let go."""
        first = self.searches == 0
        if first:
            self._began = self._host.clock.monotonic()
        self.searches += 1
        self._awaited.clear()
        scan = await self._scan()
        if self._watch.search_in(scan.folders):
            scan = await self._scan()  # what came before the folder was watched
        trails = self._trails
        known = list(trails.by_path.values())
        new = [path for path in scan.files if path not in trails.by_path]
        await trails.follow(new, new_at_end=first and not self._options.read_from_head)
        await trails.compare(
            [(trail, scan.files[trail.path]) for trail in known if trail.path in scan.files], audit=not first
        )
        await self._look_for_missing([trail for trail in known if trail.path not in scan.files])
        # files that were known may be missing for a moment only: they are waited for once round
        trails.forget(saved_too=self._host.clock.monotonic() - self._began >= self._options.refresh_interval)
        self._awaited.update(dict.fromkeys(scan.awaited))

    async def _scan(self) -> Scan:
        now = self._host.clock.now()
        limit = self._options.limit_recently_modified
        since = None if limit is None else now / 1_000_000_000 - limit
        return await self._host.in_thread(self._targets.at(now).scan, since)

    async def _look_for_missing(self, trails: list[Trail]) -> None:
        """Tell files that are gone from those that are not meant any more."""
        selection = self._targets.at(self._host.clock.now())
        for trail in trails:
            if trail.wanted and not selection.wants(trail.path):
                self._trails.let_go(trail)
        await self._trails.look_again(trail for trail in trails if trail.wanted)

    async def _act(self, changes: Changes) -> None:
        if changes.search:
            self._search_wanted.set()
        for trail in changes.written:
            if (live := trail.live) is not None:
                live.stirred = True
                self._wake(trail)
        if changes.moved:
            await self._trails.look_again(sorted(changes.moved, key=lambda trail: trail.path))
        if changes.appeared:
            selection = self._targets.at(self._host.clock.now())
            new = sorted(path for path in changes.appeared if selection.wants(path))
            await self._trails.follow(new, new_at_end=False)
            # a link may come before the file that it leads to
            self._awaited.update((path, None) for path in new if path not in self._trails.by_path)

    async def tick(self) -> None:
        """Make one round."""
        self._complaints.sum_up()
        await self._attend_replaced()
        await self._attend_missing()
        await self._audit()

    async def _attend_replaced(self) -> None:
        """Read what rotated files still bring, and let go of those that have been quiet for rotate_wait."""
        replaced = [(trail, each) for each, trail in self._trails.roster.replaced.items()]
        if not replaced:
            return
        seen = await self._host.in_thread(looks, [(each.file, each.head) for _, each in replaced])
        now = self._host.clock.monotonic()
        for (trail, each), found in zip(replaced, seen, strict=True):
            self._trails.note_head(trail, each, found)
        quiet = [
            (trail, each)
            for (trail, each), found in zip(replaced, seen, strict=True)
            if not self._has_more(trail, each, found, now) and self._is_over(trail, each, now)
        ]
        if quiet:
            await self._trails.finish(quiet)

    def _has_more(self, trail: Trail, generation: Generation, seen: Look | None, now: float) -> bool:
        """Return whether a rotated file is still being read or written."""
        if seen is not None and seen.length != generation.size:
            generation.replaced_at = now
            generation.stirred = True
            self._wake(trail)
        return generation.stirred

    def _is_over(self, trail: Trail, generation: Generation, now: float) -> bool:
        """Return whether a rotated file that is quiet can be let go; its last line may have to be read before."""
        if generation.replaced_at is None or now - generation.replaced_at < self._options.rotate_wait:
            return False
        if generation.damage:
            return True
        if generation.behind and not generation.closing:
            generation.closing = True
            generation.stirred = True
            self._wake(trail)
            return False
        if generation.behind:
            generation.skip(generation.behind, "unended")
        return True

    async def _attend_missing(self) -> None:
        """Follow what could not be followed before: files that were still to come, files without permission."""
        selection = self._targets.at(self._host.clock.now())
        absent = [path for path in selection.fixed if path not in self._trails.by_path]
        asked = list(islice({**dict.fromkeys(absent), **self._awaited}, AUDIT))
        statuses = await self._host.in_thread(look_all, asked) if asked else []
        there = [path for path, status in zip(asked, statuses, strict=True) if status is not None]
        unreadable = list(islice(self._trails.unreadable, AUDIT))
        if there or unreadable:
            await self._trails.follow(
                [path for path in (*there, *unreadable) if selection.wants(path)],
                new_at_end=self.searches <= 1 and not self._options.read_from_head,
            )

    async def _audit(self) -> None:
        """Look at paths in turn, or at all of them where nobody reports what happens."""
        trails = list(self._trails.by_path.values())
        if not self._watch.blind:
            if not self._options.enable_watch_timer:
                return
            begin = self._next_audited if self._next_audited < len(trails) else 0
            trails = trails[begin : begin + AUDIT]
            self._next_audited = begin + AUDIT
        if trails:
            statuses = await self._host.in_thread(look_all, [trail.path for trail in trails])
            await self._trails.compare(zip(trails, statuses, strict=True), audit=not self._watch.blind)
