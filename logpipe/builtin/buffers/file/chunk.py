"""A chunk in a file: takes events, writes them in groups, reads them back.

Events go to the file at once and stay in memory as well, within a limit, so that for an output that keeps up they need
not be read and decoded again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from logpipe import ChunkKey, EventBatch, Time
from logpipe.builtin.buffers.file.codec import Label, decode_label, encode_events, encode_label, encode_payloads
from logpipe.builtin.buffers.file.frame import Content, Kind, encode_frame
from logpipe.builtin.buffers.file.frame_reader import read_batches, read_members, read_payloads, read_pieces
from logpipe.builtin.buffers.file.salvage import Damage, Extent, Fragment, scan
from logpipe.builtin.compression import Compression, compressor
from logpipe.codec import Payloads, joined, pieces_in, size_of
from logpipe.durable import Disk

T = TypeVar("T")


class ChunkOwner(Protocol):
    """The interface of a chunk to its buffer."""

    def commit(self, chunk: FileChunk) -> None:
        """Begin to write a chunk's groups, until `next_group` has no more."""

    def take_memory(self, size: int) -> bool:
        """Reserve so many bytes of memory; returns False where they are not available."""

    def give_memory(self, size: int) -> None:
        """Return memory taken by `take_memory`."""

    def refuse(self, batch: EventBatch, index: int, error: Exception) -> None:
        """Pass an event that cannot be stored to `@ERROR`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Events or payloads that are in memory as well as in the file."""

    batch: EventBatch
    """Without its receipt, which is released once the bytes are synced; without events where there are payloads."""
    payloads: Payloads
    count: int
    size: int


Part: TypeAlias = Kept | Extent | Fragment


class Entry(NamedTuple):
    """The data of one `append`."""

    label: bytes
    contents: list[Content]
    kept: Kept | None


class Group:
    """Entries that are written and synced together; `entries` is cleared afterwards."""

    __slots__ = ("_written", "entries", "error", "size")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.size = 0
        self.error: Exception | None = None
        self._written = asyncio.Event()

    def end(self, error: Exception | None = None) -> None:
        """Wake the waiters, with the error if it failed."""
        self.error = error
        self.entries = []
        self._written.set()

    async def ended(self) -> None:
        """Wait until it is written or has failed."""
        await self._written.wait()


