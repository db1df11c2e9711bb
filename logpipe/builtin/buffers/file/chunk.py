"""A chunk in a file: takes events, has them written in groups, gives them back.

Events go to the file at once and are kept in memory as well while there is room for them, so that an output that
keeps up does not have read and decoded again what was encoded and written a moment ago.
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
from logpipe.builtin.buffers.file.reading import read_batches, read_members, read_payloads, read_pieces
from logpipe.builtin.buffers.file.salvage import Damage, Extent, Fragment, scan
from logpipe.builtin.compression import Compression, compressor
from logpipe.codec import Payloads, joined, pieces_in, size_of
from logpipe.durable import Disk

T = TypeVar("T")


class Keeper(Protocol):
    """What a chunk needs of its buffer."""

    def commit(self, chunk: FileChunk) -> None:
        """Begin to write a chunk's groups, until `next_group` has no more."""
        ...

    def take_memory(self, size: int) -> bool:
        """Return whether so many bytes may be kept in memory; they are taken then."""
        ...

    def give_memory(self, size: int) -> None:
        """Have bytes back."""
        ...

    def refuse(self, batch: EventBatch, index: int, error: Exception) -> None:
        """Hand an event that cannot be stored to `@ERROR`."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Events or payloads that are in memory as well as in the file."""

    batch: EventBatch
    """Without its receipt, which is released as soon as the bytes are safe; without events where there are payloads."""
    payloads: Payloads
    count: int
    size: int


Part: TypeAlias = Kept | Extent | Fragment


class Entry(NamedTuple):
    """What one `append` brought."""

    label: bytes
    contents: list[Content]
    kept: Kept | None


class Group:
    """What is written and synced together; `entries` are gone when it is."""

    __slots__ = ("_written", "entries", "error", "size")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.size = 0
        self.error: Exception | None = None
        self._written = asyncio.Event()

    def end(self, error: Exception | None = None) -> None:
        """Tell who waits how it went."""
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
        keeper: its buffer.
        key: what its events share.
        created: when it was begun.
    """

    def __init__(self, chunk_id: str, path: Path, keeper: Keeper, *, key: ChunkKey, created: Time) -> None:
        self.id = chunk_id
        self.path = path
        self.key = key
        self.created = created
        self.size = 0
        """Bytes of the file, and of what is still to be written as it was given."""
        self.progress: Any = None
        self.is_sealed = False
        """Takes no more events: a write to its file has failed, or a damaged file was found."""
        self.encoded = False
        self.must_stay = False
        """Whether something in its file is nowhere else: then it is moved aside in the end, not deleted."""
        self._keeper = keeper
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
        """Have the events, or their payloads, written with the next group."""
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
            self._keeper.commit(self)

    def _entry(self, batch: EventBatch, payloads: Payloads | None, size: int) -> tuple[Entry, int]:
        label = self._labels.get(batch.tag)
        if label is None:
            label = self._labels[batch.tag] = encode_label(Label(batch.tag, self.key, self.created))
        kept: Kept | None = None
        if payloads is not None:
            contents = list(encode_payloads(payloads, size))
            kept = Kept(EventBatch(batch.tag, [], []), payloads, len(payloads), size)
        else:
            contents = list(encode_events(batch, size, lambda index, error: self._keeper.refuse(batch, index, error)))
            stored = sum(size_of(content.records) for content in contents)
            kept = Kept(EventBatch(batch.tag, batch.times, batch.records), [], len(batch), stored)
        count = sum(len(content.records) for content in contents)
        if count < kept.count or not self._keeper.take_memory(kept.size):
            kept = None
        return Entry(label, contents, kept), count

    async def sync(self) -> None:
        """Return when all that was appended survives a power cut.

        Raises:
            LogpipeError: it does not and never will; the chunk has forgotten it.
        """
        if self._last is None:
            return
        await self._last.ended()
        if self._last.error is not None:
            # a new one for each who waits: an exception that is raised twice grows two tracebacks
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
            if not self._is_name_safe:  # the run before may have been killed between its bytes and its name
                disk.sync_folder(self.path.parent)
                self._is_name_safe = True
            disk.append(self.path, frames, at=self._safe_size)
        return ends

    def written(self, group: Group, ends: list[int]) -> None:
        """Hear that a group is safe."""
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
        """Hear that a group is not safe: the chunk forgets it, and takes no more; returns how many events it had."""
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
        """Find out, in a thread, what of the file is intact; returns what is not.

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
            self.progress = None  # it counts events that are not the same any more
        self._parts, self._count, self._checked = parts, count, True

    def vanished(self) -> int:
        """Hear that the file is gone; returns how many events went with it, as far as that is known."""
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
        """Yield the payloads as compressed members, those that are stored so as they are."""
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
                self._checked = False  # and is looked at more closely before the next attempt
                raise

    def forget(self) -> None:
        """Give back the memory."""
        self._give_memory(part for part in self._parts if isinstance(part, Kept))
        self._parts = []

    def _give_memory(self, kept: Iterable[Kept | None]) -> None:
        self._keeper.give_memory(sum(part.size for part in kept if part is not None))
