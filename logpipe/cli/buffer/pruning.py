"""`logpipe buffer prune`."""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

from logpipe.cli.buffer.chunks import ChunkStore
from logpipe.cli.buffer.store import Item, Store, print_masked
from logpipe.cli.buffer.targets import chosen
from logpipe.errors import LogpipeError


class _Letters(NamedTuple):
    modified: float
    """Seconds since the epoch."""
    size: int
    item: Item


def main(stores: list[Store], given: argparse.Namespace) -> int:
    """Delete dead letters that are too old or too many, or print what that would do; 1 if one could not be.

    Raises:
        LogpipeError: nothing says which.
    """
    if given.older_than is None and given.keep is None and not given.chunk:
        raise LogpipeError("say which dead letters: --older-than 30d, --keep 1g, or --chunk ID")
    files = records = status = 0
    for each in _too_many(stores, given):
        try:
            count = _prune(each, apply=given.apply)
        except FileNotFoundError:
            continue  # replayed meanwhile
        except (LogpipeError, OSError) as problem:
            print_masked(f"{each.item.path}: not deleted: {problem}")
            status = 1
        else:
            files, records = files + 1, records + count
    print_masked(f"{files} files, {records} records {'deleted' if given.apply else 'would be deleted: give --apply'}")
    return status


def _too_many(stores: list[Store], given: argparse.Namespace) -> list[_Letters]:
    """Return the dead letters that the arguments mean, oldest first; chunks of buffers are never meant."""
    found: list[_Letters] = []
    for store in stores:
        for item in () if isinstance(store, ChunkStore) else chosen(store, given):
            status = item.path.stat()
            found.append(_Letters(status.st_mtime, status.st_size, item))
    found.sort(key=lambda each: each.modified)
    if given.older_than is None and given.keep is None:
        return found
    oldest = 0.0 if given.older_than is None else time.time() - given.older_than
    left = sum(each.size for each in found)
    meant: list[_Letters] = []
    for each in found:
        if each.modified < oldest or (given.keep is not None and left > given.keep):
            meant.append(each)
            left -= each.size
    return meant


def _prune(letters: _Letters, *, apply: bool) -> int:
    item = letters.item
    if not apply:
        count = item.verify().records
        print_masked(f"{item.path}: {count} records, {letters.size} bytes, would be deleted")
        return count
    path = item.path
    item.claim()
    count = item.verify().records
    item.remove()
    print_masked(f"{path}: {count} records, {letters.size} bytes, deleted")
    return count
