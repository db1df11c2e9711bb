"""record_transformer: configuration text in, records out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from logpipe.builtin.filter_record_transformer import RecordTransformer
from logpipe.config.diagnostic import ConfigError
from logpipe.testing import build, check_plugin, drive, pipeline
from tests.conformance.clock import utc

META = {"namespace_name": "shop", "labels": {"app": "web"}}


async def transformed(conf: str, *records: dict[str, Any], tag: str = "app.web.01") -> list[dict[str, Any]]:
    """Return what a configuration makes of records; none may fail."""
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed(tag, *records)
        assert stage.errors == []
        return stage.records()


async def test_keeps_what_every_plugin_promises() -> None:
    """It constructs quietly, stops twice, passes an empty batch."""
    await check_plugin(RecordTransformer, "enable_ruby\n<record>\n  a ${record['b']}\n</record>")


TOPIC = 'enable_ruby\n<record>\n  topic ${kubernetes["namespace_name"]}\n</record>'


async def test_the_article_gives_each_event_its_topic() -> None:
    """A bare name reads the record's field, as 0.12 did."""
    for setting in ("compat 0.12", "names_are_fields true"):
        (record,) = await transformed(f"{setting}\n{TOPIC}", {"log": "x", "kubernetes": META})

        assert record == {"log": "x", "kubernetes": META, "topic": "shop"}


async def test_names_are_fields_where_a_file_is_spelled_for_0_12() -> None:
    """A section with `type` in the place of `@type` says which fluentd the file was written for."""
    rest = f"<filter **>\n@type record_transformer\n{TOPIC}\n</filter>\n<match **>\n@type test\n</match>\n"
    async with pipeline(f"<filter none>\ntype grep\n</filter>\n{rest}") as stage:
        await stage.feed("a", {"kubernetes": META})
        assert stage.records()[0]["topic"] == "shop"
        assert not any("unknown name" in str(warning) for warning in stage.warnings)


async def test_a_bare_name_fails_by_todays_rule() -> None:
    """Every event is an error, as with fluentd 1; that is said before the first one comes."""
    async with drive(RecordTransformer, TOPIC) as stage:
        assert any("unknown name kubernetes: every event" in text for text in stage.log.texts("warning"))
        await stage.feed("a", {"kubernetes": META}, {"n": 1})

        assert stage.records() == []
        assert [record for _, _, record, _ in stage.errors] == [{"kubernetes": META}, {"n": 1}]
        assert "undefined local variable or method `kubernetes'" in str(stage.errors[0][3])


async def test_events_without_metadata_go_on_with_a_null_topic() -> None:
    """A bare name that is missing is null; that is told once, then with growing counts."""
    async with drive(RecordTransformer, f"names_are_fields true\n{TOPIC}") as stage:
        await stage.feed("a", *({"n": number} for number in range(150)))
        await stage.feed("a", {"kubernetes": None}, {"kubernetes": META})

        assert stage.errors == []
        assert [record["topic"] for record in stage.records()] == [None] * 151 + ["shop"]
        warnings = [text for level, text in stage.log.messages if level == "warning"]
        assert [text.rpartition("(")[2] for text in warnings] == ["1 so far)", "10 so far)", "100 so far)"]
        assert warnings[0].startswith('failed to expand `${kubernetes["namespace_name"]}`: undefined local variable')
        assert stage.metric("expansions_failed") == 151


async def test_a_failing_record_goes_to_the_error_stream_and_the_rest_goes_on() -> None:
    """`record[…]` follows today's rule: one bad record stops nobody else."""
    conf = 'enable_ruby\n<record>\n  ns ${record["kubernetes"]["namespace_name"]}\n  n 1\n</record>'
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("a", {"kubernetes": META}, {"log": "bad"}, {"kubernetes": META}, times=[1, 2, 3])

        assert [record["ns"] for record in stage.records()] == ["shop", "shop"]
        assert [event.time for event in stage.events()] == [1, 3]
        ((tag, time, record, error),) = stage.errors
        assert (tag, time, record) == ("a", 2, {"log": "bad"})
        expected = (
            'failed to expand `${record["kubernetes"]["namespace_name"]}`: undefined method `[]\' for nil:NilClass'
        )
        assert str(error) == expected


