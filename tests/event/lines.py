"""Batches of lines for tests."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import Any

import msgpack
import orjson

from logpipe import Receipt, Record, Time
from logpipe.codec import Edit, LineBatch

JUNK = b"what stands between two lines"


def line_batch(
    *records: Record,
    tag: str = "t",
    times: list[Time] | None = None,
    form: Any = "json",
    edits: tuple[Edit, ...] = (),
    receipt: Receipt | None = None,
) -> LineBatch:
    """Return records as undecoded lines, with junk around each of them, so that a wrong span shows."""
    lines = [orjson.dumps(record) if form == "json" else msgpack.packb(record) for record in records]
    return of_lines(lines, tag=tag, times=times, form=form, edits=edits, receipt=receipt)


def of_lines(
    lines: list[bytes],
    *,
    tag: str = "t",
    times: list[Time] | None = None,
    form: Any = "json",
    edits: tuple[Edit, ...] = (),
    receipt: Receipt | None = None,
) -> LineBatch:
    """Return a batch of lines, with junk around each of them."""
    block, spans = bytearray(JUNK), array("I")
    for line in lines:
        spans.extend((len(block), len(block) + len(line)))
        block += line + JUNK
    moments = times if times is not None else list(range(len(lines)))
    return LineBatch(tag, moments, bytes(block), spans, form=form, edits=edits, receipt=receipt)


def spans(*pairs: tuple[int, int]) -> array[int]:
    """Return spans as a batch has them."""
    return array("I", chain.from_iterable(pairs))
