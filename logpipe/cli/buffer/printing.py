"""`logpipe buffer cat`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from logpipe.cli.buffer.store import Item, Store, print_masked
from logpipe.cli.buffer.targets import chosen
from logpipe.errors import FormatError
from logpipe.event import EventBatch, Time
from logpipe.record_json import dump_record

_SECOND = 1_000_000_000


def main(stores: list[Store], given: argparse.Namespace) -> int:
    """Print the events of every chunk, up to `--limit`."""
    left = given.limit if given.limit is not None else sys.maxsize
    for store in stores:
        for item in chosen(store, given):
            try:
                left -= _print(item, left)
            except FileNotFoundError:
                print_masked(f"{item.path} is gone: it was delivered meanwhile", file=sys.stderr)
            if left <= 0:
                return 0
    return 0


def _print(item: Item, most: int) -> int:
    """Print up to `most` of an item's events; returns how many there were."""
    printed = 0
    for content in item.read():
        if isinstance(content, bytes):
            if not printed:
                sys.stdout.flush()
                print_masked(f"{item.path} is in its output's own encoding, printed as it is:", file=sys.stderr)
            pieces: Iterator[bytes] = iter((content,))
        else:
            pieces = _lines(content)
        for piece in pieces:
            if printed >= most:
                return printed
            if sys.stdout.isatty():
                sys.stdout.write(piece.decode("utf-8", "surrogateescape"))  # the stream escapes control characters
            else:
                sys.stdout.buffer.write(piece)
            printed += 1
    return printed


def _lines(batch: EventBatch) -> Iterator[bytes]:
    for time, record in batch.events():
        line = {"time": _moment(time), "tag": batch.tag, "record": record}
        try:
            yield dump_record(line) + b"\n"
        except FormatError:  # nested too deep for JSON
            yield dump_record({**line, "record": repr(record)}) + b"\n"


def _moment(time: Time) -> str | int:
    """Return a time in RFC 3339 format, to the nanosecond; nanoseconds where the calendar does not cover it."""
    seconds, nanoseconds = divmod(time, _SECOND)
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return time
    return f"{text}.{nanoseconds:09d}Z"
