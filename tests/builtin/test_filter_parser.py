"""Parsing a field of each record; fluentd's own answers are in the conformance rows."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ConfigError, EventBatch, Parsed, Parser, PluginConf
from logpipe.builtin.filter_parser import ParserFilter
from logpipe.testing import FakeHost, build, check_plugin, configure, pipeline

JSON = "<parse>\n@type json\n</parse>\n"
TSV = "<parse>\n@type tsv\nkeys a,b\ndelimiter ,\n</parse>\n"
OLD = 7
CLOCK = 1_466_000_000_000_000_000
CONFIGURATIONS = ["", "reserve_data true\n", "emit_invalid_record_to_error false\n", "hash_value_field x\n"]


@pytest.mark.parametrize("conf", CONFIGURATIONS)
async def test_keeps_the_contract(conf: str) -> None:
    """A filter like any other, whatever its records hold: it speaks for each event."""
    records: list[dict[str, Any]] = [
        {"log": '{"a":1}'}, {"log": "x"}, {}, {"log": 5}, {"log": "[]"}, {"log": '[{"a":1},{"a":2},3]'},
        {"log": b"\xff"}, {"log": None}, {"log": {"a": 1}}, {"log": '{"time":"x"}'},
    ]  # fmt: skip
    await check_plugin(ParserFilter, f"key_name log\n{conf}{JSON}", records=records)
    await check_plugin(ParserFilter, f"key_name $.log.a\n{conf}{JSON}", records=records)
    await check_plugin(ParserFilter, f"key_name log\n{conf}{JSON}", records=records[:1] * 3)


def run(conf: str, *records: dict[str, Any], key: str = "log") -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """Return the events that pass, and the errors of others; what is in a batch makes no difference."""
    host = FakeHost()
    stage = build(ParserFilter, f"key_name {key}\n{conf}", host=host)
    together = list(stage.process(EventBatch("t", [OLD] * len(records), [dict(record) for record in records])).events())
    errors = [str(error) for *_, error in host.errors]
    alone = [event for record in records for event in stage.process(EventBatch("t", [OLD], [dict(record)])).events()]
    assert together == alone
    assert errors == [str(error) for *_, error in host.errors[len(errors) :]]
    assert all(record in records for _, _, record, _ in host.errors)
    return [tuple(event) for event in together], errors


LINE = {"log": "1,2", "keep": "k", "b": "old"}


@pytest.mark.parametrize(
    ("conf", "record"),
    [
        ("", {"a": "1", "b": "2"}),
        ("reserve_data true", {"log": "1,2", "keep": "k", "b": "2", "a": "1"}),
        ("reserve_data true\nremove_key_name_field true", {"keep": "k", "b": "2", "a": "1"}),
        ("remove_key_name_field true", {"a": "1", "b": "2"}),
        ("inject_key_prefix p.", {"p.a": "1", "p.b": "2"}),
        ("hash_value_field h", {"h": {"a": "1", "b": "2"}}),
        ("hash_value_field h\ninject_key_prefix p.", {"h": {"p.a": "1", "p.b": "2"}}),
        ("hash_value_field log\nreserve_data true", {"log": {"a": "1", "b": "2"}, "keep": "k", "b": "old"}),
        (
            "hash_value_field log\nreserve_data true\nremove_key_name_field true",
            {"keep": "k", "b": "old", "log": {"a": "1", "b": "2"}},
        ),
    ],
)
def test_what_becomes_of_a_record(conf: str, record: dict[str, Any]) -> None:
    """Which fields stay, where the parsed ones go, and in which order."""
    # the second is with a record that is parsed by itself
    for others in ([], [{"log": 5}]):
        events, _ = run(f"{conf}\nemit_invalid_record_to_error false\n{TSV}", LINE, LINE, *others)
        assert [each for _, each in events[:2]] == [record, record]
        assert [list(each) for _, each in events[:2]] == [list(record)] * 2


def test_nested_fields() -> None:
    """The field may be anywhere; what is shared with other records is not changed."""
    inner = {"log": "1,2", "more": 1}
    conf = f"reserve_data true\nremove_key_name_field true\n{TSV}"
    events, _ = run(conf, {"k": inner}, {"k": inner}, key="$.k.log")
    assert [record for _, record in events] == [{"k": {"more": 1}, "a": "1", "b": "2"}] * 2
    assert inner == {"log": "1,2", "more": 1}


@pytest.mark.parametrize(
    ("conf", "parse", "time"),
    [
        ("", "time_key a\ntime_type unixtime", 1_000_000_000),
        ("reserve_time true", "time_key a\ntime_type unixtime", OLD),
        ("", "", CLOCK),
        ("", "time_key no", CLOCK),
        ("", "time_key no\nestimate_current_event false", OLD),
        ("", "estimate_current_event false", OLD),
        ("reserve_time true", "", OLD),
    ],
)
def test_time(conf: str, parse: str, time: int) -> None:
    """The parser's, the current one, or the event's own."""
    section = f"<parse>\n@type tsv\nkeys a,b\ndelimiter ,\n{parse}\n</parse>"
    events, errors = run(f"{conf}\n{section}", LINE, LINE, {"log": "1,3"})
    assert ([each for each, _ in events], errors) == ([time] * 3, [])
    # the same where not all are parsed together
    events, _ = run(f"{conf}\n{section}", LINE, {"log": 5})
    assert [each for each, _ in events] == [time]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"log": "no"}, "pattern not matched with data 'no'"),
    ({}, "log does not exist"),
    ({"log": None}, "log does not exist"),
    ({"log": 5}, "pattern not matched with data '5'"),
    ({"log": "[]"}, "pattern not matched with data '[]'"),
]


@pytest.mark.parametrize(("record", "error"), BAD)
def test_what_cannot_be_parsed(record: dict[str, Any], error: str) -> None:
    """It is an error event, or nothing; with `reserve_data` the record goes on in each case, as it was."""
    good = {"log": '{"a":1}'}
    assert run(JSON, good, record) == ([(CLOCK, {"a": 1})], [error])
    assert run(f"emit_invalid_record_to_error false\n{JSON}", good, record) == ([(CLOCK, {"a": 1})], [])
    both = [(CLOCK, {**good, "a": 1}), (OLD, record)]
    assert run(f"reserve_data true\nremove_key_name_field true\n{JSON}", good, record)[0][1] == (OLD, record)
    assert run(f"reserve_data true\n{JSON}", good, record) == (both, [error])
    assert run(f"reserve_data true\nemit_invalid_record_to_error false\n{JSON}", good, record) == (both, [])
    empty = (OLD, {**record, "h": {}})
    assert run(f"reserve_data true\nhash_value_field h\n{JSON}", good, record)[0][1] == empty


@pytest.mark.parametrize(
    ("conf", "key", "record", "error"),
    [
        ("<parse>\n@type json\ntime_format %Y\n</parse>", "log", {"log": '{"time":"x"}'}, "invalid time format"),
        ("<parse>\n@type csv\nkeys a\n</parse>", "log", {"log": '"a'}, "invalid CSV"),
        (JSON, "$.log.a", {"log": "text"}, "there is no 'a'"),
        (TSV, "log", {"log": 5}, "int is no text"),
    ],
)
def test_what_fails(conf: str, key: str, record: dict[str, Any], error: str) -> None:
    """It is an error event even with `reserve_data`, as in fluentd."""
    events, errors = run(f"reserve_data true\n{conf}", record, key=key)
    assert events == []
    assert len(errors) == 1
    assert error in errors[0]


def test_several_events_of_a_field() -> None:
    """Each of an array's objects is an event; what is none is an error, beside which the record goes on."""
    record = {"log": '[{"a":1},5,{"a":2}]'}
    events, errors = run(f"reserve_data true\n{JSON}", {"log": '{"a":0}'}, record)
    assert [each.get("a") for _, each in events] == [0, 1, 2, None]
    assert len(errors) == 1


