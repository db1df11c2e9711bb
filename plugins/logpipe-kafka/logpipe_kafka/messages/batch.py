"""Messages for one topic: built once, sent until a broker has confirmed them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

Headers: TypeAlias = list[tuple[str, bytes | None]]

# The offsets in a record batch (magic 2) of the checksum, of the bytes it covers, and of the producer's state:
# https://kafka.apache.org/documentation/#recordbatch
_CRC_PLACE: Final = 17
_CHECKED_PLACE: Final = 21
_PRODUCER_PLACE: Final = 43
_PRODUCER: Final = struct.Struct(">qhi")
_CRC: Final = struct.Struct(">I")


class Source(Protocol):
    """The events of messages, by number; their receipts are held until they are settled."""

    def hold(self) -> None:
        """Hold the receipts; called once for each batch that has any of the events."""

    def settle(self, numbers: Sequence[int]) -> None:
        """Undo one `hold`; these events were confirmed."""

    def refuse(self, number: int, error: Exception) -> None:
        """Pass one event to `@ERROR`, since it can never be delivered; does not affect `hold`."""


class Owner(Protocol):
    """The sender of a batch, called on failures."""

    def troubled(self) -> None:
        """Handle a failed attempt with one of its batches, which is retried."""

    def refused(self, batch: Batch, error: Exception) -> None:
        """Handle a batch that the brokers have refused repeatedly for its topic."""


class Message(NamedTuple):
    """One message of a batch, with its event."""

    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers
    source: Source
    number: int


class Batch(BatchBuilder):  # type: ignore[misc]  # aiokafka has no types
    """Messages for one topic, and for one partition if that is fixed.

    It is like the result of `AIOKafkaProducer.create_batch`, with three differences: it is made without a producer,
    because there is none while no broker is known; values are appended in one short loop; and it can be sent again,
    also by another producer, after it was refused.

    Args:
        owner: called on failures.
        codec: aiokafka's number for the compression.
        limit: size in bytes from which no more is appended; a single message may be larger.
        partition: the fixed partition; None for any.
    """

    def __init__(self, owner: Owner, *, codec: int, limit: int, partition: int | None = None) -> None:
        super().__init__(limit, codec)
        self._relative_offset: int
        self.owner = owner
        self.partition = partition
        self.codec = codec
        self.withdrawn = False
        """Whether the owner has cancelled it."""
        self.charge = 0
        """The bytes charged to the budget for it."""
        self._origins: list[tuple[Source, Sequence[int]]] = []

    def extend(self, rows: Iterator[tuple[int, bytes]], headers: Headers) -> tuple[int, bytes] | None:
        """Append (timestamp, value) pairs until they end, or one does not fit, which is returned.

        An exception of `rows` is raised here, after all pairs before it were appended.
        """
        append = self._builder.append
        number: int = self._relative_offset
        try:
            for row in rows:
                if append(number, row[0], None, row[1], headers) is None:
                    return row
                number += 1
        finally:
            self._relative_offset = number
        return None

    def add(self, timestamp: int, key: bytes | None, value: bytes, headers: Headers) -> bool:
        """Append one message; false where it does not fit."""
        if self._builder.append(self._relative_offset, timestamp, key, value, headers) is None:
            return False
        self._relative_offset += 1
        return True

    def build(self) -> None:
        """Build the bytes to send; compression takes a while, so it may be called in a thread."""
        self._build()

    def add_source(self, source: Source, numbers: Sequence[int]) -> None:
        """Record the events of the last messages."""
        if self._origins and self._origins[-1][0] is source:
            known = self._origins[-1][1]
            self._origins[-1] = (source, _joined(known, numbers))
            return
        source.hold()
        self._origins.append((source, numbers))

    def settle(self) -> None:
        """Settle all its events."""
        origins, self._origins = self._origins, []
        for source, numbers in origins:
            source.settle(numbers)

    def refuse(self, error: Exception) -> None:
        """Pass all its events to `@ERROR`, and settle them."""
        for source, numbers in self._origins:
            for number in numbers:
                source.refuse(number, error)
        self._clear_sources()

    def messages(self) -> Iterator[Message]:
        """Yield its messages, read back from the bytes."""
        events = ((source, number) for source, numbers in self._origins for number in numbers)
        records = MemoryRecords(bytes(self._build())).next_batch()
        for record, (source, number) in zip(records, events, strict=True):
            yield Message(record.timestamp, record.key, record.value, record.headers, source, number)

    def halves(self) -> tuple[Batch, Batch]:
        """Return its messages as two batches, in order, which take over its events."""
        messages = list(self.messages())
        middle = len(messages) // 2
        halves = self._like_this(messages[:middle]), self._like_this(messages[middle:])
        self._clear_sources()
        return halves

    def _clear_sources(self) -> None:
        origins, self._origins = self._origins, []
        for source, _ in origins:
            source.settle(())

    def _like_this(self, messages: Iterable[Message]) -> Batch:
        batch = Batch(self.owner, codec=self.codec, limit=1 << 30, partition=self.partition)
        for message in messages:
            batch.add(message.timestamp, message.key, message.value, message.headers)
            batch.add_source(message.source, (message.number,))
        return batch

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """Write an idempotent producer's state into it, replacing that of an earlier producer."""
        if self._buffer is None:
            super()._set_producer_state(producer_id, producer_epoch, base_sequence)
            return
        _PRODUCER.pack_into(self._buffer, _PRODUCER_PLACE, producer_id, producer_epoch, base_sequence)
        with memoryview(self._buffer) as view:
            checksum = calc_crc32c(bytes(view[_CHECKED_PLACE:]))
        _CRC.pack_into(self._buffer, _CRC_PLACE, checksum)


def _joined(known: Sequence[int], more: Sequence[int]) -> Sequence[int]:
    """Return the numbers together, as a range where they follow each other."""
    if isinstance(known, range) and isinstance(more, range) and known.stop == more.start:
        return range(known.start, more.stop)
    if isinstance(known, list):
        known.extend(more)
        return known
    return [*known, *more]
