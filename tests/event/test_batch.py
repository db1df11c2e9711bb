"""Some of a batch's events: whatever they are held in, what is made of them is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from logpipe import Counter, EventBatch, Receipt, Record
from logpipe.codec import LineBatch
from tests.event.lines import line_batch

RECORDS: list[Record] = [{"n": n, "nested": {"a": [n]}} for n in range(5)]
TIMES = [10, 11, 12, 13, 14]

Make: TypeAlias = Callable[[Receipt | None], EventBatch]


def as_records(receipt: Receipt | None = None) -> EventBatch:
    """Return the events in two lists."""
    return EventBatch("t", [*TIMES], [dict(record) for record in RECORDS], receipt)


def as_lines(receipt: Receipt | None = None) -> EventBatch:
    """Return the events as lines."""
    return line_batch(*RECORDS, times=[*TIMES], receipt=receipt)


def as_read_lines(receipt: Receipt | None = None) -> EventBatch:
    """Return the events as lines that were decoded."""
    batch = as_lines(receipt)
    assert batch.records == RECORDS
    return batch


KINDS = pytest.mark.parametrize("make", [as_records, as_lines, as_read_lines])


def events(batch: EventBatch) -> list[tuple[int, int]]:
    """Return time and number of each event."""
    assert len(batch) == len(batch.times) == len(batch.records)
    assert not batch.is_uneven
    return [(time, record["n"]) for time, record in batch.events()]


@KINDS
@pytest.mark.parametrize("bounds", [(0, 5), (1, 3), (2, 2), (3, 1), (0, 99), (-2, 5), (4, -9)])
def test_a_slice_is_that_of_a_list(make: Make, bounds: tuple[int, int]) -> None:
    """Bounds beyond either end, and those that cross, too."""
    start, stop = bounds
    assert events(make(None).slice(start, stop)) == list(zip(TIMES, range(5), strict=True))[start:stop]


@KINDS
def test_a_slice_of_a_slice(make: Make) -> None:
    """Numbers count from the part's own first event."""
    assert events(make(None).slice(1, 5).slice(1, 3)) == [(12, 2), (13, 3)]


@KINDS
def test_picked_events_are_in_the_order_of_their_numbers(make: Make) -> None:
    """None, some, and all the other way round."""
    assert events(make(None).pick([])) == []
    assert events(make(None).pick([4, 0, 2])) == [(14, 4), (10, 0), (12, 2)]


@KINDS
def test_keeping_counts_what_it_drops(make: Make) -> None:
    """Where somebody counts; errors are counted elsewhere, and all is the very batch."""
    batch = make(None)
    assert batch.keep([True] * 5) is batch
    assert events(batch.keep([True, False, True, False, True])) == [(10, 0), (12, 2), (14, 4)]
    batch.dropped = dropped = Counter("dropped", "x")
    kept = batch.keep([False, True, True, False, True], errors=1)
    assert dropped.value == 1
    assert events(kept.keep([False, False, True])) == [(14, 4)]
    assert dropped.value == 3


@KINDS
def test_one_record(make: Make) -> None:
    """By its number."""
    assert make(None).record(3) == RECORDS[3]


@KINDS
def test_a_copy_is_changed_alone(make: Make) -> None:
    """Neither at its top level nor in its times does it touch the other."""
    batch = make(None)
    copied = batch.copy()
    copied.times[0] = 99
    copied.records[0]["n"] = 99
    assert events(batch)[0] == (10, 0)
    assert events(copied)[0] == (99, 99)


@KINDS
def test_parts_share_what_is_owed_and_where_events_came_from(make: Make) -> None:
    """The receipt and the origin are those of the whole."""
    receipt = Receipt(lambda: None)
    batch = make(receipt)
    batch.origin = origin = object()
    parts = [batch.slice(0, 2), batch.pick([1]), batch.keep([False, True, True, True, True]), batch.copy()]
    for part in [*parts, *(part.slice(0, 1) for part in parts)]:
        assert part.receipt is receipt
        assert part.origin is origin
        assert part.tag == "t"


@KINDS
def test_records_may_be_set(make: Make) -> None:
    """What is set is what there is from then on, however often it is read."""
    batch = make(None)
    batch.records = records = [{"n": -n} for n in range(5)]
    assert batch.records is records
    assert batch.record(2) is records[2]
    assert events(batch.slice(1, 2)) == [(11, -1)]
    assert not (isinstance(batch, LineBatch) and batch.is_unread)


@KINDS
def test_more_times_than_records_show(make: Make) -> None:
    """And fewer."""
    batch = make(None)
    batch.times.append(15)
    assert batch.is_uneven
    batch = make(None)
    del batch.times[0]
    assert batch.is_uneven


def test_a_new_batch_costs_no_more_than_its_fields() -> None:
    """What only filters need is not written into every batch."""
    assert not hasattr(EventBatch("t", [], []), "dropped")
