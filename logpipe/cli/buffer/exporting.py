"""`logpipe buffer export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from logpipe.cli.buffer.chunks import ChunkStore
from logpipe.cli.buffer.store import Item, Store, print_masked
from logpipe.cli.buffer.targets import chosen
from logpipe.errors import LogpipeError


def main(stores: list[Store], given: argparse.Namespace) -> int:
    """Write each store's chunks as fluentd's; 1 if not all of them were.

    Raises:
        LogpipeError: a process uses a store, or the chunks of several buffers would be in one folder.
    """
    buffers = [store for store in stores if isinstance(store, ChunkStore) and chosen(store, given)]
    if given.fluentd is not None and len({store.folder for store in buffers}) > 1:
        folders = ", ".join(str(store.folder) for store in buffers)
        raise LogpipeError(
            f"there are chunks of several buffers ({folders}), which fluentd keeps apart: give one of them, or "
            "--in-place, which writes each beside ours"
        )
    chunks = records = status = 0
    for store in buffers:
        store.lock()
        try:
            for item in chosen(store, given):
                count = _export(item, store.folder if given.fluentd is None else Path(given.fluentd), given)
                chunks += bool(count)
                records += count or 0
                status = status if count is not None else 1
        finally:
            store.unlock()
    kept = "" if given.move or not chunks else ": ours stay, too, and are delivered at logpipe's next start: see --move"
    print_masked(f"{chunks} chunks, {records} records written for fluentd{kept}")
    return status


def _export(item: Item, folder: Path, given: argparse.Namespace) -> int | None:
    """Return how many records were written; None where the chunk could not be."""
    try:
        done = item.export(folder)
    except (ValueError, OSError) as problem:
        print_masked(f"{item.path}: not exported: {problem}")
        return None
    if done is None:
        print_masked(f"{item.path}: fluentd's already, left as it is")
        return 0
    if given.move:
        item.remove()
    print_masked(f"{item.path}: {done[1]} records to {done[0]}")
    return done[1]
