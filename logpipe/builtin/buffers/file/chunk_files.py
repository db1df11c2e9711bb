"""Finds the files of chunks, ours and fluentd's. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from logpipe.builtin.buffers.file.codec import Label, decode_label
from logpipe.builtin.buffers.file.frame import (
    END_SIZE,
    FIXED_SIZE,
    HEAD,
    TAIL,
    Index,
    Kind,
    block_size,
    end_block_size,
    parse_block,
)
from logpipe.builtin.buffers.file.location import META, FluentdName, Location, Place

MOST_PEEKED: Final = 1000
"""The number of newest files that are read to see whether they can take more events: others are delivered at once."""

_PEEK: Final = 4096


@dataclass(frozen=True, slots=True)
class End:
    """Facts from the last, or first, frame of a file."""

    label: Label
    count: int
    """The number of events in the chunk up to there."""
    encoded: bool


class Found(NamedTuple):
    """One chunk's file."""

    chunk_id: str
    path: Path
    size: int
    fluentd: FluentdName | None
    end: End | None = None
    """None where the file was not read or does not end with a complete frame."""
    start: End | None = None
    """Facts from the first frame of a file that does not end with a complete one."""


def find(location: Location) -> list[Found]:
    """Return the chunk files of previous runs, oldest first; empty and unfinished files are removed.

    Raises:
        OSError: the buffer's own folder cannot be read.
    """
    _delete_unfinished(location.place)
    everything = list(find_in(location.place))
    for place in (location.former, location.beside):
        if place is not None:
            with contextlib.suppress(OSError):  # it may not exist
                everything += find_in(place)
    found: list[Found] = []
    for each in everything:
        if each.size:
            found.append(each)
            continue
        with contextlib.suppress(OSError):  # a crash came right after its creation
            each.path.unlink()
            each.path.with_name(each.path.name + META).unlink(missing_ok=True)
    found.sort(key=lambda each: each.chunk_id)
    return found[:-MOST_PEEKED] + [_peeked(each) for each in found[-MOST_PEEKED:]]


def find_in(place: Place) -> Iterator[Found]:
    """Yield the chunk files of one place in no order, without reading them or changing anything.

    Raises:
        OSError: its folder cannot be read.
    """
    with os.scandir(place.folder) as entries:
        for entry in entries:
            chunk_id = place.own_id(entry.name)
            fluentd = None if chunk_id is not None else place.fluentd_name(entry.name)
            if chunk_id is None and fluentd is None:
                continue
            if not entry.is_file(follow_symlinks=False):
                continue
            with contextlib.suppress(FileNotFoundError):  # delivered meanwhile
                size = entry.stat(follow_symlinks=False).st_size
                yield Found(chunk_id or (fluentd.chunk_id if fluentd else ""), Path(entry.path), size, fluentd)


def _delete_unfinished(place: Place) -> None:
    """Remove the unfinished files of a repair that was killed; the chunks themselves are unchanged."""
    for name in os.listdir(place.folder):  # noqa: PTH208 - names are what is wanted
        if place.is_unfinished(name):
            with contextlib.suppress(OSError):
                (place.folder / name).unlink()


def _peeked(found: Found) -> Found:
    if found.fluentd is not None:
        return found
    end = end_of(found)
    return found._replace(end=end, start=None if end is not None else _start_of(found))


def _start_of(found: Found) -> End | None:
    try:
        with found.path.open("rb") as file:
            head = file.read(FIXED_SIZE)
            size = block_size(head, HEAD)
            index = None if size is None or size > found.size else parse_block(head + file.read(size - len(head)), HEAD)
    except OSError:
        return None
    return _told(index, found)


def _told(index: Index | None, found: Found) -> End | None:
    if index is None or index.chunk_id.hex() != found.chunk_id:
        return None
    return End(decode_label(index.label), index.first + index.count, index.kind is Kind.PAYLOADS)


def end_of(found: Found) -> End | None:
    """Return the facts from the last frame of one of our files; None where it does not end with a complete one."""
    try:
        descriptor = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.pread(descriptor, _PEEK, max(0, found.size - _PEEK))
        size = end_block_size(data)
        if size is None or size + END_SIZE > found.size:
            return None
        if size + END_SIZE > len(data):
            data = os.pread(descriptor, size + END_SIZE, found.size - size - END_SIZE)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return _told(parse_block(data[-size - END_SIZE : -END_SIZE], TAIL), found)
