"""The tail input: what each part of this folder is for, and how they hang together.

    patrol ──finds, compares──► trails ──wakes──► schedule ──► reader ──► events ──► host.emit
       ▲                          │                              │
     watch (inotify)          generations ◄──offsets, receipts───┘
                                  └──settled──► checkpoints ──► position file

A *trail* is a followed path, a *generation* the content of one inode that the path led to. Trails decide: history and
neighbours find the files, an *archive* among them where they were compressed, the roster knows whose each file is, and
the books where its bytes went.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable

from logpipe import Host, Input, SourceAccount
from logpipe.builtin.in_tail.checkpoints import Checkpoints
from logpipe.builtin.in_tail.complaints import Complaints
from logpipe.builtin.in_tail.events import EventMaker
from logpipe.builtin.in_tail.history import Saved
from logpipe.builtin.in_tail.lines import line_format
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.open_files import OpenFiles
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.patrol import Patrol
from logpipe.builtin.in_tail.reader import Reader
from logpipe.builtin.in_tail.schedule import Schedule
from logpipe.builtin.in_tail.targets import Targets
from logpipe.builtin.in_tail.throttle import FEWEST_BYTES, Throttle
from logpipe.builtin.in_tail.trail import Trail
from logpipe.builtin.in_tail.trails import Trails
from logpipe.builtin.in_tail.watch import Watch
from logpipe.builtin.position_file import Entry


class Tail(Input[TailOptions], type="tail"):
    """Follows files and emits what is written to them, line by line."""

    compat = frozenset({"parser"})

    def __init__(self, options: TailOptions, host: Host) -> None:
        super().__init__(options, host)
        if options.pos_file is not None:
            host.claim("pos_file", options.pos_file)
        self._warn()
        self._loaded = False
        self._complaints = Complaints(host.log, host.clock)
        self._checkpoints = Checkpoints(options.pos_file, host, self._entries)
        self._watch = Watch(host.log)
        self._files = OpenFiles(host)
        self._throttle = Throttle(options, host)
        self.trails = Trails(
            options, host, files=self._files, watch=self._watch, wake=self._wake, moved=self._checkpoints.moved
        )
        reader = Reader(
            options,
            host,
            maker=EventMaker(
                host.parser(options.parse),
                host,
                self._complaints,
                path_key=options.path_key,
                emit_unmatched_lines=options.emit_unmatched_lines,
            ),
            lines=line_format(options.encoding, options.from_encoding),
            trails=self.trails,
            files=self._files,
            complaints=self._complaints,
            throttle=self._throttle,
        )
        self._schedule = Schedule(reader.serve, clock=host.clock, log=host.log)
        self.patrol = Patrol(
            options,
            host,
            trails=self.trails,
            targets=Targets(options, never=self._checkpoints.companions),
            watch=self._watch,
            wake=self._wake,
            complaints=self._complaints,
        )

    async def start(self) -> None:
        """Take the position file, and begin to listen."""
        await self._checkpoints.open()
        self.trails.roster.own_output = _own_output()
        if self.options.enable_stat_watcher:
            self._watch.start()

    def _warn(self) -> None:
        options = self.options
        if options.pos_file is None:
            # compat: in_tail.rb says it in these two lines
            self.host.log.warning("'pos_file PATH' parameter is not set to a 'tail' source.")
            self.host.log.warning("this parameter is highly recommended to save the position to resume tailing.")
        if options.encoding is not None and options.encoding == options.from_encoding:
            self.host.log.warning("'encoding' and 'from_encoding' are same encoding. No effect")
        if 0 < options.read_bytes_limit_per_second < FEWEST_BYTES:
            self.host.log.warning(
                "Should specify greater equal than %d. Use %d for read_bytes_limit_per_second",
                FEWEST_BYTES,
                FEWEST_BYTES,
            )
        if options.multiline_flush_interval is not None:
            self.host.log.debug("multiline_flush_interval matters to parsers of several lines only")

    async def run(self) -> None:
        """Follow files until cancelled; nothing is lost by that, what was not accepted is read again."""
        if not self._loaded:
            self.trails.saved = Saved(await self._checkpoints.load())
            self._loaded = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._schedule.run(), name="tail.schedule")
            group.create_task(self.patrol.keep_searching(), name="tail.search")
            group.create_task(self.patrol.keep_asking(), name="tail.refresh")
            group.create_task(self.patrol.keep_listening(), name="tail.listen")
            group.create_task(self.patrol.keep_ticking(), name="tail.tick")
            group.create_task(self._checkpoints.run(), name="tail.checkpoints")
            for trail in self.trails.by_path.values():  # of an earlier run that failed
                trail.stir()
                self._schedule.restart(trail)

    async def stop(self) -> None:
        """Write down what has settled, and close everything."""
        self._watch.stop()
        self._complaints.sum_up(everything=True)
        await self.trails.look_a_last_time()
        await self._checkpoints.stop()
        await self.trails.close()

    def accounts(self) -> Iterable[SourceAccount]:
        """Return where the bytes of each followed path went, all that its name ever led to together."""
        return self.trails.accounts()

    def _wake(self, trail: Trail) -> None:
        if self._throttle.active:
            self._throttle.join(trail)
        self._schedule.wake(trail)

    def _entries(self) -> list[Entry]:
        return self.trails.entries()


def _own_output() -> frozenset[Identity]:
    """Return the files that standard output and error go to."""
    statuses = []
    for descriptor in (1, 2):
        try:
            statuses.append(os.fstat(descriptor))
        except OSError:
            continue
    return frozenset(Identity.of(status) for status in statuses if stat.S_ISREG(status.st_mode))
