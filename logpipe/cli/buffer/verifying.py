"""`logpipe buffer verify`."""

from __future__ import annotations

import argparse

from logpipe.cli.buffer.finding import chosen
from logpipe.cli.buffer.saying import say
from logpipe.cli.buffer.store import Finding, Item, Store


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
            say(f"{item.path}: {'DAMAGED' if found.damages else 'ok'}, {found.records} records intact")
            for damage in found.damages:
                say(f"  {damage}")
    say(f"{chunks} chunks, {records} records intact, {damaged} chunks damaged")
    return 1 if damaged else 0


def verified(item: Item) -> Finding | None:
    """Return what reading all of an item shows; None where it is gone, delivered meanwhile."""
    try:
        return item.verify()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Finding(0, [f"cannot be read: {error.strerror or error}"])
