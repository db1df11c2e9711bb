"""Lines that become records when a stage reads them, and not before."""

from __future__ import annotations

from typing import Any

import msgpack
import orjson
import pytest

from logpipe import Record
from logpipe.codec import Const, Drop, LineBatch, spans_of
from tests.event.lines import line_batch, of_lines, spans

RECORDS: list[Record] = [{"n": n, "time": "now"} for n in range(4)]


def asked() -> int:
    """Return how many events were decoded for this file so far."""
    return sum(count for who, count in LineBatch.asked.items() if who.startswith(__name__))


def test_records_are_decoded_once_and_for_whom_is_counted() -> None:
    """Whoever reads them again gets the very same list."""
    batch, before = line_batch(*RECORDS), asked()
    assert len(batch) == 4
    assert batch.is_unread
    assert "4 lines" in repr(batch)
    assert asked() == before
    assert batch.records == RECORDS
    assert batch.records is batch.records
    assert not batch.is_unread
    assert asked() == before + 4
    assert LineBatch.asked[f"{__name__}:test_records_are_decoded_once_and_for_whom_is_counted"] == 4


def test_lines_are_gone_once_they_were_decoded() -> None:
    """What may be changed since is not in them, and their block is needed by nobody."""
    batch = line_batch(*RECORDS)
    batch.records[0]["n"] = 99
    assert batch.lines() == []
    assert batch.block == b""
    assert [record["n"] for record in batch.copy().records] == [99, 1, 2, 3]


def test_edits_are_made_in_their_order() -> None:
    """Of all records, of one, and of those of a part; a value that was there gives way."""
    batch = line_batch(*RECORDS, edits=(Const("host", "h"), Drop("time"), Drop("none"), Const("n", 7)))
    wanted = {"n": 7, "host": "h"}
    assert batch.record(1) == wanted
    assert batch.slice(1, 3).records == batch.pick([0, 3]).records == [wanted] * 2
    assert batch.copy().records == batch.records == [wanted] * 4
    assert batch.lines() == []


def test_one_record_is_decoded_alone() -> None:
    """An error that names one event does not cost all of its batch."""
    batch = of_lines([b'{"n":0}', b"no json", b'{"n":2}'])
    assert batch.record(2) == {"n": 2}
    assert batch.is_unread
    with pytest.raises(ValueError, match="invalid literal"):
        _ = batch.records


@pytest.mark.parametrize(
    ("form", "line", "record"),
    [
        ("json", b'{"a":[1,null]}', {"a": [1, None]}),
        ("cri", b"2016-06-15T14:13:20Z stdout F a b  c", {"time": "2016-06-15T14:13:20Z", "message": "a b  c"}),
        ("cri", b"2016 stderr P \xff", {"time": "2016", "stream": "stderr", "logtag": "P", "message": b"\xff"}),
        ("msgpack", msgpack.packb({"a": b"\xff", 1: b"b"}), {"a": b"\xff", "1": "b"}),
        ("msgpack", b"\x81\xa1a\xa2\xffx", {"a": b"\xffx"}),
    ],
)
def test_each_form(form: Any, line: bytes, record: Record) -> None:
    """Text that is not UTF-8 is bytes in the record, and what stands around a line is no part of it."""
    found = of_lines([line, line], form=form).records
    assert found[0] == found[1]
    assert {key: found[0][key] for key in record} == record


def test_lines_as_they_came() -> None:
    """In one piece, with an end for each."""
    batch = of_lines([b'{"a": 1}', b"{}", b'{"b":2}']).slice(1, 3)
    assert isinstance(batch, LineBatch)
    assert batch.nbytes == 9
    assert batch.lines() == [b"{}", b'{"b":2}']
    assert list(batch.encoded(b"\n")) == [b"{}\n", b'{"b":2}\n']
    assert batch.is_unread


def test_parts_share_the_block() -> None:
    """Nothing is copied to leave events out."""
    batch = line_batch(*RECORDS)
    parts = [batch.slice(1, 2), batch.keep([False, True, False, False]), batch.pick([1]), batch.copy()]
    assert all(isinstance(part, LineBatch) and part.block is batch.block for part in parts)


def test_a_line_that_is_kept_lets_the_block_go() -> None:
    """One of a large block takes its own bytes with it; most of a block stay where they are."""
    block = b"".join(orjson.dumps({"n": n}) for n in range(10_000))
    ends = spans_of([orjson.dumps({"n": n}) for n in range(10_000)])
    batch = LineBatch("t", [0] * 10_000, block, ends, form="json")
    one, most = batch.pick([17, 9_000]), batch.slice(0, 8_000)
    assert isinstance(one, LineBatch)
    assert isinstance(most, LineBatch)
    for each in (one, most):
        each.compact()
    assert len(one.block) == one.nbytes == len(b'{"n":17}{"n":9000}')
    assert one.records == [{"n": 17}, {"n": 9000}]
    assert most.block is block
    one.compact()
    assert one.records == [{"n": 17}, {"n": 9000}]


def test_a_line_for_each_time() -> None:
    """Otherwise it is a mistake of whoever made it."""
    with pytest.raises(ValueError, match="2 times and 2 ends of lines"):
        LineBatch("t", [0, 0], b"{}", spans((0, 2)), form="json")