class FileChunk:
    """A chunk and its file, which is created by the first group that is written.

    Args:
        chunk_id: 32 hexadecimal digits.
        path: its file.
        owner: its buffer.
        key: the chunk key of its events.
        created: when it was begun.
    """

    def __init__(self, chunk_id: str, path: Path, owner: ChunkOwner, *, key: ChunkKey, created: Time) -> None:
        self.id = chunk_id
        self.path = path
        self.key = key
        self.created = created
        self.size = 0
        """Bytes of the file, and of pending events as given to `append`."""
        self.progress: Any = None
        self.is_sealed = False
        """Whether it takes no more events, since a write has failed or the file is damaged."""
        self.encoded = False
        self.must_stay = False
        """Whether damaged parts were not copied: then the file is moved to `corrupt` in the end, not deleted."""
        self._owner = owner
        self._count = 0
        self._parts: list[Part] = []
        self._safe_size = 0
        self._safe_count = 0
        self._is_name_safe = True
        self._checked = True
        self._group: Group | None = None
        self._last: Group | None = None
        self._committing = False
        self._labels: dict[str, bytes] = {}

    def restore(self, size: int, count: int, *, encoded: bool) -> None:
        """Take over a file of a previous run, to be checked before it is delivered; a count of 0 is not known yet."""
        self.size = self._safe_size = size
        self._count = self._safe_count = count
        self.encoded = encoded
        self._parts = [Extent(0, size, count)]
        self._is_name_safe = self._checked = False

    def __len__(self) -> int:
        return self._count

    def append(self, batch: EventBatch, payloads: Payloads | None, size: int) -> None:
        """Add the events, or their payloads, to the next group."""
        entry, count = self._entry(batch, payloads, size)
        self.encoded = payloads is not None
        self.size += size
        self._count += count
        if self._group is None:
            self._group = self._last = Group()
        self._group.entries.append(entry)
        self._group.size += size
        if not self._committing:
            self._committing = True
            self._owner.commit(self)

    def _entry(self, batch: EventBatch, payloads: Payloads | None, size: int) -> tuple[Entry, int]:
        label = self._labels.get(batch.tag)
        if label is None:
            label = self._labels[batch.tag] = encode_label(Label(batch.tag, self.key, self.created))
        kept: Kept | None = None
        if payloads is not None:
            contents = list(encode_payloads(payloads, size))
            kept = Kept(EventBatch(batch.tag, [], []), payloads, len(payloads), size)
        else:
            contents = list(encode_events(batch, size, lambda index, error: self._owner.refuse(batch, index, error)))
            stored = sum(size_of(content.records) for content in contents)
            kept = Kept(EventBatch(batch.tag, batch.times, batch.records), [], len(batch), stored)
        count = sum(len(content.records) for content in contents)
        if count < kept.count or not self._owner.take_memory(kept.size):
            kept = None
        return Entry(label, contents, kept), count

    async def sync(self) -> None:
        """Return when all appended events survive a power cut.

        Raises:
            LogpipeError: writing failed; the chunk has dropped the events.
        """
        if self._last is None:
            return
        await self._last.ended()
        if self._last.error is not None:
            # a new exception for each waiter: one that is raised twice collects both tracebacks
            raise type(self._last.error)(*self._last.error.args) from self._last.error.__cause__

    async def settled(self) -> None:
        """Return when nothing is being written."""
        while self._last is not None and (self._committing or self._group is not None):
            await self._last.ended()

    def next_group(self) -> Group | None:
        """Return the group to be written next; None ends the writing."""
        group, self._group = self._group, None
        self._committing = group is not None
        return group

    def write(self, group: Group, disk: Disk, *, compression: Compression | None) -> list[int]:
        """Write a group, in a thread; returns where the frames of each of its entries end.

        Raises:
            OSError: it is not safely on the disk.
        """
        chunk_id, place, first = bytes.fromhex(self.id), self._safe_size, self._safe_count
        frames: list[bytes] = []
        ends: list[int] = []
        for entry in group.entries:
            for content in entry.contents:
                pieces = encode_frame(chunk_id, first, entry.label, content, compression=compression)
                first += len(content.records)
                place += sum(map(len, pieces))
                frames += pieces
            ends.append(place)
        if frames:
            if not self._is_name_safe:  # the previous run may have been killed before it synced the folder
                disk.sync_folder(self.path.parent)
                self._is_name_safe = True
            disk.append(self.path, frames, at=self._safe_size)
        return ends

    def written(self, group: Group, ends: list[int]) -> None:
        """Record that a group is synced."""
        for entry, end in zip(group.entries, ends, strict=True):
            count = sum(len(content.records) for content in entry.contents)
            if entry.kept is not None:
                self._parts.append(entry.kept)
            elif count:
                self._add_extent(self._safe_size, end, count)
            self._safe_size = end
            self._safe_count += count
        self.size = self._safe_size + (self._group.size if self._group is not None else 0)
        group.end()

    def _add_extent(self, start: int, end: int, count: int) -> None:
        self._checked = False
        last = self._parts[-1] if self._parts else None
        if isinstance(last, Extent) and last.end == start:
            self._parts[-1] = Extent(last.start, end, last.count + count)
        else:
            self._parts.append(Extent(start, end, count))

    def failed(self, group: Group, error: Exception) -> int:
        """Drop a group that could not be written, and take no more events; returns the number of its events."""
        self.is_sealed = True
        waiting, self._group = self._group, None
        lost = self._count - self._safe_count
        self._count, self.size = self._safe_count, self._safe_size
        for each in (group, waiting):
            if each is not None:
                self._give_memory(entry.kept for entry in each.entries)
                each.end(error)
        return lost

    def check(self) -> list[Damage]:
        """Find the intact parts of the file, in a thread; returns the damaged ones.

        Raises:
            OSError: it cannot be read.
        """
        if self._checked:
            return []
        parts: list[Part] = []
        damages: list[Damage] = []
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for part in self._parts:
                if not isinstance(part, Extent):
                    parts.append(part)
                    continue
                found = scan(descriptor, part.start, part.end, bytes.fromhex(self.id))
                parts += found.parts
                damages += found.damages
                if found.first is not None:
                    self.encoded = found.first.kind is Kind.PAYLOADS
                    self.key = decode_label(found.first.label).key
        finally:
            os.close(descriptor)
        self._take_parts(parts)
        return damages

    def _take_parts(self, parts: list[Part]) -> None:
        count = sum(part.count for part in parts)
        if count != self._count:
            self.progress = None  # it counts events by position, and some are gone
        self._parts, self._count, self._checked = parts, count, True

    def vanished(self) -> int:
        """Record that the file was removed; returns the number of lost events, as far as it is known."""
        kept: list[Part] = [part for part in self._parts if isinstance(part, Kept)]
        lost = self._count - sum(part.count for part in kept)
        self._take_parts(kept)
        return lost

    def batches(self) -> Iterator[EventBatch]:
        """Yield the events, oldest first."""
        return self._each(lambda kept: (kept.batch,), read_batches)

    def payloads(self) -> Iterator[bytes]:
        """Yield the payloads, oldest first."""
        return self._each(lambda kept: kept.payloads, read_payloads)

    def pieces(self) -> Iterator[bytes]:
        """Yield the payloads, many in one piece where they are so."""
        return self._each(lambda kept: pieces_in(kept.payloads), read_pieces)

    def members(self, compression: Compression) -> Iterator[bytes]:
        """Yield the payloads as compressed members; those already compressed so are not touched."""
        compress = compressor(compression)
        return self._each(
            lambda kept: (compress(joined(kept.payloads)),),
            lambda path, parts: read_members(path, parts, compression),
        )

    def _each(
        self,
        kept: Callable[[Kept], Iterable[T]],
        read: Callable[[Path, Iterable[Extent | Fragment]], Iterable[T]],
    ) -> Iterator[T]:
        for in_memory, parts in groupby(self._parts, key=lambda part: isinstance(part, Kept)):
            if in_memory:
                for part in parts:
                    if isinstance(part, Kept):
                        yield from kept(part)
                continue
            try:
                yield from read(self.path, [part for part in parts if not isinstance(part, Kept)])
            except GeneratorExit:
                raise
            except BaseException:
                self._checked = False  # checked again before the next attempt
                raise

    def forget(self) -> None:
        """Free the memory; the events stay in the file."""
        self._give_memory(part for part in self._parts if isinstance(part, Kept))
        self._parts = []

    def _give_memory(self, kept: Iterable[Kept | None]) -> None:
        self._owner.give_memory(sum(part.size for part in kept if part is not None))
