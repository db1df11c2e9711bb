"""`<buffer> @type file` and `@type file_single`: the engine's interface to chunks in files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import ClassVar, TypeAlias, TypeVar

from logpipe import Buffer, ChunkKey, EventBatch, Host, InvalidSetting, LogpipeError, StoredChunk
from logpipe.builtin.buffers.file.chunk import FileChunk
from logpipe.builtin.buffers.file.chunk_files import Found, end_of, find, find_in
from logpipe.builtin.buffers.file.commit import Committer, TransientRetry
from logpipe.builtin.buffers.file.fluentd import FluentdChunk, count_of
from logpipe.builtin.buffers.file.location import SINGLE_SUFFIX, Location, Place, is_prefix, locate
from logpipe.builtin.buffers.file.lock import Lock
from logpipe.builtin.buffers.file.options import FileBufferOptions, FileSingleBufferOptions, StoredOptions
from logpipe.builtin.buffers.file.quarantine import CORRUPT, copy_damages, move
from logpipe.builtin.buffers.file.salvage import Damage
from logpipe.builtin.buffers.file.space import Space
from logpipe.codec import find_zone
from logpipe.durable import Disk, fault

O = TypeVar("O", bound=StoredOptions)  # noqa: E741 - the one letter that reads as "options"

AnyChunk: TypeAlias = FileChunk | FluentdChunk


class StoredBuffer(Buffer[O]):
    """Chunks in files, one each.

    Args:
        options: its settings.
        host: the output's.
        fdatasync: syncs written bytes, `os.fdatasync` unless given.
        fsync: syncs a folder's entries, `os.fsync` unless given.
        statvfs: returns the free space of the disk.
    """

    persistent = True
    name: ClassVar = "buffer"
    """The prefix of file names in a folder."""

    def __init__(
        self,
        options: O,
        host: Host,
        *,
        fdatasync: Callable[[int], None] | None = None,
        fsync: Callable[[int], None] | None = None,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        super().__init__(options, host)
        self._path, self._own_root = _path(options, host)
        host.claim(f"{self.types[0]} buffer path", self._path)
        files = host.files.given(options.file_permission, options.dir_permission)
        self._disk = Disk(files, "buffer", fdatasync=fdatasync, fsync=fsync)
        self._statvfs = statvfs
        # compression is for little memory, or for an output that takes the compressed chunk
        self._memory_left = int(options.memory_limit_size) if options.compress == "text" else 0
        self._location: Location | None = None
        self._locks: list[Lock] = []
        self._space: Space | None = None
        self._committer: Committer | None = None
        self._retry = TransientRetry(host)
        self._last_stamp = 0
        self._lost = host.counter("buffer_damaged_records", "Events in buffer files that were damaged, where known.")
        self._salvaged = host.counter(
            "buffer_salvaged_records", "Events that were delivered out of the intact parts of damaged buffer files."
        )

    @property
    def suffix(self) -> str:
        """The suffix of chunk files."""
        raise NotImplementedError

    async def start(self) -> None:
        """Make the folder if it is missing and lock it.

        Raises:
            LogpipeError: it cannot be used, or another process uses it.
        """
        try:
            self._location, self._locks = await self.host.in_thread(self._open)
        except OSError as error:
            raise LogpipeError(
                f"buffer path {self._path} cannot be used: {error}: make it writable for the user that logpipe runs as"
            ) from error
        reserved = self.options.free_space_reserve
        self._space = Space(
            self._place.folder,
            self.host,
            reserved=None if reserved is None else int(reserved),
            statvfs=self._statvfs,
        )
        compression = None if self.options.compress == "text" else self.options.compress
        self._committer = Committer(self._disk, self._space, self.host, compression=compression)
        self.host.start_task(self._space.watch(), name="space")

    def locate(self) -> Location:
        """Return where the chunks are. Reads the disk, and changes nothing.

        Raises:
            LogpipeError: several workers would share them.
        """
        return locate(
            self._path,
            suffix=self.suffix,
            name=self.name,
            worker=self.host.worker_id if self.host.workers > 1 else None,
            own_root=self._own_root,
        )

    def _open(self) -> tuple[Location, list[Lock]]:
        location = self.locate()
        self._disk.make_folder(location.place.folder)
        locks: list[Lock] = []
        try:
            for place in location.own:
                lock = Lock(place.lock_path, self._disk)
                lock.take()
                locks.append(lock)
        except BaseException:
            _release(locks)
            raise
        return location, locks

    @property
    def _place(self) -> Place:
        if self._location is None:
            raise RuntimeError("the buffer has not been started")
        return self._location.place

    @property
    def place(self) -> str:
        """The pattern of its chunks' file names, with `*` for the varying part."""
        return "" if self._location is None else str(self._place.folder / f"{self._place.prefix}*{self._place.suffix}")

    @classmethod
    def left_in(cls, place: str) -> int:
        """Return the number of events in logpipe's chunks, by the last frame of each."""
        folder, _, name = place.rpartition("/")
        prefix, _, suffix = name.rpartition("*")
        try:
            found = list(find_in(Place(Path(folder), prefix, suffix)))
        except FileNotFoundError:
            return 0
        ends = (end_of(each) for each in found if each.fluentd is None and each.size)
        return sum(1 if end is None else end.count for end in ends)

    async def resume(self) -> list[StoredChunk]:
        """Return the chunks of previous runs, ours and fluentd's, oldest first; none of them is read yet."""
        location = self._location
        if location is None:
            return []
        found = await self.host.in_thread(find, location)
        fault("buffer.resumed")
        if found:
            count, is_exact = await self.host.in_thread(count_of, found)
            self.host.log.info(
                "buffer %s holds %d chunks of a previous run, %s%d events in %d bytes, %d of the chunks fluentd's",
                self._place.folder,
                len(found),
                "" if is_exact else "at least ",
                count,
                sum(each.size for each in found),
                sum(each.fluentd is not None for each in found),
            )
            self._last_stamp = int(found[-1].chunk_id[:16], 16)
        return [self._resumed(each) for each in found]

    def _resumed(self, found: Found) -> StoredChunk:
        if found.fluentd is not None:
            return FluentdChunk(
                found.fluentd,
                found.path,
                found.size,
                chunk_keys=self.options.chunk_keys,
                zone=_zone(self.options),
                limit=self.options.decompression_size_limit,
            )
        frame = found.end or found.start
        created = (int(found.chunk_id[:16], 16) >> 12) * 1000 if frame is None else frame.label.created
        key = ChunkKey() if frame is None else frame.label.key
        chunk = FileChunk(found.chunk_id, found.path, self, key=key, created=created)
        count = 0 if found.end is None else found.end.count
        chunk.restore(found.size, count, encoded=frame is not None and frame.encoded)
        chunk.is_sealed = found.end is None
        return chunk

    def new_chunk(self, key: ChunkKey) -> FileChunk:
        """Return an empty chunk; its file is made when the first events are written."""
        now = self.host.clock.now()
        # the time comes first, so that names sort by age; setting the clock back does not change the order
        self._last_stamp = max((now // 1000) << 12 | secrets.randbits(12), self._last_stamp + 1)
        chunk_id = f"{self._last_stamp:016x}{secrets.token_hex(8)}"
        return FileChunk(chunk_id, self._place.path_of(chunk_id), self, key=key, created=now)

    def file_of(self, chunk: StoredChunk) -> Path | None:
        """Return the file of a chunk."""
        return chunk.path if isinstance(chunk, (FileChunk, FluentdChunk)) else None

    @property
    def problem(self) -> str:
        """Why no events can be accepted now, such as a full disk; "" where they can."""
        return "" if self._space is None else self._space.problem

    async def room(self) -> None:
        """Wait until the disk has free space."""
        if self._space is not None:
            await self._space.room()

    async def prepare(self, chunk: StoredChunk) -> None:
        """Wait for pending writes, then find the intact parts of the file; the damaged ones go to `corrupt`."""
        if not isinstance(chunk, (FileChunk, FluentdChunk)):
            return
        if isinstance(chunk, FileChunk):
            await chunk.settled()
        try:
            damages = await self._retry.run(chunk.check)
        except FileNotFoundError:
            self._vanished(chunk)
            return
        except OSError:
            chunk.must_stay = True
            raise
        chunk.must_stay = False
        if damages:
            await self._quarantine(chunk, damages)

    def _vanished(self, chunk: AnyChunk) -> None:
        lost = chunk.vanished()
        self._lost.add(lost)
        self.host.log.error("buffer file %s was removed, and %d events with it", chunk.path, lost)

    async def _quarantine(self, chunk: AnyChunk, damages: list[Damage]) -> None:
        folder, now = chunk.path.parent / CORRUPT, self.host.clock.now()
        saved, lost = len(chunk), sum(damage.lost or 0 for damage in damages)
        copied = await self.host.in_thread(
            lambda: copy_damages(self._disk, folder, chunk.path, damages, saved=saved, now=now)
        )
        chunk.must_stay = not copied or isinstance(chunk, FluentdChunk)
        self._lost.add(lost)
        self._salvaged.add(saved)
        self.host.log.warning(
            "buffer file %s is damaged in %d places, %d bytes: its %d intact events are delivered, the rest goes to %s "
            "with a report",
            chunk.path,
            len(damages),
            sum(damage.end - damage.start for damage in damages),
            saved,
            folder,
        )

    async def purge(self, chunk: StoredChunk) -> None:
        """Delete a chunk's file, or move it to `corrupt` where damaged parts of it were not copied."""
        if not isinstance(chunk, (FileChunk, FluentdChunk)):
            return
        if isinstance(chunk, FileChunk):
            await chunk.settled()
            chunk.forget()
        try:
            if isinstance(chunk, FluentdChunk) and chunk.unreadable:
                self.host.log.error("chunk %s of fluentd's is left where it is: %s", chunk.path, chunk.unreadable)
            elif chunk.must_stay:
                await self.host.in_thread(move, self._disk, chunk.path.parent / CORRUPT, *_files(chunk))
            else:
                await self.host.in_thread(self._delete, *_files(chunk))
        except OSError as error:
            self.host.log.warning(
                "buffer file %s cannot be removed (%s): it is delivered again after a restart", chunk.path, error
            )

    def _delete(self, *paths: Path) -> None:
        for path in paths:
            self._disk.remove(path)

    async def stop(self) -> None:
        """Wait until pending writes are on the disk, and unlock the folder."""
        if self._committer is not None:
            await self._committer.idle()
        locks, self._locks = self._locks, []
        if locks:
            await self.host.in_thread(_release, locks)

    def commit(self, chunk: FileChunk) -> None:
        """Begin to write a chunk's pending events."""
        if self._committer is None:
            raise RuntimeError("the buffer has not been started")
        self._committer.commit(chunk)

    def take_memory(self, size: int) -> bool:
        """Return whether so many bytes may be kept in memory."""
        if size > self._memory_left:
            return False
        self._memory_left -= size
        return True

    def give_memory(self, size: int) -> None:
        """Return memory taken by `take_memory`."""
        self._memory_left += size

    def refuse(self, batch: EventBatch, index: int, error: Exception) -> None:
        """Pass an event that cannot be stored to `@ERROR`."""
        self.host.emit_error(batch.tag, batch.times[index], batch.record(index), error, receipt=batch.receipt)


class FileBuffer(StoredBuffer[FileBufferOptions], type="file"):
    """Chunks in files, which survive a crash and a power cut."""

    @property
    def suffix(self) -> str:
        """The suffix of chunk files."""
        return self.options.path_suffix


class FileSingleBuffer(StoredBuffer[FileSingleBufferOptions], type="file_single"):
    """The same with the file names of fluentd's file_single, which have one chunk key, so that its chunks are found."""

    name = "fsb"
    suffix = SINGLE_SUFFIX


def _path(options: StoredOptions, host: Host) -> tuple[str, bool]:
    """Return where the files go, and whether that is the plugin's own folder."""
    if options.path is None:
        if host.root_dir is None:
            # compat: the message of buf_file.rb
            message = "buffer path is not configured: specify path in <buffer>, or root_dir in <system> and @id"
            raise InvalidSetting(message)
        return str(host.root_dir / "buffer"), True
    if host.workers > 1 and is_prefix(options.path):
        raise InvalidSetting(
            f"path {options.path} names files, which {host.workers} workers cannot share: give a folder, or set "
            "root_dir in <system> and @id",
            param="path",
        )
    path = Path(options.path)
    if isinstance(options, FileSingleBufferOptions) and ".*." in path.name:
        # compat: buf_file_single.rb takes no prefix of one's own, and names its chunks so
        return str(path.with_name(f"{FileSingleBuffer.name}.*{SINGLE_SUFFIX}")), False
    return options.path, False


def _release(locks: list[Lock]) -> None:
    for lock in locks:
        lock.release()


def _zone(options: StoredOptions) -> tzinfo | None:
    if options.timekey_use_utc:
        return UTC
    return find_zone(options.timekey_zone) if options.timekey_zone else None


def _files(chunk: AnyChunk) -> tuple[Path, ...]:
    return (chunk.path, chunk.meta_path) if isinstance(chunk, FluentdChunk) else (chunk.path,)
