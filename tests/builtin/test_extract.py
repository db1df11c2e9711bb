"""`<extract>`: an event's tag and time out of its record."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ParseError
from logpipe.codec import ExtractOptions, compile_extract_tag, compile_extract_time
from logpipe.testing import FakeHost


@pytest.mark.parametrize(
    ("options", "record", "tag", "left"),
    [
        ({}, {"t": "a"}, None, {"t": "a"}),
        ({"tag_key": "t"}, {"t": "a", "x": 1}, "a", {"x": 1}),
        ({"tag_key": "t", "keep_tag_key": True}, {"t": "a"}, "a", {"t": "a"}),
        ({"tag_key": "t"}, {"x": 1}, None, {"x": 1}),
        ({"tag_key": "t"}, {"t": None}, "", {}),
        ({"tag_key": "t"}, {"t": {"a": 1}}, '{"a"=>1}', {}),
        ({"tag_key": "t"}, {"t": 1.0}, "1.0", {}),
    ],
)
def test_tag(options: dict[str, Any], record: dict[str, Any], tag: str | None, left: dict[str, Any]) -> None:
    """Taken, unless it is kept; as Ruby's to_s has it."""
    take = compile_extract_tag(ExtractOptions(**options))
    assert (None if take is None else take(record)) == tag
    assert record == left


@pytest.mark.parametrize(
    ("options", "value", "time"),
    [
        ({}, 1.5, 1_500_000_000),
        ({}, "1.25", 1_250_000_000),
        ({"time_type": "unixtime"}, "12", 12_000_000_000),
        ({"time_type": "string", "time_format": "%Y-%m-%d", "utc": True}, "1970-01-02", 86_400_000_000_000),
        ({"time_type": "string", "time_format": "%H %d %m %Y", "timezone": "+01:00"}, "1 01 01 1970", 0),
    ],
)
def test_time(options: dict[str, Any], value: object, time: int) -> None:
    """Of each type; a float where nothing says which."""
    record = {"t": value, "x": 1}
    take = compile_extract_time(ExtractOptions(time_key="t", **options), FakeHost())
    assert take is not None
    assert take(record) == time
    assert record == {"x": 1}
    assert take(record) is None
    keep = compile_extract_time(ExtractOptions(time_key="t", keep_time_key=True, **options), FakeHost())
    assert keep is not None
    assert keep(record := {"t": value}) == time
    assert record == {"t": value}


def test_what_is_no_time() -> None:
    """It is the caller's error; a format without a key is warned of."""
    host = FakeHost()
    take = compile_extract_time(ExtractOptions(time_key="t", time_type="string", time_format="%Y"), host)
    assert take is not None
    with pytest.raises(ParseError):
        take({"t": "yesterday"})
    assert compile_extract_time(ExtractOptions(time_format="%Y"), host) is None
