"""Lines of values: csv, tsv, ltsv; fluentd's own answers are in the conformance rows."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ConfigError, ParseError, Parser
from logpipe.builtin.parsers.csv import CsvParser
from logpipe.builtin.parsers.delimited import LtsvParser, TsvParser
from logpipe.testing import build, check_plugin

NOW = 5
ABC = "keys a,b,c\n"


def made(cls: type[Parser[Any]], conf: str, line: str) -> list[dict[str, Any]]:
    """Return the records of a line, which are the same for one, for many, and beside others."""
    parser = build(cls, conf)
    parsed = parser.parse_lines([line.encode()] * 2, NOW)
    try:
        records = [record for _, record in parser.parse(line)]
    except ParseError:
        assert list(parsed.errors) == parsed.unmatched == [0, 1]
        raise
    assert parsed.records == records * 2
    assert parsed.unmatched == ([] if records else [0, 1])
    beside = parser.parse_lines([b'1,"2",3', line.encode(), b"x:y"], NOW)
    assert [each for each, number in zip(beside.records, beside.numbers, strict=True) if number == 1] == records
    return records


@pytest.mark.parametrize(("cls", "conf"), [(CsvParser, ABC), (TsvParser, ABC), (LtsvParser, "")])
async def test_keep_the_contract(cls: type[Parser[Any]], conf: str) -> None:
    """Parsers like any other."""
    await check_plugin(cls, conf)


@pytest.mark.parametrize(
    ("conf", "line", "values"),
    [
        ("", "1,2,3", ["1", "2", "3"]),
        ("", "1,2,3,4", ["1", "2", "3"]),
        ("", "1", ["1", None, None]),
        ("", ',"",x', [None, "", "x"]),
        ("", '"a,b","c""d","e\nf"', ["a,b", 'c"d', "e\nf"]),
        ("", '"""",2', ['"', "2", None]),
        ("", "1,2\r\n3,4", ["1", "2", None]),
        ("", "\u65e5,\u672c, x ", ["\u65e5", "\u672c", " x "]),
        ("delimiter ;", "1;2,3;4", ["1", "2,3", "4"]),
        ("delimiter ^", "1^2^3", ["1", "2", "3"]),
        ("delimiter ]", '"1"]2]3', ["1", "2", "3"]),
        ("delimiter ||", '1||"2"||3|4', ["1", "2", "3|4"]),
        ('delimiter " "', '1  "3"', ["1", None, "3"]),
    ],
)
def test_csv(conf: str, line: str, values: list[str | None]) -> None:
    """Quotes, delimiters, values that are missing, empty or too many."""
    assert made(CsvParser, f"{ABC}{conf}", line) == [dict(zip("abc", values, strict=True))]


@pytest.mark.parametrize("line", ['"a', 'a"b', '"a"b', '"a" ,b', 'x,"', '1,a""'])
def test_broken_csv(line: str) -> None:
    """A quote that is missing, or out of place, is an error of its line, as Ruby's."""
    with pytest.raises(ParseError, match="invalid CSV from character"):
        made(CsvParser, ABC, line)


def test_an_empty_line_is_no_csv() -> None:
    """It is not matched; the engine fast makes an empty record of it, as in fluentd."""
    assert made(CsvParser, ABC, "") == []
    assert made(CsvParser, f"{ABC}parser_engine fast", "") == [{}]


@pytest.mark.parametrize(
    ("conf", "line", "record"),
    [
        ("", "1,2,3", {"a": "1", "b": "2", "c": "3"}),
        ("", "1,,3,4", {"a": "1", "b": None, "c": "3"}),
        ("", "1", {"a": "1"}),
        ("", '"1,2",x', {"a": "1,2", "b": "x"}),
        ("", '"1,2,3",x"y', {"a": "1,2,3", "b": 'x"y'}),
        ("", '"x","a""b",""', {"a": "x", "b": 'a"b', "c": ""}),
        ("", 'a"b"c,x""', {"a": 'a"b"c', "b": 'x""'}),
        ("", '"1,2', {"a": "1,2"}),
        ("", '"', {"a": ""}),
        ("", 'a""b"c\r\n', {"a": 'a"b"c'}),
        ("delimiter ;", '"1;2";3', {"a": "1;2", "b": "3"}),
    ],
)
def test_fast_csv(conf: str, line: str, record: dict[str, Any]) -> None:
    """It gives any quotes a meaning, and leaves out what is missing."""
    assert made(CsvParser, f"{ABC}parser_type fast\n{conf}", line) == [record]


@pytest.mark.parametrize(
    ("conf", "line", "values"),
    [
        ("", "1\t2\t3", ["1", "2", "3"]),
        ("", "1\t2\t3\t4\t", ["1", "2", "3\t4\t"]),
        ("", "1\t", ["1", "", None]),
        ("", "", [None, None, None]),
        ("delimiter |", "1|2|3", ["1", "2", "3"]),
        ("delimiter ||", "1||2|3||4", ["1", "2|3", "4"]),
        ('delimiter " "', "  1  2\t3 4 ", ["1", "2", "3 4 "]),
    ],
)
def test_tsv(conf: str, line: str, values: list[str | None]) -> None:
    """The last field has all that is left; a single space stands for any white space, as in Ruby."""
    assert made(TsvParser, f"{ABC}{conf}", line) == [dict(zip("abc", values, strict=True))]


def test_tsv_of_one_field() -> None:
    """It has the whole line."""
    assert made(TsvParser, "keys a", "1\t2") == [{"a": "1\t2"}]
    assert made(TsvParser, "keys a", "") == [{"a": None}]


