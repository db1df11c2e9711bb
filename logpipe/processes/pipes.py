"""The two ends of a pipe to a child, read and written only as far as the kernel does it at once."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_BLOCK: Final = 65536
_FIRST_LOOK: Final = 0.001
_LONGEST_LOOK: Final = 0.1
"""Seconds between two looks at how much of a pipe is unread, which nothing tells."""


class PipeEnd:
    """A descriptor of ours; the loop waits for it, never the thread."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for the other end."""
        return self._waiting is not None

    def close(self) -> None:
        """Close it; whoever waits for it goes on. Safe to call twice."""
        if self._descriptor < 0:
            return
        self._closing()
        if self._waiting is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._descriptor)
            loop.remove_writer(self._descriptor)
            if not self._waiting.done():
                self._waiting.set_result(None)
        os.close(self._descriptor)
        self._descriptor = -1

    def _closing(self) -> None:
        """Look at what cannot be seen afterwards."""

    async def _ready(self, *, to_write: bool) -> None:
        """Wait until it can be read or written, or is closed."""
        loop, descriptor = asyncio.get_running_loop(), self._descriptor
        self._waiting = waiting = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
        add(descriptor, _wake, waiting)
        try:
            await waiting
        finally:
            self._waiting = None
            if self._descriptor == descriptor:
                remove(descriptor)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class ReadEnd(PipeEnd):
    """Where what a child writes comes out; what is not read makes the child wait."""

    async def read(self, most: int) -> bytes:
        """Return what is there, `most` bytes of it; b"" when all who could write have ended, or it was closed."""
        await asyncio.sleep(0)  # a child that writes without end must not keep others from their turn
        while self._descriptor >= 0:
            try:
                return os.read(self._descriptor, most)
            except BlockingIOError:
                await self._ready(to_write=False)
        return b""


class WriteEnd(PipeEnd):
    """Where what a child reads goes in."""

    _unread_at_close = 0

    async def write(self, data: bytes) -> None:
        """Return when the kernel has all of it.

        Raises:
            BrokenPipeError: nobody reads any more, or it was closed; some of it may have been read.
        """
        rest = memoryview(data)
        while rest:
            if self._descriptor < 0:
                raise BrokenPipeError("its input is closed")
            try:
                rest = rest[os.write(self._descriptor, rest[:_BLOCK]) :]
            except BlockingIOError:
                await self._ready(to_write=True)

    def unread(self) -> int:
        """Return how many bytes nobody has read, or had when it was closed; 0 where the system does not say it."""
        if self._descriptor < 0:
            return self._unread_at_close
        found = array.array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self._descriptor, termios.FIONREAD, found)
        return found[0]

    def _closing(self) -> None:
        self._unread_at_close = self.unread()

    async def drained(self, is_over: Callable[[], bool]) -> bool:
        """Wait until all was read, or `is_over` says that nobody reads any more; returns whether it was read."""
        pause = _FIRST_LOOK
        while (left := self.unread()) and not is_over():
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
        return not left


class Tail:
    """Reads a pipe to its end, whatever comes and however much, and keeps the last of it.

    Args:
        descriptor: the end that is read; it is closed with the pipe.
        most: bytes to keep.
    """

    def __init__(self, descriptor: int, most: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._most = most
        self._kept: deque[bytes] = deque()
        self._size = 0
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    @property
    def text(self) -> bytes:
        """What came last."""
        return b"".join(self._kept)[-self._most :]

    def close(self) -> None:
        """Read what is there, and no more; safe to call twice."""
        if self._descriptor >= 0:
            self._read()
        self._close()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _BLOCK)
        except BlockingIOError:
            return
        if not data:
            self._close()
            return
        self._kept.append(data)
        self._size += len(data)
        while self._size - len(self._kept[0]) >= self._most:
            self._size -= len(self._kept.popleft())

    def _close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
