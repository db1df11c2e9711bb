"""The stage: its parts made and put together."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable

from logpipe import Input, InputHost
from logpipe.builtin.in_tail.checkpoints import Checkpoints
from logpipe.builtin.in_tail.decide import Rules
from logpipe.builtin.in_tail.discovery import Discovery
from logpipe.builtin.in_tail.following import Following
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.paths import Targets
from logpipe.builtin.in_tail.reader import Reader
from logpipe.builtin.in_tail.registry import Registry
from logpipe.builtin.in_tail.schedule import FEWEST_BYTES, Schedule, Throttle
from logpipe.builtin.in_tail.table import Trail
from logpipe.builtin.position_file import Entry
from logpipe.monitor import SourceAccount


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
        self.discovery = Discovery(options, host, self.following, self._targets)
        reader = Reader(options, host, self.following, self._throttle)
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
        if options.multiline_flush_interval is not None:
            log.debug("multiline_flush_interval matters to parsers of several lines only")

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
        """Look for nothing and read nothing new; what was read is emitted, and positions move."""
        self._schedule.quiesce()
        if self._discovering is not None:
            self._discovering.cancel()

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
