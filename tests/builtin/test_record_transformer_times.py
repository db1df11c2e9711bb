"""record_transformer's renew_time_key: which time a value means, and what is no time."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe.builtin.filter_record_transformer import RecordTransformer
from logpipe.testing import drive

RENEW = "enable_ruby true\nrenew_time_key nt\n"
HALF_PAST = 1_709_139_600_500_000_000


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (5, 5_000_000_000),
        (1.5, 1_500_000_000),
        ("1466000000.25", 1_466_000_000_250_000_000),
        ("text", 0),
        (None, 0),
        (0.1, 100_000_000),
    ],
)
async def test_renew_time_key(value: Any, time: int) -> None:
    """A field's number becomes the time; what is no number means the epoch."""
    async with drive(RecordTransformer, "renew_time_key t\nremove_keys t") as stage:
        await stage.feed("a", {"t": value}, {"other": 1}, times=[7, 8])

        assert [event.time for event in stage.events()] == [time, 8]
        assert stage.records() == [{}, {"other": 1}]


async def test_renew_time_key_of_no_number_fails_alone() -> None:
    """A field that Ruby finds no number in sends its record to the error stream, as it came."""
    conf = "renew_time_key t\n<record>\n  x 1\n</record>"
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("a", {"t": True}, {"t": 3})

        assert [record for _, _, record, _ in stage.errors] == [{"t": True}]
        assert stage.records() == [{"t": 3, "x": "1"}]


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        (f"{RENEW}<record>\nnt ${{Time.parse(record['ts'])}}\n</record>", HALF_PAST),
        (f"{RENEW}remove_keys nt\n<record>\nnt ${{Time.parse(record['ts'])}}\n</record>", HALF_PAST),
        (f"{RENEW}renew_record true\n<record>\nnt ${{Time.at(record['n'])}}\n</record>", 1_700_000_000_000_000_000),
        (f"{RENEW}<record>\nnt ${{time}}\n</record>", 1_466_000_000_500_000_000),
        (f"{RENEW}<record>\nnt ${{time + 60}}\n</record>", 1_466_000_060_500_000_000),
        (f"{RENEW}<record>\nnt ${{record['n'] > 0 ? time - 0.5 : nil}}\n</record>", 1_466_000_000_000_000_000),
        (f"{RENEW}<record>\nnt ${{[1].each {{ return Time.parse(record['ts']) }}}}\n</record>", HALF_PAST),
        (f"{RENEW}compat 0.12\nauto_typecast true\n<record>\nnt ${{time}}\n</record>", 1_466_000_000_000_000_000),
        ("renew_time_key n", 1_700_000_000_000_000_000),
        ("renew_time_key n\nremove_keys n", 1_700_000_000_000_000_000),
        ("renew_time_key f", 1_700_000_000_500_000_000),
        ("renew_time_key n\n<record>\nx y\n</record>", 1_700_000_000_000_000_000),
    ],
)
async def test_the_time_that_a_value_means(conf: str, expected: int) -> None:
    """A Time is the time it is, and a number needs no expression beside it to be one."""
    record = {"ts": "2024-02-29T02:00:00.5+09:00", "n": 1_700_000_000, "f": 1_700_000_000.5}
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("app", record, times=[1_466_000_000_500_000_000])
        ((time, found),) = stage.events()
        assert stage.errors == []
    assert time == expected
    assert isinstance(found.get("nt", ""), str)


@pytest.mark.parametrize("value", [10**40, 1e300, "1e200", float("inf"), float("nan"), True, {"a": 1}])
async def test_what_is_no_time_is_the_exception(value: Any) -> None:
    """A number that no calendar goes to costs its event only."""
    async with drive(RecordTransformer, "renew_time_key n") as stage:
        await stage.feed("app", {"n": 1}, {"n": value}, {"n": 2})
        assert stage.records() == [{"n": 1}, {"n": 2}]
        assert len(stage.errors) == 1
