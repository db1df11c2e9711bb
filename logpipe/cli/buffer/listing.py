"""`logpipe buffer ls`."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from logpipe.cli.buffer.store import Row, Store, print_masked
from logpipe.cli.buffer.targets import chosen
from logpipe.config.secrets import MASK, is_secret_name, masked_text

_HEADS: Final = ("CHUNK", "STATE", "KEY", "TAG", "RECORDS", "BYTES", "AGE", "NOTE")
_AGES: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def main(stores: list[Store], given: argparse.Namespace) -> int:
    """List the items of all stores."""
    for number, store in enumerate(stores):
        rows: list[Row] = []
        for item in chosen(store, given):
            with suppress(FileNotFoundError):
                rows.append(_masked(item.row()))
        if given.format == "json":
            for row in rows:
                print(json.dumps(_fields(store, row)))
        else:
            for line in (*([""] if number else []), *_table(store, rows)):
                print_masked(line)
    return 0


def _masked(row: Row) -> Row:
    """Return a row with secrets masked: a chunk's key and a dead letter's reason may contain some."""
    key = {name: MASK if is_secret_name(name) else _masked_value(value) for name, value in row.key.items()}
    return replace(row, tag=masked_text(row.tag), key=key, problem=masked_text(row.problem), note=masked_text(row.note))


def _masked_value(value: object) -> object:
    return masked_text(value) if isinstance(value, str) else value


def _fields(store: Store, row: Row) -> dict[str, object]:
    return {
        "folder": masked_text(str(store.folder)),
        "chunk": row.item_id,
        "state": row.state,
        "key": row.key,
        "tag": row.tag,
        "records": row.records,
        "bytes": row.size,
        "created": row.created / 1e9,
        "damage": row.problem,
        "note": row.note,
    }


def _table(store: Store, rows: list[Row]) -> list[str]:
    now = time.time_ns()
    cells = [_HEADS, *(_cells(row, now) for row in rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    records, size = sum(row.records for row in rows), sum(row.size for row in rows)
    return [
        f"{store.folder}: {len(rows)} chunks, {records} records, {size} bytes",
        *(f"  {note}" for note in store.notes),
        *("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells),
    ]


def _cells(row: Row, now: int) -> tuple[str, ...]:
    key = " ".join(f"{name}={_slice(value) if name == 'timekey' else value}" for name, value in row.key.items())
    about = "; ".join(filter(None, (row.problem, row.note)))
    age = _age((now - row.created) // 1_000_000_000)
    shown = (row.item_id, row.state, key or "-", row.tag or "-", str(row.records), str(row.size), age, about)
    return tuple(map(_printable, shown))


def _slice(start: object) -> str:
    """Return when a time slice begins, UTC; a value that is not a time is shown as it is."""
    try:
        return datetime.fromtimestamp(int(str(start)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(start)


def _printable(text: str) -> str:
    """Return a text that is safe on a terminal: tags and fields come from logs."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _age(seconds: int) -> str:
    for unit, letter in _AGES:
        if seconds >= unit:
            return f"{seconds // unit}{letter}"
    return "0s"
