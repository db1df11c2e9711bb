"""Batches on their way to the disk: in a persistent buffer's chunks, not yet safe from a crash.

An input that gave no receipt waits until its batch is safe: `emit` returning is all it will ever hear. One that gave
a receipt goes on reading, a few megabytes ahead, while the disk is busy: it may forget its source when the receipt
settles, and that is when the batch is safe. What the disk refuses is still in memory and goes to another chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from logpipe.event import EventBatch, Payloads, Receipt
from logpipe.plugin import Buffer, ChunkKey, Host, StoredChunk

WINDOW: Final = 4 << 20
"""Bytes that inputs may be ahead of the disk."""

FIRST_BACK_OFF: Final = 0.5
LONGEST_BACK_OFF: Final = 30.0


class Piece(NamedTuple):
    """The part of a batch that went to one chunk."""

    chunk: StoredChunk
    key: ChunkKey
    batch: EventBatch
    payloads: Payloads | None
    size: int


class Syncing:
    """The batches of one buffer that are not safe yet.

    Args:
        buffer: a persistent one.
        host: of the output.
        put: appends a piece to the chunk of its key, or to several, and returns what went where.
    """

    def __init__(self, buffer: Buffer[Any], host: Host, put: Callable[[Piece], Iterator[Piece]]) -> None:
        self._buffer = buffer
        self._host = host
        self._put = put
        self._ahead = 0
        self._caught_up = asyncio.Event()

    async def take(self, pieces: list[Piece], receipt: Receipt | None) -> None:
        """Return when a batch, in its chunks already, is safe or has been taken care of.

        Raises:
            LogpipeError: there is no receipt, and it could not be made safe.
        """
        if not pieces:
            return
        if receipt is None:
            for outcome in await _sync(pieces):
                if outcome is not None:
                    raise outcome
            return
        size = sum(piece.size for piece in pieces)
        receipt.hold()
        self._ahead += size
        self._host.start_task(self._keep(pieces, receipt, size), name="sync")
        while self._ahead > WINDOW:
            await self._wait()

    async def settled(self) -> None:
        """Wait until every batch taken so far is safe, or the disk has no room for it: its source still has it."""
        while self._ahead and not self._buffer.problem:
            await self._wait()

    async def _wait(self) -> None:
        self._caught_up.clear()
        await self._caught_up.wait()

    async def _keep(self, pieces: list[Piece], receipt: Receipt, size: int) -> None:
        """Hold a batch until it is safe, then settle what is owed for it."""
        back_off = FIRST_BACK_OFF
        try:
            while True:
                outcomes = await _sync(pieces)
                refused = [piece for piece, outcome in zip(pieces, outcomes, strict=True) if outcome is not None]
                if not refused:
                    break
                await self._host.clock.sleep(back_off)
                back_off = min(LONGEST_BACK_OFF, back_off * 2)
                await self._buffer.room()
                pieces = [again for piece in refused for again in self._put(piece)]
        finally:
            self._ahead -= size
            self._caught_up.set()
        receipt.release()


async def _sync(pieces: list[Piece]) -> list[BaseException | None]:
    """Wait until each piece's chunk is synced; returns what went wrong with each."""
    if len(pieces) == 1:
        try:
            await pieces[0].chunk.sync()
        except Exception as error:  # noqa: BLE001 - the caller decides
            return [error]
        return [None]
    chunks = {piece.chunk.id: piece.chunk for piece in pieces}
    outcomes = await asyncio.gather(*(chunk.sync() for chunk in chunks.values()), return_exceptions=True)
    by_chunk = dict(zip(chunks, outcomes, strict=True))
    return [by_chunk[piece.chunk.id] for piece in pieces]
