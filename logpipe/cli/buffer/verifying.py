"""`logpipe buffer verify`."""

from __future__ import annotations

import argparse

from logpipe.cli.buffer.output import print_masked
from logpipe.cli.buffer.store import Finding, Item, Store
from logpipe.cli.buffer.targets import chosen


def main(stores: list[Store], given: argparse.Namespace) -> int:
    """Read everything; 1 if something is damaged."""
    chunks = records = damaged = 0
    for store in stores:
        for item in chosen(store, given):
            found = verified(item)
            if found is None:
                continue
            chunks += 1
            records += found.records
            damaged += bool(found.damages)
            print_masked(f"{item.path}: {'DAMAGED' if found.damages else 'ok'}, {found.records} records intact")
            for damage in found.damages:
                print_masked(f"  {damage}")
    print_masked(f"{chunks} chunks, {records} records intact, {damaged} chunks damaged")
    return 1 if damaged else 0


def verified(item: Item) -> Finding | None:
    """Return the result of reading all of an item; None where it was delivered meanwhile."""
    try:
        return item.verify()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Finding(0, [f"cannot be read: {error.strerror or error}"])