def test_values_that_are_no_text() -> None:
    """The parser none takes any value, as in fluentd."""
    events, _ = run("<parse>\n@type none\n</parse>", {"log": {"a": 1}}, {"log": "x"}, {"log": False})
    assert [record for _, record in events] == [{"message": {"a": 1}}, {"message": "x"}, {"message": False}]


@pytest.mark.parametrize(
    ("conf", "value", "expected"),
    [
        ("", b"\xff,x", {"a": b"\xff", "b": "x"}),
        ("replace_invalid_sequence true", b"\xff,x", {"a": "?", "b": "x"}),
        ("replace_invalid_sequence true", b"\xe3\x81,\xef\xbf\xbd\xf0\x9f", {"a": "?", "b": "\ufffd?"}),
        ("replace_invalid_sequence true", "\ufffd,x", {"a": "\ufffd", "b": "x"}),
        ("", "\ud800,x", {"a": b"\xed\xa0\x80", "b": "x"}),
    ],
)
def test_text_that_is_not_utf8(conf: str, value: Any, expected: dict[str, Any]) -> None:
    """It is kept as it is; where that is wanted each part that is not UTF-8 becomes a question mark."""
    events, errors = run(f"{conf}\n{TSV}", {"log": value})
    assert ([record for _, record in events], errors) == ([expected], [])


