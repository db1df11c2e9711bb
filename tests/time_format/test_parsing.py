"""Reading times: zones, what is remembered, and what the fast ways must not get wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logpipe.errors import ParseError
from logpipe.time_format import (
    compile_free_parser,
    compile_moment_parser,
    compile_time_parser,
    compile_typed_parser,
    find_zone,
)
from logpipe.time_format.memo import Memo

DOCKER = "%Y-%m-%dT%H:%M:%S.%NZ"
NOON = 1465992000
NANOS = 1_000_000_000


def compile_parser(pattern: str, **how: Any) -> Callable[[Any], int]:
    """Return the function for one text."""
    return compile_time_parser(pattern, **how).one


def at(text: str) -> int:
    """Return an ISO 8601 time as nanoseconds."""
    return int(datetime.fromisoformat(text).timestamp()) * NANOS


def test_docker_stamp() -> None:
    """All nine digits of a docker stamp count, and a shorter fraction is a larger number."""
    parser = compile_time_parser(DOCKER, zone=UTC)
    stamps = ["2016-06-15T12:00:00.123456789Z", "2016-06-15T12:00:00.5Z", "2016-06-15T12:00:01.000000001Z"]
    expected = [NOON * NANOS + 123456789, NOON * NANOS + 500000000, (NOON + 1) * NANOS + 1]
    assert [parser.one(stamp) for stamp in stamps] == expected
    assert parser.many(stamps) == expected
    assert parser.many([]) == []


def test_literal_z_is_no_zone() -> None:
    """The Z of a format is a letter: such times are in the configured zone, as in fluentd."""
    assert compile_parser(DOCKER, zone=find_zone("+09:00"))("2016-06-15T12:00:00.0Z") == at("2016-06-15T12:00:00+09:00")


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        (find_zone("+09:00"), "2016-06-15 12:00:00", "2016-06-15T12:00:00+09:00"),
        (find_zone("-0330"), "2016-06-15 12:00:00", "2016-06-15T12:00:00-03:30"),
        (find_zone("+05"), "2016-06-15 12:00:00", "2016-06-15T12:00:00+05:00"),
        (find_zone("America/New_York"), "2016-12-15 12:00:00", "2016-12-15T12:00:00-05:00"),
        (find_zone("America/New_York"), "2016-06-15 12:00:00", "2016-06-15T12:00:00-04:00"),
        (find_zone("America/New_York"), "2016-03-13 03:30:00", "2016-03-13T03:30:00-04:00"),
        (UTC, "2016-06-15 12:00:00", "2016-06-15T12:00:00+00:00"),
    ],
)
def test_zone(zone: tzinfo, text: str, expected: str) -> None:
    """A time without a zone is in the configured one, summer time included."""
    assert compile_parser("%Y-%m-%d %H:%M:%S", zone=zone)(text) == at(expected)


def test_zone_in_the_text_wins() -> None:
    """A zone in the text counts, whatever is configured."""
    parse = compile_parser("%Y-%m-%d %H:%M:%S %z", zone=find_zone("Asia/Tokyo"))
    assert parse("2016-06-15 12:00:00 +0200") == at("2016-06-15T12:00:00+02:00")
    assert compile_parser("%s", zone=find_zone("Asia/Tokyo"))("1465992000") == NOON * NANOS


def test_local_zone(local_zone: str) -> None:
    """Without a zone the machine's own counts."""
    expected = int(datetime(2016, 6, 15, 12, tzinfo=ZoneInfo(local_zone)).timestamp()) * NANOS
    assert compile_parser("%Y-%m-%d %H:%M:%S")("2016-06-15 12:00:00") == expected


@pytest.fixture(params=["Asia/Tokyo", "America/New_York"])
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import time  # noqa: PLC0415 - only this fixture moves the machine

    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("text", ["JST", "Tokyo", "+9", "09:00", "Asia/Nowhere", "../etc/passwd", "a/../b", ""])
def test_unsupported_zone(text: str) -> None:
    """What is neither an offset nor a name of the time zone database is refused."""
    with pytest.raises(ValueError, match="unsupported timezone"):
        find_zone(text)


