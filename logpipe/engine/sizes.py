"""What `enable_size_metrics` counts: the bytes of the events of each stage, as MessagePack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Final

from logpipe.engine.accounting import UNNAMED, Edge, Taker
from logpipe.event import EventBatch, LineBatch, Record
from logpipe.metrics import Counter

SIZE: Final = ("emit_size", "Bytes of its events as MessagePack: what it sent or let pass; of an output, what came.")
_BESIDE_RECORD: Final = 11
# compat: event.rb packs an array of two, with an EventTime of ten bytes


def size_of(batch: EventBatch) -> int:
    """Return the bytes of a batch as fluentd's `to_msgpack_stream` has it."""
    if isinstance(batch, LineBatch) and batch.is_unread and batch.form == "msgpack" and not batch.edits:
        records = sum(batch.spans[1::2]) - sum(batch.spans[::2])
    else:
        pack = import_module("msgpack").Packer(default=str, unicode_errors="surrogatepass").pack
        records = sum(_size_of_record(pack, record) for record in batch.records)
    return records + _BESIDE_RECORD * len(batch)


def _size_of_record(pack: Callable[[Any], bytes], record: Record) -> int:
    try:
        return len(pack(record))
    except (ValueError, OverflowError):  # a number of more than 64 bits, or lists within lists without end
        return len(str(record).encode("utf-8", "surrogatepass"))


def sized(process: Callable[[EventBatch], EventBatch], sizes: Counter) -> Callable[[EventBatch], EventBatch]:
    """Return a filter's `process` that counts what is left of each batch."""

    def process_and_count(batch: EventBatch) -> EventBatch:
        left = process(batch)
        sizes.value += _size_or_none(left)
        return left

    return process_and_count


def sized_later(
    process: Callable[[EventBatch], Awaitable[EventBatch]], sizes: Counter
) -> Callable[[EventBatch], Awaitable[EventBatch]]:
    """Do the same for a filter that waits."""

    async def process_and_count(batch: EventBatch) -> EventBatch:
        left = await process(batch)
        sizes.value += _size_or_none(left)
        return left

    return process_and_count


def _size_or_none(left: Any) -> int:
    """Return the size of what a filter has returned; of what is no batch, which the router will refuse, none."""
    try:
        return size_of(left)
    except Exception:  # noqa: BLE001 - the router says what is wrong with it
        return 0


class SizedOutlet:
    """An outlet that counts the bytes of what it has accepted."""

    def __init__(self, outlet: Taker, sizes: Counter) -> None:
        self._outlet = outlet
        self._sizes = sizes

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Have the outlet accept a batch."""
        size = size_of(batch)  # before: it is the outlet's then, and may be changed
        await self._outlet.process(batch, edge)
        self._sizes.value += size
