"""Batches: appended to, read back, halved, stamped again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from aiokafka.record.default_records import DefaultRecordBatch

from logpipe_kafka.messages.batch import Batch


class Events:
    """A source and an owner that keep what they are told."""

    def __init__(self) -> None:
        self.holds = 0
        self.settled: list[int] = []
        self.refusals: list[int] = []

    def hold(self) -> None:
        """Count."""
        self.holds += 1

    def settle(self, numbers: Sequence[int]) -> None:
        """Keep."""
        self.holds -= 1
        self.settled.extend(numbers)

    def refuse(self, number: int, error: Exception) -> None:
        """Keep."""
        del error
        self.refusals.append(number)

    def troubled(self) -> None:
        """Ignore."""

    def refused(self, batch: Batch, error: Exception) -> None:
        """Ignore."""


def filled(events: Events, count: int, *, codec: int = 0) -> Batch:
    """Return a batch of some messages made of two calls' events."""
    batch = Batch(events, codec=codec, limit=1 << 20, partition=3)
    assert batch.extend(((1000, b"value-%d" % number) for number in range(count - 1)), [("h", b"x")]) is None
    batch.add_source(events, range(count - 1))
    assert batch.add(2000, b"key", b"last", [])
    batch.add_source(events, (count - 1,))
    return batch


def test_extend_stops_when_full() -> None:
    """The row that does not fit is given back, and the first row always fits."""
    batch = Batch(Events(), codec=0, limit=200)
    rows = iter([(1, b"x" * 500), (1, b"y")])

    assert batch.extend(rows, []) == (1, b"y")
    assert batch.record_count() == 1


def test_extend_keeps_what_came_before_an_error() -> None:
    """An error in the rows leaves those before it in the batch."""

    def rows() -> Iterator[tuple[int, bytes]]:
        yield 1, b"a"
        raise ValueError("bad row")

    batch = Batch(Events(), codec=0, limit=200)
    with pytest.raises(ValueError, match="bad row"):
        batch.extend(rows(), [])
    assert batch.record_count() == 1


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_halves(codec: int) -> None:
    """Halves hold the same messages in the same order, and owe for the same events."""
    events = Events()
    batch = filled(events, 7, codec=codec)
    whole = list(batch.messages())
    first, second = batch.halves()

    assert [*first.messages(), *second.messages()] == whole
    assert [message.number for message in whole] == list(range(7))
    assert (whole[-1].key, whole[-1].value, whole[-1].timestamp) == (b"key", b"last", 2000)
    assert whole[0].headers == [("h", b"x")]
    assert events.settled == []
    assert (first.partition, second.partition) == (3, 3)
    second.settle()
    first.refuse(ValueError("no"))
    assert events.settled == [3, 4, 5, 6]
    assert events.refusals == [0, 1, 2]
    assert events.holds == 0


@pytest.mark.parametrize("codec", [0, 1, 4])
def test_sent_again_by_another_idempotent_producer(codec: int) -> None:
    """A batch that was built gets another producer's number, and its checksum is right."""
    batch = filled(Events(), 3, codec=codec)
    batch._set_producer_state(1, 2, 3)
    batch._build()
    batch._set_producer_state(77, 5, 900)

    records = DefaultRecordBatch(bytes(batch._build()))
    assert records.validate_crc()
    assert (records.producer_id, records.producer_epoch, records.base_sequence) == (77, 5, 900)
    assert len(list(records)) == 3
