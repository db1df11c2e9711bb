"""Removes the damaged parts of a chunk file that no engine is using, as an engine does at delivery. Blocks."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from logpipe.builtin.buffers.file.chunk_files import Found
from logpipe.builtin.buffers.file.frame import Content, Index, Kind, encode_frame, pack_times
from logpipe.builtin.buffers.file.frame_reader import read_frames
from logpipe.builtin.buffers.file.quarantine import CORRUPT, copy_damages, move
from logpipe.builtin.buffers.file.salvage import Extent, Fragment, scan
from logpipe.durable import Disk, Files


def repair(found: Found) -> tuple[int, Path]:
    """Keep only the intact parts in one of our files; the rest goes to the folder `corrupt`, with a report.

    Returns the number of records that are kept, and the file with the damaged parts. The caller holds the lock of its
    place. A crash at any moment leaves the file unchanged or repaired.

    Raises:
        OSError: it cannot be read or written, and is unchanged.
    """
    path, chunk_id = found.path, bytes.fromhex(found.chunk_id)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        seen = scan(descriptor, 0, status.st_size, chunk_id)
    finally:
        os.close(descriptor)
    saved = sum(part.count for part in seen.parts)
    folder = path.parent / CORRUPT
    disk = Disk(Files(status.st_mode & 0o7777, path.parent.stat().st_mode & 0o7777), "buffer")
    copied = copy_damages(disk, folder, path, seen.damages, saved=saved, now=time.time_ns())
    moved = folder / (f"{path.name}.damaged" if copied else path.name)
    if saved:
        if not copied:
            with contextlib.suppress(FileExistsError):  # from a repair that was interrupted
                moved.hardlink_to(path)
        disk.replace(path, _frames(chunk_id, read_frames(path, seen.parts)))
    elif copied:
        disk.remove(path)
    else:
        move(disk, folder, path)
    return saved, moved


def _frames(chunk_id: bytes, frames: Iterable[tuple[Extent | Fragment, Index, bytes]]) -> Iterator[bytes]:
    """Yield the intact parts as frames, renumbered."""
    first = 0
    for part, index, body in frames:
        if isinstance(part, Extent):
            bounds = zip(range(index.count), index.offsets(), index.lengths(), strict=True)
            spans = [(number, start, start + length) for number, start, length in bounds]
        else:
            spans = list(part.spans)
        records = [body[start:end] for _, start, end in spans]
        times = b""
        if index.kind is Kind.JSON:
            of_all = index.times()
            times = pack_times([of_all[number] for number, _, _ in spans])
        content = Content(index.kind, records, times, index.shared)
        yield from encode_frame(chunk_id, first, index.label, content, compression=index.compression)
        first += len(records)