@pytest.mark.parametrize("ruby", ["false", "true"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5", 5),
        ("5.10", 5.1),
        ("true", True),
        ("off", False),
        ("0", 0),
        ("null", None),
        ("'5'", "5"),
        ("0x10", 16),
        ("[1, 2.5, true, null, x]", [1, 2.5, True, None, "x"]),
        ("!fluent/json 5", "5"),
        ("!fluent/json {a: 1, b: [true]}", {"a": 1, "b": [True]}),
        ("!fluent/s 5", "5"),
        ("2020-01-02", "2020-01-02"),
        ("${tag}", "t"),
    ],
)
async def test_values_of_yaml_keep_their_type(written: str, expected: Any, ruby: str) -> None:
    """A number is a number in the record, as with Fluentd's YAML."""
    text = f"""
config:
  - filter:
      $type: record_transformer
      $tag: t
      enable_ruby: {ruby}
      record:
        x: {written}
  - match: {{$type: test, $tag: "**"}}
"""
    async with pipeline(text, file="test.yaml") as run:
        await run.feed("t", {})
        assert run.records() == [{"x": expected}]
        assert [type(value) for value in run.records()[0].values()] == [type(expected)]


async def test_instance_variables_stay() -> None:
    """One entry reads what another has set, and the next event what this one has: all are evaluated in one object."""
    conf = """enable_ruby
        <record>
          a ${@x = record["n"]; nil}
          b ${@x}
          c ${@n = (@n || 0) + 1}
          d ${@t ||= tag}
          e ${[1].each { |i| @list = (@list || []) + [i] }; @list.size}
        </record>"""
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("t", {"n": 5}, {"n": b"\xff"})
        await stage.feed("u", {"n": "s"})
        assert [[*record.values()][2:] for record in stage.records()] == [
            [5, 1, "t", 1],
            [b"\xff", 2, "t", 2],
            ["s", 3, "t", 3],
        ]


@pytest.mark.parametrize("expression", ["My::Mod.get_hostname", "Foo.bar"])
async def test_an_unknown_constant_is_to_blame(expression: str) -> None:
    """And not the method that is called on it."""
    name = expression.split(".", maxsplit=1)[0]
    with pytest.raises(ConfigError, match=f"unknown constant {name}"):
        build(RecordTransformer, f"enable_ruby\n<record>\na ${{{expression}}}\n</record>")


async def test_use_default_in_a_field() -> None:
    """There is none: it is the text that fluentd makes of it, with a warning."""
    conf = '<record>\na "#{use_default}"\nb "#{use_nil}"\n</record>'
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("t", {})
        assert stage.records() == [{"a": "default", "b": None}]
        assert any("<record> a: fields have no default" in text for text in stage.log.texts("warning"))


async def test_an_unknown_placeholder_is_warned_about() -> None:
    """Once, when it is read."""
    async with drive(RecordTransformer, "<record>\nx a${level}\ny ${level}\n</record>") as stage:
        await stage.feed("t", {"level": "warn"})
        assert stage.records() == [{"level": "warn", "x": "a", "y": None}]
        said = [text for text in stage.log.texts("warning") if "unknown placeholder ${level}" in text]
    assert len(said) == 2


