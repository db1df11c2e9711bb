"""A place for one command: it runs there, is fed chunk by chunk, and is started again where the settings say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from logpipe import LogpipeError, OutputHost, ParseError
from logpipe.builtin.command_output.reading import Events
from logpipe.builtin.out_exec_filter.options import FOREVER
from logpipe.processes import Child

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
"""Seconds before a command that has ended soon is started again; doubled each time."""
LASTING: Final = 10.0
"""Seconds after which one that ends has not ended soon."""
PATIENCE: Final = 5.0
"""Seconds for a command that writes nothing to end, once its input or its output has."""
STALLED: Final = 60.0
"""Seconds after which it is said that a command does not read what it is given."""


class Place:
    """One of `num_children`.

    Args:
        number: from 0.
        command: for the shell.
        respawns: how often it is started again, `FOREVER` for any number of times.
        events: make events of what it writes.
        host: the output's.
    """

    def __init__(self, number: int, command: str, respawns: int, events: Events, host: OutputHost) -> None:
        self._number = number
        self._command = command
        self._respawns = respawns
        self._events = events
        self._host = host
        self._child: Child | None = None
        self._gone = asyncio.Event()
        """Set while no command runs here, and all that the last has written is emitted."""
        self._gone.set()
        self._turn = asyncio.Lock()
        self._is_stopping = False

    @property
    def is_healthy(self) -> bool:
        """Whether a command runs here that can be fed, or one will be started for what it is given."""
        return self._is_stopping or (self._child is not None and not self._child.has_ended)

    @property
    def is_busy(self) -> bool:
        """Whether it is being fed."""
        return self._turn.locked()

    async def keep(self) -> None:
        """Run the command, and again when it has ended, as often as the settings say."""
        clock, pause = self._host.clock, FIRST_PAUSE
        while not self._is_stopping:
            began = clock.monotonic()
            try:
                child = self._start()
            except OSError as problem:
                self._host.log.error("the command cannot be started: %s", problem)  # noqa: TRY400 - the system's fault
            else:
                await self._follow(child)
                if self._is_stopping or self._respawns == 0:
                    return
                if self._respawns != FOREVER:
                    # compat: out_exec_filter.rb means to count, but begins anew with each start
                    self._respawns -= 1
            if clock.monotonic() - began >= LASTING:
                pause = FIRST_PAUSE
            await clock.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            if not self._is_stopping:
                message = "respawning child process num=%d respawn_counter=%d"
                self._host.log.info(message, self._number, self._respawns)

    async def feed(self, pieces: AsyncIterator[bytes]) -> None:
        """Give a chunk to the command; returns when it has read all of it.

        Once the worker stops, each chunk has a command of its own, which reads it to its end, and all that it writes
        is emitted before this returns.

        Raises:
            ChildOver: it has ended before.
            LogpipeError: none runs here.
            OSError: there is no process to be had.
        """
        async with self._turn:
            if self._is_stopping:
                await self._finish()
                self._host.start_task(self._follow(self._start()), name=f"last child {self._number}")
            if self._child is None:
                raise LogpipeError("no healthy child processes exist")
            await self._give(self._child, pieces)
            if self._is_stopping:
                await self._finish()

    async def drain(self) -> None:
        """Have the command come to its end, and emit what it writes until then."""
        self._is_stopping = True
        async with self._turn:
            await self._finish()

    async def stop(self) -> None:
        """End the command."""
        self._is_stopping = True
        if self._child is not None:
            await self._child.end(term_seconds=0.5)

    def _start(self) -> Child:
        self._child = Child.start(self._command, is_fed=True, is_read=True)
        self._gone.clear()
        return self._child

    async def _follow(self, child: Child) -> None:
        """Emit what a command writes, until it has ended."""
        log = self._host.log
        try:
            try:
                await self._events.read(child)
            except ParseError as problem:
                log.error("the command is ended, for what it writes: %s", problem)  # noqa: TRY400 - it is not ours
                ended = await child.end()
            else:
                ended = await child.end(patience=PATIENCE)
        finally:
            self._child = None
            self._gone.set()
        if not self._is_stopping:
            message = "child process exits with error code num=%d %s; the last it said: %s"
            log.warning(message, self._number, ended, child.last_words)

    async def _give(self, child: Child, pieces: AsyncIterator[bytes]) -> None:
        stalled = asyncio.get_running_loop().call_later(STALLED, self._say_stalled, child)
        try:
            async for piece in pieces:
                await child.write(piece)
            await child.taken()
        finally:
            stalled.cancel()

    def _say_stalled(self, child: Child) -> None:
        if child.is_silent:
            message = "the command num=%d pid=%d has not read what it was given for %.0f seconds"
            self._host.log.warning(message, self._number, child.pid, STALLED)

    async def _finish(self) -> None:
        """Let the command find the end of its input, and wait until what it writes then is emitted."""
        child = self._child
        if child is None:
            return
        child.close_input()
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._gone.wait()
            except TimeoutError:
                if child.is_silent:  # else outputs take their time, and it waits for them
                    await child.end()
