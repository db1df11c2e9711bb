"""Lines that a regular expression takes apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe import ConfigError, ParseError
from logpipe.builtin.parsers.regexp import RegexpParser
from logpipe.testing import build, check_plugin, pipeline

APACHE = r"""expression /^(?<host>[^ ]*) \[(?<time>[^\]]*)\] "(?<path>[^"]*)"(?: (?<code>\d+))?$/
time_format %d/%b/%Y:%H:%M:%S %z
types code:integer
"""
LINE = b'10.0.0.1 [15/Jun/2016:11:39:30 +0000] "/a" 200'
NOW = 5


async def test_keeps_the_contract() -> None:
    """A parser like any other."""
    await check_plugin(RegexpParser, APACHE)


def test_named_groups_become_fields() -> None:
    """The time is taken out, types are converted, a group without part in the match is left out."""
    parsed = build(RegexpParser, APACHE).parse_lines([LINE, LINE[:-4]], NOW)
    assert parsed.times == [1465990770000000000] * 2
    assert parsed.records == [{"host": "10.0.0.1", "path": "/a", "code": 200}, {"host": "10.0.0.1", "path": "/a"}]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", [b"", b"nonsense", LINE.replace(b"Jun", b"Foo"), b"\xff"])
def test_a_bad_line_leaves_the_others_alone(bad: bytes, place: int) -> None:
    """A line that does not match, or has another time, is told by its number."""
    lines = [LINE, LINE]
    lines.insert(place, bad)
    parsed = build(RegexpParser, APACHE).parse_lines(lines, NOW)
    assert len(parsed.records) == len(parsed.times) == 2
    assert parsed.unmatched == [place]


def test_single_lines() -> None:
    """No match is no event, a wrong time an error."""
    parser = build(RegexpParser, APACHE)
    assert parser.parse("nonsense") == []
    ((time, record),) = parser.parse(LINE.decode())
    assert (time, record["host"]) == (1465990770000000000, "10.0.0.1")
    with pytest.raises(ParseError):
        parser.parse(LINE.decode().replace("Jun", "Foo"))


def test_matches_anywhere_and_at_every_line() -> None:
    """Like Ruby's match it searches, and ^ is the start of any line."""
    assert build(RegexpParser, "expression /^b(?<x>.)$/").parse("a\nbc\nd")[0][1] == {"x": "c"}


@pytest.mark.parametrize(
    ("conf", "matches"),
    [
        ("expression /(?<a>X)/i", True),
        ("expression /(?<a>X)/", False),
        ("expression (?<a>x)", True),
        ("expression /(?<a>X)/\nignorecase true", True),
        ("expression /(?<a>x.y)/m", True),
        ("expression /(?<a>x.y)/\nmultiline true", True),
        ("expression /(?<a>x.y)/", False),
    ],
)
def test_flags(conf: str, *, matches: bool) -> None:
    """The flags i and m of Ruby, and the parameters that once stood for them."""
    assert bool(build(RegexpParser, conf).parse("x\ny")) is matches


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (r"/(.*)/", "no named captures"),
        (r"/(?<a>.)/xyz", "no closing /"),
        (r"/(?<a>x/", "expression|parenthes|group"),
        (r"/[/", "class|bracket|expression"),
    ],
)
def test_unusable_expressions(expression: str, message: str) -> None:
    """What cannot make a record is refused at start, at its place."""
    with pytest.raises(ConfigError, match=message) as refused:
        build(RegexpParser, f"expression {expression}")
    assert refused.value.diagnostics[0].position.line == 3


def test_expression_is_required() -> None:
    """There is nothing to do without one."""
    with pytest.raises(ConfigError, match='"expression" is required'):
        build(RegexpParser)


@pytest.mark.parametrize("timeout", ["", "timeout 0.05"])
def test_timeout(caplog: pytest.LogCaptureFixture, timeout: str) -> None:
    """A line that an expression never comes to an end with is given up, with a warning, and the next one is read."""
    parser = build(RegexpParser, f"expression /^(?<a>(?:a|aa)+)$/\n{timeout}")
    parsed = parser.parse_lines([b"a" * 60 + b"b", b"aaa"], NOW)
    assert parsed.records == [{"a": "aaa"}]
    assert parsed.unmatched == [0]
    assert "parsing timed out" in caplog.text

    caplog.clear()
    assert parser.parse("a" * 60 + "b") == []
    assert parser.parse("aaa")[0][1] == {"a": "aaa"}
    assert "parsing timed out" in caplog.text