@pytest.mark.parametrize(
    ("conf", "line", "record"),
    [
        ("", "a:1\tb:x:y\tc:", {"a": "1", "b": "x:y", "c": ""}),
        ("", "a:1\tno label\t\tb:2\ta:3", {"a": "3", "b": "2"}),
        ("", "", {}),
        ("label_delimiter =\ndelimiter ,", "a=1,b=2:3", {"a": "1", "b": "2:3"}),
        ('label_delimiter =\ndelimiter " "', " a=1  b=2", {"a": "1", "b": "2"}),
        ('label_delimiter " "\ndelimiter ,', "a 1,b  2", {"a": "1", "b": "2"}),
        ("delimiter_pattern /[,;]\\s*/", "a:1, b:2;c:3", {"a": "1", "b": "2", "c": "3"}),
        ("delimiter_pattern /(x:0)|;/", "a:1;b:2x:0c:3", {"a": "1", "b": "2", "x": "0", "c": "3"}),
    ],
)
def test_ltsv(conf: str, line: str, record: dict[str, str]) -> None:
    """Names and values; what has no label is left out."""
    assert made(LtsvParser, conf, line) == [record]


BASE = "time_key t\ntime_format %s\n"


@pytest.mark.parametrize(
    ("cls", "conf", "line"),
    [
        (CsvParser, "keys t,n,e\n", "{},{},{}"),
        (CsvParser, "keys t,n,e\nparser_engine fast\n", "{},{},{}"),
        (TsvParser, "keys t,n,e\n", "{}\t{}\t{}"),
        (LtsvParser, "", "t:{}\tn:{}\te:{}"),
    ],
)
def test_the_base(cls: type[Parser[Any]], conf: str, line: str) -> None:
    """Time and types of every `<parse>`: each setting has its effect."""

    def one(more: str, *values: str) -> tuple[Any, Any]:
        ((time, record),) = build(cls, f"{conf}{more}").parse(line.format(*values))
        return time, record

    base = f"{BASE}types n:integer\nnull_value_pattern /^-$/\n"
    assert one(base, "7", "5x", "-") == (7_000_000_000, {"n": 5, "e": None})
    assert one(f"{base}keep_time_key true", "7", "5", "-") == (7_000_000_000, {"t": "7", "n": 5, "e": None})
    assert one("time_key t\ntime_type float\n", "7.5", "", "x")[0] == 7_500_000_000
    assert (
        one("time_key t\ntime_type mixed\ntime_format %d/%b\ntime_format_fallbacks float\n", "7.5", "", "")[0]
        == 7500000000
    )
    assert one("time_key t\ntime_format %Y %m\ntimezone +09:00\n", "2016 06", "", "")[0] == 1464706800_000000000
    assert one(f"{BASE}null_empty_string true", "7", "5", "") == (7_000_000_000, {"n": "5", "e": None})
    assert one("time_key no\n", "7", "5", "x")[0] == 1_466_000_000_000_000_000
    assert one("time_key no\nestimate_current_event false\n", "7", "5", "x")[0] is None
    with pytest.raises(ParseError):
        one(BASE, "soon", "5", "x")
    lines = [line.format(*values).encode() for values in (("soon", "1", "x"), ("8", "2", "y"))]
    parsed = build(cls, f"{conf}{base}").parse_lines(lines, NOW)
    assert (parsed.times, parsed.records, parsed.unmatched) == ([8_000_000_000], [{"n": 2, "e": "y"}], [0])
    assert list(parsed.errors) == [0]


@pytest.mark.parametrize(("cls", "conf"), [(CsvParser, "keys a,b\n"), (TsvParser, "keys a,b\ndelimiter ,\n")])
def test_text_that_is_not_utf8(cls: type[Parser[Any]], conf: str) -> None:
    """It is bytes in the record."""
    assert build(cls, conf).parse_lines([b"\xff,1", b"x,y"], NOW).records == [
        {"a": b"\xff", "b": "1"},
        {"a": "x", "b": "y"},
    ]


@pytest.mark.parametrize(
    ("cls", "conf", "message"),
    [
        (CsvParser, "", '"keys" is required'),
        (TsvParser, "", '"keys" is required'),
        (CsvParser, 'keys a\ndelimiter ""', "cannot be empty"),
        (CsvParser, "keys a\ndelimiter '\"'", "cannot be delimited by quotes"),
        (TsvParser, 'keys a\ndelimiter ""', "cannot be empty"),
        (LtsvParser, 'label_delimiter ""', "cannot be empty"),
        (LtsvParser, "delimiter_pattern /(/", "delimiter_pattern"),
    ],
)
def test_settings_that_cannot_work(cls: type[Parser[Any]], conf: str, message: str) -> None:
    """They are found at start."""
    with pytest.raises(ConfigError, match=message):
        build(cls, conf)


def test_a_pattern_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    """With `timeout` the line is given up, and the others are read."""
    parser = build(LtsvParser, "delimiter_pattern /(?:a|aa)+$/\ntimeout 0.05")
    parsed = parser.parse_lines([b"a" * 60 + b"b:", b"x:y"], NOW)
    assert (parsed.records, parsed.unmatched) == ([{"x": "y"}], [0])
    assert "parsing timed out" in caplog.text


def test_a_null_pattern_that_takes_too_long() -> None:
    """The text stays as it is, and the batch goes on."""
    parser = build(TsvParser, "keys a\nnull_value_pattern /^(?:a|aa)+$/")
    assert parser.parse("a" * 60 + "b")[0][1] == {"a": "a" * 60 + "b"}
