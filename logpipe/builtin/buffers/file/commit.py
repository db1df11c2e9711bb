"""Writes pending events of chunks in groups: all that is appended while a group is being synced forms the next one."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Final, TypeVar

from logpipe import BufferFull, Host, LogpipeError
from logpipe.builtin.buffers.file.chunk import FileChunk, Group
from logpipe.builtin.buffers.file.space import FULL, Space
from logpipe.builtin.compression import Compression
from logpipe.durable import Disk

T = TypeVar("T")

WAIT: Final = 0.5
"""Seconds between two attempts."""

_TRANSIENT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""The errors for lack of a resource which is freed again, such as file descriptors."""


class TransientRetry:
    """Runs blocking work until it no longer fails with a transient error; logs once that it waits."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting = False

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread and return its result.

        Raises:
            OSError: it failed with an error that is not transient.
        """
        while True:
            try:
                result = await self._host.in_thread(work)
            except OSError as error:
                if error.errno not in _TRANSIENT:
                    raise
                if not self._waiting:
                    self._host.log.warning("the buffer waits: %s", error)
                self._waiting = True
            else:
                self._waiting = False
                return result
            await self._host.clock.sleep(WAIT)


class Committer:
    """The writing side of one buffer.

    Args:
        disk: its file operations.
        space: notified of writes, and of those that failed on a full disk.
        host: of the output.
        compression: how frames are compressed.
    """

    def __init__(self, disk: Disk, space: Space, host: Host, *, compression: Compression | None) -> None:
        self._disk = disk
        self._space = space
        self._host = host
        self._compression = compression
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._failing = False
        self._retry = TransientRetry(host)
        self._syncs = host.counter("buffer_sync_count", "Groups written to buffer files and synced.")
        self._refused = host.counter(
            "buffer_refused_records", "Events that could not be written to the buffer; their source is read again."
        )

    def commit(self, chunk: FileChunk) -> None:
        """Begin to write a chunk's groups."""
        self._busy += 1
        self._idle.clear()
        self._host.start_task(self._commit(chunk), name="commit")

    async def idle(self) -> None:
        """Wait until nothing is being written."""
        await self._idle.wait()

    async def _commit(self, chunk: FileChunk) -> None:
        try:
            while (group := chunk.next_group()) is not None:
                await self._write(chunk, group)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _write(self, chunk: FileChunk, group: Group) -> None:
        try:
            ends = await self._retry.run(lambda: chunk.write(group, self._disk, compression=self._compression))
        except OSError as error:
            self._failed(chunk, group, error)
        except BaseException as error:
            chunk.failed(group, LogpipeError(f"writing to {chunk.path} was interrupted: {error!r}"))
            raise
        else:
            chunk.written(group, ends)
            self._syncs.add(1)
            self._space.touch()
            if self._failing:
                self._failing = False
                self._host.log.info("buffer %s can be written to again", chunk.path.parent)

    def _failed(self, chunk: FileChunk, group: Group, error: OSError) -> None:
        """Stop writing to a chunk's file: what a failed sync has dropped, a later sync does not restore."""
        if error.errno in FULL:
            self._space.ran_out(error)
            refusal: LogpipeError = BufferFull(f"the disk of buffer {chunk.path.parent} is full: free some room")
        else:
            refusal = LogpipeError(f"buffer file {chunk.path} cannot be written: {error.strerror or error}")
        refusal.__cause__ = error
        count = chunk.failed(group, refusal)
        self._refused.add(count)
        if error.errno not in FULL and not self._failing:
            self._failing = True
            self._host.log.error(
                "buffer file %s cannot be written: %s. It takes no more events; %d that were not synced yet are "
                "refused, and read again from their source: check the disk",
                chunk.path,
                error,
                count,
            )