@pytest.mark.parametrize(
    ("conf", "record", "parsed"),
    [
        ("format json", {"log": '{"a":1}'}, {"a": 1}),
        ("format /^(?<x>\\w+) (?<y>\\d+)$/\ntypes y:integer", {"log": "a 5"}, {"x": "a", "y": 5}),
        ("format csv\nkeys a,b\ndelimiter ;\nnull_empty_string yes", {"log": '"";2'}, {"a": None, "b": "2"}),
        ("format ltsv\nlabel_delimiter =\nnull_value_pattern ^-$", {"log": "a=-\tb=1"}, {"a": None, "b": "1"}),
        ("format none\nmessage_key m\nsuppress_parse_error_log true", {"log": "x"}, {"m": "x"}),
        ("format syslog\nwith_priority true", {"log": "<7>Feb 28 12:00:00 h k: m"},
         {"pri": 7, "host": "h", "ident": "k", "message": "m"}),
        ("format apache2", {"log": '- - - [28/Feb/2013:12:00:00 +0900] "GET / HTTP/1.1" 200 7'},
         {"host": None, "user": None, "method": "GET", "path": "/", "code": 200, "size": 7, "referer": None,
          "agent": None}),
        ("format tsv\nkeys t,b\ntime_key t\ntime_format %s\nkeep_time_key true", {"log": "7\tx"}, {"t": "7", "b": "x"}),
    ],
)  # fmt: skip
def test_spellings_of_012(conf: str, record: dict[str, Any], parsed: dict[str, Any]) -> None:
    """The parser's settings stood flat in the section."""
    events, errors = run(conf, record)
    assert ([each for _, each in events], errors) == ([parsed], [])


class Picky(Parser[Any], type="picky"):
    """A parser of somebody else's, which fails on a line, and does not say of which line a record is."""

    def parse_lines(self, lines: list[bytes], now: int) -> Parsed:
        """Return two records for `2`, none for `0`, and one for others."""
        if b"bad" in lines:
            raise RuntimeError("cannot")
        records = [{"n": line.decode()} for line in lines for _ in range(2 if line == b"2" else 1)]
        return Parsed([now] * len(records), records, [])


def test_a_parser_of_somebody_else() -> None:
    """Each record gets its own events, whatever the parser does with many lines together."""
    options = configure(ParserFilter, f"key_name log\nreserve_data true\n{TSV}")
    conf = PluginConf("parser", "picky", Picky, Picky.options_class(), options.parse.element)  # type: ignore[attr-defined]
    object.__setattr__(options, "parse", conf)
    host = FakeHost()
    stage = ParserFilter(options, host)  # type: ignore[arg-type]
    for lines, events, failed in (
        ("122", "12222", 0),
        (["1", "bad", "x"], ["1", "x"], 1),
        ("11", "11", 0),
    ):
        host.errors.clear()
        left = stage.process(EventBatch("t", [OLD] * len(lines), [{"log": line} for line in lines]))
        assert [record.get("n") for record in left.records] == [*events]
        assert {*left.times} == {OLD}
        assert len(host.errors) == failed


async def test_in_a_pipeline() -> None:
    """What fails goes to `@ERROR`, and nothing is lost between the stages."""
    async with pipeline(
        f"""
        <filter **>
          @type parser
          key_name log
          reserve_data true
          {JSON}
        </filter>
        <match **>
          @type test
        </match>
        <label @ERROR>
          <match **>
            @type test
            name errors
          </match>
        </label>
        """
    ) as running:
        await running.feed("t", {"log": '{"a":1}'}, {"log": "x"}, {"n": 1}, {"log": '[{"a":2},{"a":3}]'})
    assert [event.record.get("a") for event in running.events()] == [1, None, None, 2, 3]
    assert [event.record for event in running.events(name="errors")] == [{"log": "x"}, {"n": 1}]
    assert running.metric("lost_records") == 0


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        (JSON, '"key_name" is required'),
        ("key_name log", "<parse> section is required"),
        (f"key_name $.\n{JSON}", "path"),
        ("key_name log\nformat csv", '"keys" is required'),
    ],
)
def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """They are found at start."""
    with pytest.raises(ConfigError, match=message):
        build(ParserFilter, conf)
