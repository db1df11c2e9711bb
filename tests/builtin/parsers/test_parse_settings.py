"""The settings that every `<parse>` section has: zones, types, null values."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.builtin.parsers.json import JsonParser
from logpipe.builtin.parsers.regexp import RegexpParser
from logpipe.testing import build

NOW = 5


def converted(conf: str, text: bytes) -> Any:
    (record,) = build(JsonParser, conf).parse_lines([text], NOW).records
    return record


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", b"5", "5"),
        ("string", b"1.5", "1.5"),
        ("string", b"true", "true"),
        ("string", b"[1,null]", "[1, nil]"),
        ("integer", b'"12abc"', 12),
        ("integer", b'"x"', 0),
        ("integer", b"1.9", 1),
        ("integer", b"true", 0),
        ("integer", b"[]", 0),
        ("integer", b"1e300", int(1e300)),
        ("float", b'"1.5x"', 1.5),
        ("float", b"2", 2.0),
        ("float", b"true", 0.0),
        ("bool", b'"YES"', True),
        ("bool", b"1", True),
        ("bool", b'"on"', False),
        ("bool", b"false", False),
        ("array", b'"a,b,,"', ["a", "b"]),
        ("array:;", b'"a;b,c"', ["a", "b,c"]),
        ("array: ", b'" a  b "', ["a", "b"]),
        ("array", b'""', []),
        ("array:", b'"a b"', ["a", " ", "b"]),
        ("time", b'"2016-06-15T11:39:30Z"', 1465990770),
        ("time:%Y", b'"2016"', 1451606400),
        ("time:unixtime", b"1466000000", 1466000000),
        ("time:float", b"1466000000.5", 1466000000),
        ("time:+09:00:%Y-%m-%d", b'"2016-06-15"', 1465916400),
        ("time:Asia/Tokyo:%Y-%m-%d %H:%M", b'"2016-06-15 00:00"', 1465916400),
        ("time:%H:%M %d/%m/%Y %z", b'"00:00 15/06/2016 +0000"', 1465948800),
        ("time:%Y", b'"no"', None),
    ],
)
def test_types(kind: str, value: bytes, expected: Any, utc_zone: None) -> None:
    """Each type's conversion, sloppy as fluentd's; what no time can be read from is null."""
    del utc_zone
    conf = f'time_key no\ntypes {{"f":"{kind}"}}'
    assert converted(conf, b'{"f":%s}' % value) == {"f": expected}


@pytest.fixture
def utc_zone(monkeypatch: pytest.MonkeyPatch) -> Any:
    import time  # noqa: PLC0415 - only this fixture moves the machine

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_null_is_never_converted() -> None:
    """Null and false stay, and a type for a field that is not there adds none."""
    assert converted("types a:integer,b:string,c:bool", b'{"a":null,"b":false}') == {"a": None, "b": False}


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("null_empty_string true", {"a": None, "b": "-", "c": "N/A", "d": 0}),
        ("null_value_pattern /^(-|N.A)$/", {"a": "", "b": None, "c": None, "d": 0}),
        (
            "null_empty_string true\nnull_value_pattern -\ntypes b:integer,d:string",
            {"a": None, "b": None, "c": "N/A", "d": "0"},
        ),
    ],
)
def test_null_values(conf: str, expected: dict[str, Any]) -> None:
    """Texts that mean nothing become null before types are looked at."""
    assert converted(conf, b'{"a":"","b":"-","c":"N/A","d":0}') == expected


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("types a:text", 'unknown value conversion for key "a", type "text"'),
        ("types a", 'unknown value conversion for key "a"'),
        ("timezone JST\ntime_format %Y", "unsupported timezone"),
        ("localtime true\nutc true", "both of utc and localtime"),
        ("utc on", "neither true nor false"),
        ("time_type mixed", "needs formats to try"),
        ("time_type string\nutc true", "specifying timezone requires time format"),
        ("time_type strin", "not one of the choices"),
    ],
)
def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """Contradictions and unknown words are found at start, at their place."""
    with pytest.raises(ConfigError, match=message):
        build(JsonParser, conf)


def test_time_without_a_format() -> None:
    """Where a time is text and no format is given, the usual ways to write one are understood."""
    parser = build(RegexpParser, "expression /^(?<time>[^|]*)\\|/")
    parsed = parser.parse_lines([b"2016-06-15 11:39:30.5 +0900|", b"Wed, 15 Jun 2016 11:39:30 GMT|", b"nothing|"], NOW)
    assert parsed.times == [1465958370500000000, 1465990770000000000]
    assert parsed.unmatched == [2]


def test_a_blank_delimiter_in_a_list_of_types() -> None:
    """A list loses the blank before its comma, as in fluentd: what is left splits into characters. JSON keeps it."""
    line = [b'{"rest":"a b","n":"5"}']
    assert build(JsonParser, "types rest:array: ,n:integer").parse_lines(line, 5).records == [
        {"rest": ["a", " ", "b"], "n": 5}
    ]
    conf = 'types {"rest":"array: ","n":"integer"}'
    assert build(JsonParser, conf).parse_lines(line, 5).records == [{"rest": ["a", "b"], "n": 5}]