@pytest.mark.parametrize(
    "odd",
    [
        "2016-06-15T12:00:00Z",
        "2016-06-15T12:00:00.Z",
        "2016-06-15T12:00:00.1_2Z",
        "2016-06-15T12:00:00. 12Z",
        "2016-06-15T12:00:00.12 Z",
        "2016-06-15T12:00:00.+12Z",
        "2016-06-15T12:00:00.٣Z",
        "2016-06-15T12:00:00.5",
        "2016-06-15T12:00:00.5+",
        "2016-06-15T12:00:00,5Z",
        "2016-13-15T12:00:00.5Z",
        "",
        ".",
        "5",
        "5Z",
        None,
        1465992000,
        1.5,
        True,
        [],
        {},
        b"2016-06-15T12:00:00.5Z",
    ],
)
def test_odd_among_good(odd: Any) -> None:
    """A stamp in another format fails, alone and among good ones, before and after them."""
    parser = compile_time_parser(DOCKER, zone=UTC)
    good = "2016-06-15T12:00:00.5Z"
    assert parser.one(good) == NOON * NANOS + 500000000
    with pytest.raises(ParseError):
        parser.one(odd)
    for batch in ([odd], [good, odd], [odd, good], [good, odd, good]):
        with pytest.raises(ParseError):
            parser.many(batch)


def test_text_after_the_stamp_is_ignored() -> None:
    """What follows the last thing that the format asks for does not matter, as in Ruby."""
    parse = compile_parser(DOCKER, zone=UTC)
    assert parse("2016-06-15T12:00:00.5Z and more") == parse("2016-06-15T12:00:00.5Z.5") == NOON * NANOS + 500000000


FORMATS = [
    DOCKER,
    "%Y-%m-%dT%H:%M:%S.%N%:z",
    "%Y-%m-%dT%H:%M:%S.%L%z",
    "%Y-%m-%d %H:%M:%S,%L",
    "%d/%b/%Y:%H:%M:%S %z",
    "%m%d %H:%M:%S.%N",
    "%b %d %H:%M:%S",
    "%s.%N",
    "%H.%M.%S.%N",
    "%Y.%N.%m",
    "%iso8601",
]
PIECES = st.sampled_from(
    [
        "2016",
        "06",
        "15",
        "12",
        "00",
        "5",
        "123456789",
        "0123456789",
        "Jun",
        "-",
        ":",
        "/",
        "T",
        " ",
        ".",
        ",",
        "Z",
        "+09:00",
        "٣",
        "1e5",
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=16).map("".join),
    st.builds("2016-06-15T12:00:{:02d}.{}{}".format, st.integers(0, 61), PIECES, PIECES),
    st.builds("15/Jun/2016:12:00:{:02d} {}".format, st.integers(0, 61), PIECES),
    st.builds("0615 12:00:{:02d}.{}".format, st.integers(0, 61), PIECES),
)


@given(pattern=st.sampled_from(FORMATS), texts=st.lists(TEXTS, min_size=1, max_size=5))
@example(pattern=DOCKER, texts=["2016-06-15T12:00:00.5Z", "2016-06-15T12:00:00.50Z", "2016-06-15T12:00:00.05Z"])
@example(pattern="%s.%N", texts=["2016", "2016"])
@example(pattern="%s.%N", texts=["1.2.3", "4"])
def test_fast_ways_agree_with_the_exact_one(pattern: str, texts: list[str]) -> None:
    """Reading one, reading many and the exact reader give the same times and refuse the same texts."""
    exact = compile_moment_parser(pattern, zone=UTC, clock=lambda: float(NOON))
    parser = compile_time_parser(pattern, zone=UTC, clock=lambda: float(NOON))
    expected = [_or_none(lambda text: exact(text).time, text) for text in texts]
    for _ in range(2):  # the second time from memory
        assert [_or_none(parser.one, text) for text in texts] == expected
        many = _or_none(parser.many, texts)
        assert many is None or many == expected


def _or_none(read: Any, argument: Any) -> Any:
    try:
        return read(argument)
    except ParseError:
        return None


def test_year_comes_from_the_clock() -> None:
    """A format without a year is read in the year of the clock, and forgets when the year has turned."""
    now = [at("2016-12-31T23:59:00+00:00") / NANOS]
    parser = compile_time_parser("%m%d %H:%M:%S.%N", zone=UTC, clock=lambda: now[0])
    assert parser.one("1231 23:59:00.5") == at("2016-12-31T23:59:00+00:00") + 500000000
    now[0] += 120
    assert parser.one("0101 00:00:30.5") == at("2017-01-01T00:00:30+00:00") + 500000000
    assert parser.many(["0101 00:00:30.5"]) == [at("2017-01-01T00:00:30+00:00") + 500000000]
    assert parser.one("1231 23:59:00.5") == at("2017-12-31T23:59:00+00:00") + 500000000


