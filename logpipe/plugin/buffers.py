"""What keeps chunks until they are delivered."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol

from logpipe.event import EventBatch, Payloads, Time
from logpipe.plugin.chunk import Chunk, ChunkKey
from logpipe.plugin.stages import O, Plugin


class Buffer(Plugin[O]):
    """Keeps chunks until they are delivered."""

    kind = "buffer"
    persistent: ClassVar[bool] = False
    """Whether a chunk survives a kill -9; then receipts settle when it is stored, else when it is delivered."""

    def new_chunk(self, key: ChunkKey) -> StoredChunk:
        """Return an empty chunk; called from the event loop, and must not wait."""
        raise NotImplementedError

    async def resume(self) -> list[StoredChunk]:
        """Return what a previous run left behind, oldest first. Called once, after `start`.

        A chunk that is not sealed is staged again, under its key and with its age; the others are queued.
        """
        return []

    @property
    def problem(self) -> str:
        """Why no events can be taken now, however small the buffer is; empty where they can. Read for each batch."""
        return ""

    async def room(self) -> None:
        """Wait until there is no such problem; called where `overflow_action` does not say to refuse."""

    def file_of(self, chunk: StoredChunk) -> Path | None:
        """Return the file that holds a chunk, also before it is there; None where no file does."""
        del chunk
        return None

    @property
    def place(self) -> str:
        """Where chunks survive this run, as `left_in` wants it; empty where they do not. Read after `start`."""
        return ""

    @classmethod
    def left_in(cls, place: str) -> int:
        """Return how many events a run has left in a place that no buffer uses now. It blocks.

        Raises:
            OSError: it cannot be looked at.
        """
        del place
        return 0

    async def prepare(self, chunk: StoredChunk) -> None:
        """Make a chunk ready to be read. Called before each attempt to deliver it.

        A chunk that turns out to be empty is purged. An exception counts as a failed attempt.
        """

    async def purge(self, chunk: StoredChunk) -> None:
        """Forget a chunk that was delivered or given up."""
        raise NotImplementedError


class StoredChunk(Chunk, Protocol):
    """A chunk as its buffer keeps it."""

    @property
    def created(self) -> Time:
        """When it was begun; read of chunks that `Buffer.resume` returned."""

    @property
    def is_sealed(self) -> bool:
        """Whether it takes no more events; read before each `append`."""

    @property
    def encoded(self) -> bool:
        """Whether it holds payloads instead of events."""

    def append(self, batch: EventBatch, payloads: Payloads | None, size: int) -> None:
        """Add the events of a batch, with their payloads where the output makes them; `size` is their bytes.

        Payloads come as `encode` returned them: a list that is not to be changed, or an `Encoded`.

        A persistent chunk must be safe before `sync` returns, not before `append` does.
        """

    async def sync(self) -> None:
        """Return when all that was appended survives a kill -9; at once where nothing can.

        An exception means that it does not and that the chunk has forgotten it: the input makes it again. Called by
        each who appended, also concurrently.
        """
