"""`logpipe buffer verify` and `repair`."""

from __future__ import annotations

import argparse

from logpipe.cli.buffer.store import Finding, Item, Store, print_masked
from logpipe.cli.buffer.targets import chosen
from logpipe.errors import LogpipeError


def verify(stores: list[Store], given: argparse.Namespace) -> int:
    """Read everything; 1 if something is damaged."""
    chunks = records = damaged = 0
    for store in stores:
        for item in chosen(store, given):
            found = _verified(item)
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


def repair(stores: list[Store], given: argparse.Namespace) -> int:
    """Repair each store under its lock, or print what that would do; 1 if damage is left.

    Raises:
        LogpipeError: a process uses a store.
    """
    damaged = left = 0
    for store in stores:
        store.lock()
        try:
            for item in chosen(store, given):
                found = _verified(item)
                if found is not None and found.damages:
                    damaged += 1
                    left += not (_repair(item) if given.apply else _announce(item, found))
        finally:
            store.unlock()
    if not given.apply and left:
        print_masked("nothing was changed: give --apply to do it")
    elif not damaged:
        print_masked("nothing is damaged")
    return 1 if left else 0


def _announce(item: Item, found: Finding) -> bool:
    print_masked(f"{item.path}: would keep {found.records} records, and move aside:")
    for damage in found.damages:
        print_masked(f"  {damage}")
    return False


def _repair(item: Item) -> bool:
    try:
        done = item.repair()
    except (LogpipeError, OSError) as error:
        print_masked(f"{item.path}: not repaired: {error}")
        return False
    print_masked(f"{item.path}: {done}")
    return True


def _verified(item: Item) -> Finding | None:
    """Return the result of reading all of an item; None where it was delivered meanwhile."""
    try:
        return item.verify()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Finding(0, [f"cannot be read: {error.strerror or error}"])