def test_date_comes_from_the_clock_in_its_zone() -> None:
    """A time of day is today's in the configured zone."""
    parse = compile_parser("%H:%M", zone=find_zone("Asia/Tokyo"), clock=lambda: at("2016-06-15T20:00:00+00:00") / NANOS)
    assert parse("06:30") == at("2016-06-16T06:30:00+09:00")


def test_memory_is_bounded() -> None:
    """A stream of ever new stamps does not fill the memory."""
    memo: Memo[int, int] = Memo(lambda number: number * 2)
    assert [memo[number] for number in range(5000)] == [number * 2 for number in range(5000)]
    assert len(memo) <= 1024


def test_long_texts_are_not_remembered() -> None:
    """Junk behind a stamp is read past each time, and never kept."""
    memo: Memo[str, int] = Memo(len)
    assert [memo["x" * length] for length in (64, 65, 1_000_000)] == [64, 65, 1_000_000]
    assert [len(text) for text in memo] == [64]


def test_free_parser_is_fast_only_for_iso8601() -> None:
    """Text in no declared format: ISO 8601 is remembered, anything else is read each time, with equal results."""
    parser = compile_free_parser(zone=UTC, clock=lambda: float(NOON))
    stamp = "2016-06-15T12:00:00.25Z"
    assert parser.one(stamp) == parser.many([stamp, stamp])[1] == NOON * NANOS + 250000000
    assert parser.one("Wed, 15 Jun 2016 12:00:00 GMT") == NOON * NANOS
    assert parser.one("12:00") == NOON * NANOS
    with pytest.raises(ParseError):
        parser.one("x" * 1_000_000)


@pytest.mark.parametrize(
    ("time_type", "value", "expected"),
    [
        ("unixtime", 1466000000, 1466000000 * NANOS),
        ("unixtime", 1466000000.9, 1466000000 * NANOS),
        ("unixtime", "1466000000", 1466000000 * NANOS),
        ("unixtime", "12abc", 12 * NANOS),
        ("unixtime", "garbage", 0),
        ("float", 1466000000, 1466000000 * NANOS),
        ("float", 1466000000.25, 1466000000250000000),
        ("float", "1466000000.123456789", 1466000000123456789),
        ("float", "1466000000.1234567899", 1466000000123456789),
        ("float", "2016-06-15T11:39:30.5Z", 2016000000005),
        ("float", "garbage", 0),
        ("float", "", 0),
        ("float", 1e20, int(1e29)),
        ("float", 1e-7, 100),
        ("float", -1.5, -500000000),
    ],
)
def test_numbers_of_seconds(time_type: Any, value: Any, expected: int) -> None:
    """Unixtime drops fractions and float keeps them; text counts as far as it is a number, as in fluentd."""
    parser = compile_typed_parser(time_type, None)
    assert parser.one(value) == expected
    assert parser.many([value]) == [expected]


@pytest.mark.parametrize("time_type", ["unixtime", "float"])
@pytest.mark.parametrize("value", [None, True, [], {}, float("nan"), float("inf"), "9" * 5000])
def test_no_number_of_seconds(time_type: Any, value: Any) -> None:
    """What is neither a number nor text fails, and so does a number without end."""
    with pytest.raises(ParseError):
        compile_typed_parser(time_type, None).one(value)


@pytest.mark.parametrize("name", ["JST", "CEST", "Asia/Tokyo", "foo"])
def test_a_zone_that_is_not_known(name: str) -> None:
    """With %z such a text is refused: wrong hours are worse. What has an offset of its own is read."""
    parser = compile_time_parser("%Y-%m-%d %H:%M:%S %z", zone=ZoneInfo("America/New_York"))
    with pytest.raises(ParseError, match="no zone is known by the name"):
        parser.one(f"2016-06-15 12:00:00 {name}")
    assert parser.one("2016-06-15 12:00:00 UTC") == NOON * NANOS
    assert parser.one("2016-06-15 08:00:00 EDT") == NOON * NANOS
    assert parser.many(["2016-06-15 21:00:00 +0900"]) == [NOON * NANOS]


def test_mixed_formats() -> None:
    """A mixed time is tried in each format in turn; a number is asked for only where there is one."""
    parser = compile_typed_parser("mixed", "%d/%b/%Y:%H:%M:%S %z", fallbacks=["%iso8601", "unixtime"], zone=UTC)
    assert parser.one("15/Jun/2016:12:00:00 +0000") == NOON * NANOS
    assert parser.one("2016-06-15T12:00:00Z") == NOON * NANOS
    assert parser.one("1465992000") == NOON * NANOS
    assert parser.one(1465992000) == NOON * NANOS
    for value in ("zzz", None, "12abc"):
        with pytest.raises(ParseError):
            parser.one(value)
