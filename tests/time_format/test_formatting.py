"""Writing times: zones and types; the directives themselves are in test_recorded.py."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpipe.time_format import compile_formatter, compile_time_parser, compile_typed_formatter, find_zone

TIME = 1466000000_000000500


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (UTC, "2016-06-15T14:13:20Z"),
        (find_zone("+00:00"), "2016-06-15T14:13:20+00:00"),
        (find_zone("Asia/Tokyo"), "2016-06-15T23:13:20+09:00"),
        (find_zone("-0330"), "2016-06-15T10:43:20-03:30"),
    ],
)
def test_without_a_format_it_is_iso8601(zone: tzinfo, expected: str) -> None:
    """Without a format times are ISO 8601; only UTC itself is written Z."""
    assert compile_formatter(None, zone=zone)(TIME) == expected


@pytest.mark.parametrize(
    ("time_type", "pattern", "expected"),
    [
        ("string", "%H:%M", "14:13"),
        ("unixtime", None, "1466000000"),
        ("float", None, "1466000000.000000500"),
        ("mixed", "%H:%M", "1466000000.000000500"),
    ],
)
def test_time_type(time_type: Any, pattern: str | None, expected: str) -> None:
    """Numbers ignore the format, and a float has nine digits."""
    assert compile_typed_formatter(time_type, pattern, zone=UTC)(TIME) == expected


def test_percent_signs_beside_a_fraction() -> None:
    """A percent sign that stands for itself survives beside a fraction of a second."""
    assert compile_formatter("50%% %L 100%%", zone=UTC)(TIME) == "50% 000 100%"


@given(time=st.integers(-62_135_000_000 * 10**9, 253_402_000_000 * 10**9))
def test_round_trip(time: int) -> None:
    """What is written with nine digits is read back exactly, before 1970 too."""
    pattern = "%Y-%m-%dT%H:%M:%S.%N%z"
    zone = find_zone("+05:45")
    assert compile_time_parser(pattern, zone=UTC).one(compile_formatter(pattern, zone=zone)(time)) == time


@given(second=st.integers(-(10**15), 10**15))
def test_any_second_can_be_written(second: int) -> None:
    """A stamp far from today, milliseconds taken for seconds say, is written and not refused."""
    assert compile_formatter("%s", zone=find_zone("Asia/Tokyo"))(second * 10**9) == str(second)
    assert compile_formatter("%Y", zone=UTC)(second * 10**9)