@pytest.mark.parametrize(
    ("expression", "line", "record"),
    [
        (
            r"/^(?<@timestamp>\S+) (?<a-b>\S+) (?<log.level>\S+) (?<two words>.*)$/",
            b"t x warn rest of it",
            {"@timestamp": "t", "a-b": "x", "log.level": "warn", "two words": "rest of it"},
        ),
        (r"/(?<@a>x)(?<b>y)?/", b"x", {"@a": "x"}),
        (r"/(?<_q_a>x)(?<日本>y)/", b"xy", {"_q_a": "x", "日本": "y"}),
        (r"/^(?<@a>.*)$/", b"caf\xe9", {"@a": b"caf\xe9"}),
        (r"/(?<@k>a)|(?<@k>b)/", b"b", {"@k": "b"}),
        (r"/(?<n>\d+)(?:,\g<n>)*/", b"1,22,333", {"n": "333"}),
        (r"/(?<w>\w+{0,9})-/", b"abc-", {"w": "abc"}),
        (r"/\/\*(?<c>(?~\*\/))\*\//", b"x /* a * b */ */", {"c": " a * b "}),
        (r"/(?<w>(?a)[[:alpha:]]+)/", "aé".encode(), {"w": "a"}),
        (r"/(?<w>\N+)/", b"aN", {"w": "N"}),
    ],
)
def test_groups_and_their_names_are_rubys(expression: str, line: bytes, record: dict[str, str]) -> None:
    """Fields have the names that were written, and the texts that Ruby's matcher captures."""
    parser = build(RegexpParser, f"expression {expression}\ntime_key nothing")
    assert parser.parse_lines([line], NOW) == ([NOW], [record], [])


def test_an_odd_name_holds_the_time() -> None:
    """`time_key` and `types` use the names as they were written."""
    conf = "expression /^(?<@timestamp>\\d+) (?<a-b>.*)$/\ntime_key @timestamp\ntime_type unixtime\ntypes a-b:integer"
    assert build(RegexpParser, conf).parse_lines([b"7 5"], NOW) == ([7_000_000_000], [{"a-b": 5}], [])


SOURCE = "<source>\n@type tail\npath DIR/in.log\ntag t\nread_from_head true\n<parse>\nPARSE\n</parse>\n</source>\n"


@pytest.mark.parametrize(
    ("parse", "line", "record"),
    [
        ("@type /^(?<level>\\w+) (?<msg>.*)$/", "warn a b", {"level": "warn", "msg": "a b"}),
        (
            "@type /^(?<time>\\S+) (?<code>\\d+)$/\ntime_format %Y-%m-%d\nkeep_time_key true\ntypes code:integer",
            "2016-06-15 200",
            {"time": "2016-06-15", "code": 200},
        ),
        ('@type "/^(?<a-b>x)/"', "xy", {"a-b": "x"}),
        (
            "@type cri\n<parse>\n@type /^(?<w>\\w+)/\n</parse>\nmerge_cri_fields false",
            "T stdout F hi there",
            {"w": "hi"},
        ),
    ],
)
async def test_a_regular_expression_in_the_place_of_a_type(
    parse: str, line: str, record: dict[str, str], tmp_path: Path
) -> None:
    """As fluentd takes it, with the settings of regexp beside it."""
    (tmp_path / "in.log").write_text(line + "\n")
    text = SOURCE.replace("DIR", str(tmp_path)).replace("PARSE", parse) + "<match t>\n@type test\n</match>"
    async with pipeline(text) as run:
        await run.wait_for(run.records)
        assert run.records() == [record]


@pytest.mark.parametrize(
    ("type_", "message"),
    [("/no groups/", "no named captures"), ("/(?<a>x/", "unmatched parenthesis"), ("/(?<a>x)/i", "unknown parser")],
)
async def test_a_bad_one_is_said_with_its_place(type_: str, message: str) -> None:
    """The place is that of the mistake within the type."""
    with pytest.raises(ConfigError, match=message) as caught:
        async with pipeline(SOURCE.replace("PARSE", f"@type {type_}") + "<match t>\n@type test\n</match>"):
            pass
    (found,) = [each for each in caught.value.diagnostics if each.severity == "error"]
    assert found.position.line == 7
    assert found.position.column >= 7


async def test_every_stage_that_takes_a_regular_expression() -> None:
    """Names of groups and what `re` does not know are the same everywhere."""
    text = """
        <filter t>
          @type grep
          <regexp>
            key m
            pattern /^(?<@a>\\w)+{1,3}(?~z)$/
          </regexp>
        </filter>
        <filter t>
          @type record_modifier
          <replace>
            key m
            expression /(?<a-b>\\w)(?<c>\\w)/
            replace \\k<c>\\k<a-b>
          </replace>
        </filter>
        <filter t>
          @type record_transformer
          enable_ruby
          <record>
            r ${m = record["m"].match(/(?<@x>.)(?<y>.)\\g<y>*/); [m["@x"], m["y"], m.names, m.named_captures]}
          </record>
        </filter>
        <match t>
          @type rewrite_tag_filter
          <rule>
            key m
            pattern /^(?<log.level>\\w)a**/
            tag x.$1
          </rule>
        </match>
        <match **>
          @type test
        </match>
    """
    async with pipeline(text) as run:
        await run.feed("t", {"m": "abc"}, {"m": "z z"})
        (record,) = run.records("x.b")
    assert record == {"m": "bac", "r": ["b", "c", ["@x", "y"], {"@x": "b", "y": "c"}]}
