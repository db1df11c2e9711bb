"""Chunks to commands, in turn; what they write comes back as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import ClassVar

from logpipe import Chunk, EventBatch, LogpipeError, Output, OutputHost
from logpipe.builtin.chunk_payloads import pieces_of
from logpipe.builtin.command_output.encoding import Encoder
from logpipe.builtin.command_output.reading import Events
from logpipe.builtin.out_exec_filter.children import Place
from logpipe.builtin.out_exec_filter.options import FLAT, ExecFilterOptions
from logpipe.tree import Element, Way


class ExecFilter(Output[ExecFilterOptions], type="exec_filter"):
    """Gives events to commands that go on running, and emits what these write.

    A chunk is delivered when its command has read all of it; where it ends before, the chunk is given to another, or
    to the next. What a command has read and not written when it fails, or is killed with the worker, nobody knows: it
    is lost. When the worker stops, commands find the end of their input, and what they write then is emitted.
    """

    keeps_tag = False
    compat: ClassVar = frozenset({"buffer"})
    compat_own = FLAT
    buffer_defaults: ClassVar = {"flush_mode": "interval", "flush_interval": "1"}

    def __init__(self, options: ExecFilterOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._removed = "" if options.remove_prefix is None else f"{options.remove_prefix}."
        self._encoder = Encoder(host, options.format, options.inject, self._shown_tag)
        self._events = Events(
            host,
            parse=options.parse,
            extract=options.extract,
            tag=options.tag,
            prefix="" if options.add_prefix is None else f"{options.add_prefix}.",
            block=options.read_block_size,
            quiet_seconds=options.suppress_error_log_interval,
        )
        respawns = options.child_respawn or 0
        self._places = [
            Place(number, options.command, respawns, self._events, host) for number in range(options.num_children)
        ]
        self._last = 0
        host.gauge("healthy_children", lambda: sum(place.is_healthy for place in self._places))

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return the way of what commands write, where its tag is written down."""
        tag = element.get("tag")
        return () if tag is None else (Way("", lambda _: tag, may_drop=True),)

    async def start(self) -> None:
        """Start the commands."""
        for number, place in enumerate(self._places):
            self.host.start_task(place.keep(), name=f"child {number}")

    async def flush(self) -> None:
        """Have the commands finish what they have been given."""
        await asyncio.gather(*(place.drain() for place in self._places))

    async def stop(self) -> None:
        """End the commands."""
        self._events.quiesce()
        await asyncio.gather(*(place.stop() for place in self._places))
        self._events.stop()

    def encode(self, batch: EventBatch) -> list[bytes]:
        """Return each event's bytes; a bad record is empty and goes to `@ERROR`."""
        return self._encoder.encode(batch)

    async def write(self, chunk: Chunk) -> None:
        """Give a chunk to the next command.

        Raises:
            LogpipeError: none runs.
            ChildOver: it has ended before it had read all.
        """
        await self._next().feed(self._pieces(chunk))

    def _next(self) -> Place:
        """Return whose turn it is: the next that is healthy, and is not being fed where there is one that is not."""
        count = len(self._places)
        turns = [(self._last + step) % count for step in range(1, count + 1)]
        healthy = [turn for turn in turns if self._places[turn].is_healthy]
        if not healthy:
            again = "" if self.options.child_respawn else ": child_respawn inf has them started again"
            raise LogpipeError(f"no healthy child processes exist{again}")
        self._last = next((turn for turn in healthy if not self._places[turn].is_busy), healthy[0])
        return self._places[self._last]

    async def _pieces(self, chunk: Chunk) -> AsyncIterator[bytes]:
        pieces = pieces_of(chunk, self.encode)
        while True:
            # a secondary's chunks may have to be encoded, which is not for threads
            piece = next(pieces, None) if self.host.is_secondary else await self.host.in_thread(next, pieces, None)
            if piece is None:
                return
            yield piece

    def _shown_tag(self, tag: str) -> str:
        """Return the tag that a command sees."""
        return tag.removeprefix(self._removed) if self._removed else tag
