"""The stage: its parts made and put together."""

from __future__ import annotations

import asyncio
import os
import stat
import weakref
from collections.abc import Iterable

from logpipe import Input, InputHost
from logpipe.builtin.in_tail.archive import SUFFIX
from logpipe.builtin.in_tail.checkpoints import Checkpoints
from logpipe.builtin.in_tail.complaints import Complaints
from logpipe.builtin.in_tail.cuts import Cuts
from logpipe.builtin.in_tail.decide import Rules
from logpipe.builtin.in_tail.discovery import Discovery
from logpipe.builtin.in_tail.events import EventMaker
from logpipe.builtin.in_tail.following import Following
from logpipe.builtin.in_tail.lines import line_format
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.look import Looker
from logpipe.builtin.in_tail.open_files import OpenFiles
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.reader import Reader
from logpipe.builtin.in_tail.registry import Registry
from logpipe.builtin.in_tail.saved import Saved
from logpipe.builtin.in_tail.schedule import Schedule
from logpipe.builtin.in_tail.targets import Targets
from logpipe.builtin.in_tail.throttle import FEWEST_BYTES, Throttle
from logpipe.builtin.in_tail.trail import Trail
from logpipe.builtin.in_tail.watch import Watch
from logpipe.builtin.position_file import Entry
from logpipe.monitor import SourceAccount


class Tail(Input[TailOptions], type="tail"):
    """Follows files and emits what is written to them, line by line."""

    compat = frozenset({"parser"})

    def __init__(self, options: TailOptions, host: InputHost) -> None:
        super().__init__(options, host)
        if options.pos_file not in {None, os.devnull}:
            host.claim("pos_file", str(options.pos_file))
        self._warn()
        self._loaded = False
        self._discovering: asyncio.Task[None] | None = None
        self._complaints = Complaints(host.log, host.clock)
        self._checkpoints = Checkpoints(options.pos_file, host, self._written)
        self._watch = Watch(host.log)
        self._files = OpenFiles(host)
        self._throttle = Throttle(options, host)
        self._targets = Targets(options, never=self._checkpoints.companions)
        self.registry = Registry(
            options,
            host,
            files=self._files,
            complaints=self._complaints,
            wake=self._wake,
            moved=self._checkpoints.moved,
        )
        self.following = Following(
            host,
            registry=self.registry,
            watch=self._watch,
            looker=Looker(
                archive_suffix=SUFFIX if options.read_compressed_rotated else "", room=lambda: self._files.room
            ),
            rules=Rules(self._excludes, self._is_followed),
            wants=self._wants,
            search=self._want_search,
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
            cuts=Cuts(host, following=self.following, files=self._files),
            files=self._files,
            complaints=self._complaints,
            throttle=self._throttle,
        )
        self._schedule = Schedule(reader.serve, clock=host.clock, log=host.log)
        self.discovery = Discovery(
            options,
            host,
            following=self.following,
            targets=self._targets,
            watch=self._watch,
            complaints=self._complaints,
        )

    async def start(self) -> None:
        """Take the position file, and begin to listen."""
        await self._checkpoints.open()
        self.registry.own_output = _own_output()
        _running.add(self)
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
            self.following.looks.saved = Saved(await self._checkpoints.load())
            self._loaded = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._schedule.run(), name="tail.schedule")
            self._discovering = group.create_task(self.discovery.run(), name="tail.discovery")
            group.create_task(self._checkpoints.run(), name="tail.checkpoints")
            for trail in self.registry.by_path.values():  # of an earlier run that failed
                trail.stir()
                self._schedule.restart(trail)

    async def quiesce(self) -> None:
        """Look for nothing and read nothing new; what was read is emitted, and positions move."""
        self._schedule.quiesce()
        if self._discovering is not None:
            self._discovering.cancel()

    async def stop(self) -> None:
        """Write down what has settled, and close everything."""
        _running.discard(self)
        self._complaints.sum_up(everything=True)
        await self.discovery.look_a_last_time()
        self._watch.stop()
        await self._checkpoints.stop()
        await self._files.close_all()

    def accounts(self) -> Iterable[SourceAccount]:
        """Return where the bytes of each followed path went, all that its name ever led to together."""
        return self.registry.accounts()

    def _wake(self, trail: Trail) -> None:
        if self._throttle.active:
            self._throttle.join(trail)
        self._schedule.wake(trail)

    def _written(self) -> tuple[list[Entry], bytes]:
        return self.following.looks.entries(), self.following.looks.written()

    def _wants(self, path: str) -> bool:
        return self._targets.at(self.host.clock.now()).wants(path)

    def _excludes(self, path: str) -> bool:
        return self._targets.at(self.host.clock.now()).excludes(path)

    def _is_followed(self, path: str) -> bool:
        """Return whether a path is meant for itself, here or by another source of this process."""
        return any(each._wants(path) for each in _running)  # noqa: SLF001 - one of us

    def _want_search(self) -> None:
        self.discovery.want_search()


_running: weakref.WeakSet[Tail] = weakref.WeakSet()
"""The sources at work: none takes what another one follows for its own."""


def _own_output() -> frozenset[Identity]:
    """Return the files that standard output and error go to."""
    statuses = []
    for descriptor in (1, 2):
        try:
            statuses.append(os.fstat(descriptor))
        except OSError:
            continue
    return frozenset(Identity.of(status) for status in statuses if stat.S_ISREG(status.st_mode))
