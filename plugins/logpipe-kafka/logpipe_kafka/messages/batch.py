"""Messages on their way to one topic: built once, sent until a broker has confirmed them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, NamedTuple, Protocol, TypeAlias

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

Headers: TypeAlias = list[tuple[str, bytes | None]]

NO_HEADERS: Final[Headers] = []

# Where a record batch (magic 2) holds its checksum, what the checksum covers, and the producer's state:
# https://kafka.apache.org/documentation/#recordbatch
_CRC_PLACE: Final = 17
_CHECKED_PLACE: Final = 21
_PRODUCER_PLACE: Final = 43
_PRODUCER: Final = struct.Struct(">qhi")
_CRC: Final = struct.Struct(">I")


class Source(Protocol):
    """The events that messages were made of, by number; they are owed for until they are settled."""

    def hold(self) -> None:
        """Owe for some of the events; called once for each batch that has any of them."""
        ...

    def settle(self, numbers: Sequence[int]) -> None:
        """Take one `hold` back; these events were confirmed."""
        ...

    def refuse(self, number: int, error: Exception) -> None:
        """Hand one event to `@ERROR`, for it can never be delivered; changes nothing about `hold`."""
        ...


class Owner(Protocol):
    """Who had a batch sent, and is told when that does not go smoothly."""

    def troubled(self, error: Exception) -> None:
        """Hear that an attempt with one of its batches has failed; there will be another."""
        ...

    def refused(self, batch: Batch, error: Exception) -> None:
        """Decide what becomes of a batch that the brokers refuse for its topic, again and again."""
        ...


class Message(NamedTuple):
    """One message as it stands in a batch, with the event it was made of."""

    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers
    source: Source
    number: int


class Batch(BatchBuilder):  # type: ignore[misc]  # aiokafka has no types
    """Messages for one topic, and for one partition if that is fixed.

    It is what `AIOKafkaProducer.create_batch` returns, with three differences: it is made without a producer, because
    there is none while no broker is known; values are appended in one short loop; and it can be sent again, by another
    producer too, after it was refused.

    Args:
        owner: told of failures.
        codec: aiokafka's number of the compression.
        limit: size in bytes from which no more is appended; a single message may be larger.
        partition: where it must go; None for anywhere.
    """

    def __init__(self, owner: Owner, *, codec: int, limit: int, partition: int | None = None) -> None:
        super().__init__(limit, codec)
        self._relative_offset: int
        self.owner = owner
        self.partition = partition
        self.codec = codec
        self.withdrawn = False
        """Whether the owner wants it sent no more."""
        self.charge = 0
        """Bytes for which it stands in the delivery's books."""
        self._origins: list[tuple[Source, Sequence[int]]] = []

    def extend(self, rows: Iterator[tuple[int, bytes]], headers: Headers) -> tuple[int, bytes] | None:
        """Append (timestamp, value) pairs until they end, or one does not fit, which is returned.

        What `rows` raises is raised here, and all before that has been appended.
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
        """Make the bytes to send, compressed; takes a while then, and may be called in a thread."""
        self._build()

    def owe(self, source: Source, numbers: Sequence[int]) -> None:
        """Note that the last messages were made of these events."""
        if self._origins and self._origins[-1][0] is source:
            known = self._origins[-1][1]
            self._origins[-1] = (source, _joined(known, numbers))
            return
        source.hold()
        self._origins.append((source, numbers))

    def settle(self) -> None:
        """Release all events that it was made of."""
        origins, self._origins = self._origins, []
        for source, numbers in origins:
            source.settle(numbers)

    def refuse(self, error: Exception) -> None:
        """Hand all events that it was made of to `@ERROR`, and release them."""
        for source, numbers in self._origins:
            for number in numbers:
                source.refuse(number, error)
        self._let_go()

    def messages(self) -> Iterator[Message]:
        """Yield the messages it holds, read back from the bytes."""
        events = ((source, number) for source, numbers in self._origins for number in numbers)
        records = MemoryRecords(bytes(self._build())).next_batch()
        for record, (source, number) in zip(records, events, strict=True):
            yield Message(record.timestamp, record.key, record.value, record.headers, source, number)

    def halves(self) -> tuple[Batch, Batch]:
        """Return its messages as two batches, in order; it owes for nothing any more."""
        messages = list(self.messages())
        middle = len(messages) // 2
        halves = self._like_this(messages[:middle]), self._like_this(messages[middle:])
        self._let_go()
        return halves

    def _let_go(self) -> None:
        origins, self._origins = self._origins, []
        for source, _ in origins:
            source.settle(())

    def _like_this(self, messages: Iterable[Message]) -> Batch:
        batch = Batch(self.owner, codec=self.codec, limit=1 << 30, partition=self.partition)
        for message in messages:
            batch.add(message.timestamp, message.key, message.value, message.headers)
            batch.owe(message.source, (message.number,))
        return batch

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """Stamp it with an idempotent producer's state, over an earlier producer's where it was sent before."""
        if self._buffer is None:
            super()._set_producer_state(producer_id, producer_epoch, base_sequence)
            return
        _PRODUCER.pack_into(self._buffer, _PRODUCER_PLACE, producer_id, producer_epoch, base_sequence)
        with memoryview(self._buffer) as view:
            checksum = calc_crc32c(bytes(view[_CHECKED_PLACE:]))
        _CRC.pack_into(self._buffer, _CRC_PLACE, checksum)


def stamped(values: Iterable[bytes], timestamp: int) -> Iterator[tuple[int, bytes]]:
    """Pair all values with one timestamp."""
    return zip(repeat(timestamp), values)


def _joined(known: Sequence[int], more: Sequence[int]) -> Sequence[int]:
    """Return the numbers together, as a range where they follow each other."""
    if isinstance(known, range) and isinstance(more, range) and known.stop == more.start:
        return range(known.start, more.stop)
    if isinstance(known, list):
        known.extend(more)
        return known
    return [*known, *more]
