"""Time in conformance rows: they were recorded with TZ=UTC, and write times as `SECONDS.NNNNNNNNN`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def utc() -> Iterator[None]:
    """Set the process's zone to UTC for a while."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def nanoseconds(text: str) -> int:
    """Return `SECONDS.NNNNNNNNN` as nanoseconds."""
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 1_000_000_000 + int(fraction)


def same_time(moment: int | None, expected: str | None) -> bool:
    """Return whether a time is the one that a row expects: `now` is within a minute, `any` is not compared.

    None is an event without a time.
    """
    if expected == "any":
        return True
    if moment is None or expected is None:
        return moment is None and expected is None
    if expected == "now":
        return abs(moment - time.time_ns()) < 60_000_000_000
    return moment == nanoseconds(expected)