async def test_unknown_placeholders_are_told_at_start() -> None:
    """What can never be filled is named once, with a hint."""
    async with drive(RecordTransformer, "<record>\n  x ${record['a']}\n</record>") as stage:
        (warning,) = [text for level, text in stage.log.messages if level == "warning"]

    assert warning == (
        "unknown placeholder ${record['a']} is replaced by nothing; set enable_ruby true if it is an expression"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${record['n'] + 1}", 6),
        ("${record['n'] + 1}!", "6!"),
        ("mix-${record['n']}-${1+1}-#{tag_parts[0]}", "mix-5-2-app"),
        ("#{1 + 1}", "2"),
        ("\\d ${tag}", "d app.web.01"),
        ("tab\\tand [brackets]", "tab\tand [brackets]"),
        ("it's \"quoted\" ${record['n']}", 'it\'s "quoted" 5'),
        ("plain", "plain"),
        ("${time.to_i}", 1466000000),
        ("${time.strftime('%F %T')}", "2016-06-15 14:13:20"),
        ("${time.utc.iso8601}", "2016-06-15T14:13:20Z"),
        ("${time}", "2016-06-15 14:13:20 +0000"),
        ("${hostname}", None),
        ("${record}", {"n": 5}),
        ("${:sym}", "sym"),
        ("${[1, :a, 1..2, nil]}", [1, "a", "1..2", None]),
        ("${{a: 1, 2 => nil}}", {"a": 1, "2": None}),
        ("${ENV['LOGPIPE_NOPE'] || 'none'}", "none"),
        ("${tags[0]}", "app"),
    ],
)
async def test_ruby(value: str, expected: Any) -> None:
    """With enable_ruby a lone `${…}` keeps its type, all other text is read as `%Q[…]`."""
    with utc():
        async with drive(RecordTransformer, f"enable_ruby true\n<record>\n  x {value}\n</record>") as stage:
            await stage.feed("app.web.01", {"n": 5}, times=[1_466_000_000_123_456_789])
            (record,) = stage.records()
            host = stage.graph.world.hostname

    assert record["x"] == (host if value == "${hostname}" else expected)


async def test_auto_typecast_off_makes_text() -> None:
    """Without auto_typecast every value is text."""
    conf = 'auto_typecast false\n<record>\n  n ${record["n"]}\n  h ${record["h"]}\n  z ${record["z"]}\n</record>'
    (record,) = await transformed(conf, {"n": 5, "h": {"a": [1]}})

    assert (record["n"], record["h"], record["z"]) == ("5", '{"a"=>[1]}', "")


async def test_entries_are_computed_from_the_record_that_came() -> None:
    """No entry sees another, whatever their order."""
    conf = "enable_ruby\n<record>\n  a ${record['b']}\n  b ${record['a']}\n  c ${record['c'].to_i + 1}\n</record>"
    (record,) = await transformed(conf, {"a": 1, "b": 2})

    assert record == {"a": 2, "b": 1, "c": 1}


async def test_sections_are_joined_and_the_last_value_wins() -> None:
    """Several `<record>` sections are one."""
    (record,) = await transformed("<record>\n a 1\n b 2\n</record>\n<record>\n a 3\n</record>", {})

    assert record == {"a": "3", "b": "2"}


async def test_keys_are_templates() -> None:
    """The name of a field may be computed, and always is text."""
    conf = 'enable_ruby\n<record>\n  "${tag_parts[0]}" x\n  ${record["k"]}_n ${record["n"]}\n</record>'
    (record,) = await transformed(conf, {"k": 7, "n": 5})

    assert record == {"k": 7, "n": 5, "app": "x", "7_n": 5}


async def test_renew_and_keep() -> None:
    """renew_record begins anew; keep_keys are taken over where they are there."""
    conf = 'renew_record true\nkeep_keys a, b\n<record>\n  c ${record["d"]}\n</record>'

    assert await transformed(conf, {"a": 1, "d": 4, "e": 5}) == [{"a": 1, "c": 4}]


async def test_remove_keys_come_last() -> None:
    """Paths are removed after the entries were set; an entry may be removed too."""
    conf = "remove_keys a, $.k.ns, $['k']['l'][0], t\n<record>\n  t 1\n  copy ${record[\"a\"]}\n</record>"
    records = await transformed(conf, {"a": 1, "k": {"ns": "x", "l": [1, 2]}})

    assert records == [{"k": {"l": [2]}, "copy": 1}]


async def test_metadata_that_records_share_is_never_changed() -> None:
    """Removing and changing below the top copies what other records hold too."""
    shared = {"labels": {"app": "web"}, "list": [1]}
    conf = (
        "enable_ruby\nremove_keys $.kubernetes.labels.app\n"
        "<record>\n  x ${record['kubernetes']['list'] << 2; record['kubernetes']['new'] = 1; nil}\n</record>"
    )
    records = await transformed(conf, {"kubernetes": shared}, {"kubernetes": shared})

    assert [record["kubernetes"] for record in records] == [{"labels": {}, "list": [1, 2], "new": 1}] * 2
    assert shared == {"labels": {"app": "web"}, "list": [1]}


