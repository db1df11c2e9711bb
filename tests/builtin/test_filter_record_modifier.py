"""record_modifier: configuration text in, records out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.filter_record_modifier import RecordModifier
from logpipe.config.diagnostic import ConfigError
from logpipe.testing import check_plugin, drive, pipeline

EXAMPLE = Path(__file__).parents[2] / "examples/record_modifier.conf"


async def modified(conf: str, *records: dict[str, Any], tag: str = "app.web.01", time: int = 0) -> list[dict[str, Any]]:
    """Return what a configuration makes of records; none may fail."""
    async with drive(RecordModifier, conf) as stage:
        await stage.feed(tag, *records, times=[time] * len(records))
        assert stage.errors == []
        return stage.records()


def record_section(**values: str) -> str:
    lines = "".join(f"  {name} {value}\n" for name, value in values.items())
    return f"<record>\n{lines}</record>\n"


async def test_keeps_what_every_plugin_promises() -> None:
    """It constructs quietly, stops twice, passes an empty batch."""
    await check_plugin(RecordModifier, "remove_keys x\n" + record_section(a="${record['b']}"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain#{1} \\d", "plain#{1} \\d"),
        ("${record['n']}", 5),
        ("${record['n']}x", "5x"),
        ('a-${record["n"]}-${tag_parts[1]}\\t.', "a-5-web\t."),
        ("${record['n']}${record['n']}", "55"),
        ("${tag}", "app.web.01"),
        ("${record['nope']}", None),
        ("${time}", 1),
        ("${time + 60}", 61),
        ("${Time.at(time).utc.iso8601(3)}", "1970-01-01T00:00:01.500Z"),
        ("${time.to_f}", 1.5),
        ("${time.nsec}", 500_000_000),
        ('{"a":"${tag}"}', None),
        ('{"a":1}', '{"a":1}'),
        ("[1]", "[1]"),
    ],
)
async def test_values(value: str, expected: Any) -> None:
    """Text without a placeholder stays as it is, one placeholder keeps its type, all else is in double quotes."""
    if expected is None and value.startswith("{"):
        with pytest.raises(ConfigError, match="a double quote ends the text early"):
            await modified(record_section(x=value), {})
        return
    (record,) = await modified(record_section(x=value), {"n": 5}, time=1_500_000_000)

    assert record == {"n": 5, "x": expected}


async def test_values_see_what_those_before_them_did() -> None:
    """The record is live: fields and side effects of earlier values are there."""
    conf = "remove_keys _dummy_\n" + record_section(
        a="${record['n'] + 1}", _dummy_="${record['b'] = record['a'] * 2; record.delete('n'); nil}", c="${record['b']}"
    )

    assert await modified(conf, {"n": 1}, {"n": 10}) == [{"a": 2, "b": 4, "c": 4}, {"a": 11, "b": 22, "c": 22}]


async def test_what_is_nested_is_changed_for_this_event_only() -> None:
    """Metadata that many records share stays as it is for the others."""
    shared = {"labels": {"app": "web"}}
    async with drive(RecordModifier, record_section(x="${record['k']['labels']['app'] = record['n']; 1}")) as stage:
        await stage.feed("a", {"n": 1, "k": shared}, {"n": 2, "k": shared})

        assert [record["k"]["labels"]["app"] for record in stage.records()] == [1, 2]
    assert shared == {"labels": {"app": "web"}}


async def test_a_failing_event_goes_to_the_error_stream() -> None:
    """It goes as far as it was changed; the others go on."""
    conf = record_section(a="1", b="${record['n'].fetch('x')}")
    async with drive(RecordModifier, conf) as stage:
        await stage.feed("t", {"n": {"x": 5}}, {"n": None}, {"n": {"x": 6}})

        assert [record["b"] for record in stage.records()] == [5, 6]
        ((_, _, record, error),) = stage.errors
        assert record == {"n": None, "a": "1"}
        assert str(error) == "failed to expand `${record['n'].fetch('x')}`: undefined method `fetch' for nil:NilClass"


async def test_remove_keys_takes_paths() -> None:
    """Names are of the top level, paths reach inside, and other records keep what they share."""
    shared = {"a": 1, "b": 2}
    records = await modified("remove_keys x, $.k.a, $['d.e']", {"x": 1, "k": shared, "d.e": 1}, {"k": shared})

    assert records == [{"k": {"b": 2}}, {"k": {"b": 2}}]
    assert shared == {"a": 1, "b": 2}


async def test_whitelist_keys_keeps_their_order_and_those_of_record() -> None:
    """Fields that are neither named nor set are gone."""
    (record,) = await modified("whitelist_keys b, nope, a\n" + record_section(z="1"), {"a": 1, "c": 2, "b": 3})

    assert list(record.items()) == [("b", 3), ("a", 1), ("z", "1")]


async def test_replace() -> None:
    """What matches is replaced, with groups by number and by name; other values stay."""
    conf = (
        "<replace>\n  key a\n  expression /^(?<start>.+).{2}(?<end>.+)$/\n  replace \\k<start>ors\\k<end>\n</replace>\n"
        "<replace>\n  key b\n  expression /^(.{1}).{2}(.{1})$/\n  replace \\1ors\\2\n</replace>\n"
        '<replace>\n  key c\n  expression /_[0-9]+/\n  replace ""\n</replace>\n'
    )
    records = await modified(conf, {"a": "hoge", "b": "hoge", "c": "x_1_2y"}, {"b": "no", "c": None}, {})

    assert records == [{"a": "horse", "b": "horse", "c": "xy"}, {"b": "no", "c": None}, {}]


async def test_replace_fails_on_what_is_no_text() -> None:
    """A number cannot be searched, as in Ruby: the event is an error."""
    async with drive(RecordModifier, "<replace>\n  key a\n  expression /1/\n  replace 2\n</replace>") as stage:
        await stage.feed("t", {"a": 1})

        assert stage.records() == []
        assert len(stage.errors) == 1


async def test_replace_without_slashes_is_warned_of() -> None:
    """The whole text is the expression then, flags included."""
    async with drive(RecordModifier, "<replace>\n  key a\n  expression b+\n  replace x\n</replace>") as stage:
        await stage.feed("t", {"a": "abbc"})

        assert stage.records() == [{"a": "axc"}]
        assert stage.log.texts("warning") == ['write "expression /b+/" instead of "expression b+"']


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", {"a": "caf\udce9", "k": ["\udce9", {"b": 1}]}),
        ("iso-8859-1", {"a": "café", "k": ["é", {"b": 1}]}),
        ("iso-8859-1:utf-8", {"a": "café", "k": ["é", {"b": 1}]}),
        ("utf-8:utf-8", {"a": "caf\ufffd", "k": ["\ufffd", {"b": 1}]}),
        ("windows-1252:us-ascii", {"a": "caf?", "k": ["?", {"b": 1}]}),
    ],
)
async def test_char_encoding(encoding: str, expected: dict[str, Any]) -> None:
    """Bytes are read as the encoding that is named; what cannot be is replaced."""
    (record,) = await modified(f"char_encoding {encoding}", {"a": "caf\udce9", "k": ["\udce9", {"b": 1}]})

    assert record == expected


async def test_prepare_value_runs_once() -> None:
    """Its instance variables are known in the values."""
    conf = "prepare_value require 'ipaddr'; @net = IPAddr.new('10.0.0.0/8'); @at = Time.now.to_f\n" + record_section(
        inside="${@net.include?(record['ip'])}", at="${@at}"
    )
    records = await modified(conf, {"ip": "10.1.2.3"}, {"ip": "192.168.0.1"})

    assert [record["inside"] for record in records] == [True, False]
    assert records[0]["at"] == records[1]["at"] > 1e9


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("prepare_value require 'foo'; @foo = Foo.new", "require foo is not supported"),
        ("prepare_value @a = raise 'no'", "no"),
        ("prepare_value @n = 0\n" + record_section(a="${@n += 1}"), "@n cannot be assigned to: use another name"),
        ("remove_keys a\nwhitelist_keys b", "exclude one another"),
        ("remove_keys $['a", "malformed"),
        ("char_encoding martian", "unknown encoding name - martian"),
        ("<replace>\n  key a\n  expression /(/\n  replace x\n</replace>", r'"?expression'),
        (record_section(a="${record['a'].fooo}"), r"test.conf:4:\d+: .*<record> a: unknown method fooo"),
        (record_section(a="${system('ls')}"), "system cannot be used in an expression"),
        (record_section(a='say "${tag}"!'), "a double quote ends the text early"),
        (record_section(a="${nope}"), "unknown name nope"),
    ],
)
async def test_mistakes_are_found_at_start(conf: str, message: str) -> None:
    """What can never work is refused, with its place and what to do."""
    with pytest.raises(ConfigError, match=message):
        await modified(conf, {})


async def test_the_example_masks_and_moves() -> None:
    """The example's filter does what its comment says."""
    text = EXAMPLE.read_text()
    body = text[text.index("<filter") : text.index("</filter>")] + "</filter>\n<match **>\n  @type test\n</match>\n"
    async with pipeline(body) as running:
        await running.feed(
            "shop.orders",
            {"message": "4111111111111111", "user": {"id": 7}, "debug": 1, "client": "10.0.0.1"},
            times=[0],
        )

        (record,) = running.records("shop.**")
    assert record["message"] == "************1111"
    assert (record["user_id"], record["service"], record["inside"]) == (7, "orders", True)
    assert "debug" not in record
    assert "_dummy_" not in record