async def test_changes_made_by_expressions_follow_ruby() -> None:
    """Objects and texts changed in place show; fields added to or taken from the top do not."""
    conf = (
        "enable_ruby\n<record>\n"
        "  a ${record['msg'] << '!'; record['k']['x'] = 1; record.delete('gone'); record['added'] = 1; nil}\n"
        "  b ${record['gone'].inspect}\n</record>"
    )
    (record,) = await transformed(conf, {"msg": "hi", "k": {}, "gone": 5})

    assert record == {"msg": "hi!", "k": {"x": 1}, "gone": 5, "a": None, "b": "nil"}


async def test_every_tag_has_its_own_values() -> None:
    """What depends on the tag is computed for each, however many there are."""
    conf = "enable_ruby\n<record>\n  x ${tag_parts[1].upcase}-${tag.split('.').last}\n</record>"
    async with drive(RecordTransformer, conf) as stage:
        for number in range(5000):
            await stage.feed(f"a.b{number}.c", {})

        assert [record["x"] for record in stage.records()] == [f"B{number}-c" for number in range(5000)]


async def test_a_tag_without_the_part_fails_by_event() -> None:
    """A tag on which an expression fails sends that tag's events to the error stream."""
    conf = "enable_ruby\n<record>\n  x ${tag_parts[1].upcase}\n</record>"
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("short", {"n": 1}, {"n": 2})
        await stage.feed("long.enough", {"n": 3})

        assert [record["n"] for _, _, record, _ in stage.errors] == [1, 2]
        assert stage.records() == [{"n": 3, "x": "ENOUGH"}]


@pytest.mark.parametrize(
    ("conf", "messages"),
    [
        (
            "enable_ruby\n<record>\n  topic ${kubernetes[\u201cnamespace_name\u201d]}\n</record>",
            ["test.conf:5:22: error: .*topic: typographic quote \u201c in an expression: type the straight quote"],
        ),
        (
            "<record>\n  topic ${record[\u201ca\u201d]}\n</record>",
            ["test.conf:4:18: error: .*typographic quote \u201c in a placeholder: type a straight quote"],
        ),
        (
            "enable_ruby\n<record>\n  a ${1 +}\n  b ${system('id')}\n  c ${record['x'].upcas}\n</record>",
            [
                "test.conf:5:10: error: .*<record> a: the expression ends too early",
                "test.conf:6:7: error: .*<record> b: system cannot be used in an expression: use an exec input",
                'test.conf:7:19: error: .*<record> c: unknown method upcas: did you mean "upcase"',
            ],
        ),
        ("enable_ruby\n<record>\n  a x]y\n</record>", ["test.conf:5:.*a ] without its \\["]),
        ("keep_keys a", ["test.conf:3:11: error: .*keep_keys needs renew_record true"]),
        ("remove_keys $.a..b\n<record>\n  a 1\n</record>", ["test.conf:3:13: error: .*an empty step in the path"]),
        ("compat 0.11", ["compat"]),
    ],
)
async def test_mistakes_are_told_at_start(conf: str, messages: list[str]) -> None:
    """Every mistake is found when the configuration is read, all in one run, each with its place."""
    with pytest.raises(ConfigError) as caught:
        async with drive(RecordTransformer, conf):
            pass
    told = str(caught.value).splitlines()

    assert len(told) == len(messages)
    for line, message in zip(told, messages, strict=True):
        assert re.search(message, line), line


async def test_a_name_is_text_whatever_its_expression_returns() -> None:
    """Also where it depends on the tag alone and is computed once."""
    conf = "enable_ruby\n<record>\n  ${return(tag_parts)} 1\n  ${return(record['list'])} 2\n</record>"
    (record,) = await transformed(conf, {"list": [3]}, tag="a.b")

    assert record == {"list": [3], '["a", "b"]': "1", "[3]": "2"}
