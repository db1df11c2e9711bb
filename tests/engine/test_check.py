"""What `logpipe check` says of whole configurations: the exact text, each read aloud once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logpipe.config.diagnostic import render
from logpipe.registry import Registry
from logpipe.supervisor import Settings, check

REGISTRY = Registry()

SOURCE = "<source>\n  @type tail\n  path /var/log/a.log\n  tag a\n{}  <parse>\n    @type json\n  </parse>\n</source>\n"
TAIL = SOURCE.format("  pos_file /tmp/a.pos\n")
OUT = "<match a>\n  @type null\n</match>\n"
FILE_BUFFER = "<match {}>\n  @type kafka2\n  <format>\n    @type json\n  </format>\n  <buffer>\n    @type file\n"
FILE_BUFFER += "    path /tmp/b\n  </buffer>\n</match>\n"

BROKEN = {
    "a misspelt parameter": (
        "<match a>\n  @type kafka2\n  brokerz k:9092\n  <format>\n    @type json\n  </format>\n</match>\n",
        ['3:3: warning: <match a> @type kafka2: parameter "brokerz" is not used (did you mean "brokers"?)'],
        "unknown-parameter",
    ),
    "a misspelt plugin": (
        "<match a>\n  @type stdot\n</match>\n",
        ['2:9: error: <match a>: unknown output plugin "stdot" (did you mean "stdout"?)'],
        "unknown-plugin",
    ),
    "a plugin of another kind": (
        "<source>\n  @type kafka2\n</source>\n",
        ['2:9: error: <source>: unknown input plugin "kafka2" (there is output plugin of that name)'],
        "unknown-plugin",
    ),
    "a misspelt section": (
        "<match a>\n  @type kafka2\n  <formt>\n  </formt>\n</match>\n",
        ['3:3: warning: <match a> @type kafka2: section <formt> is not used (did you mean "format"?)'],
        "unknown-section",
    ),
    "a misspelt directive": (
        "<mach a>\n  @type null\n</mach>\n",
        ['1:1: warning: section <mach a> is not used (did you mean "match"?)'],
        "unknown-section",
    ),
    "an unknown label": (
        "<source>\n  @type sample\n  tag a\n  @label @MIAN\n</source>\n"
        f"<label @MAIN>\n{OUT}</label>\n<match b>\n  @type relabel\n  @label @MAIN\n</match>\n",
        ['4:10: error: <source> @type sample: label "@MIAN" is not defined (did you mean "@MAIN"?)'],
        "unknown-label",
    ),
    "no type": (
        "<match a>\n  path /x\n</match>\n",
        ['1:1: error: <match a>: missing "@type" (add: @type NAME)'],
        "missing-type",
    ),
    "a required parameter": (
        "<source>\n  @type tail\n  tag a\n  <parse>\n    @type json\n  </parse>\n</source>\n",
        [
            '1:1: error: <source> @type tail: "path" is required: Files to follow: paths, with wildcards and'
            " strftime's `%Y`, separated by path_delimiter. (add: path …)"
        ],
        "missing-parameter",
    ),
    "a bad regular expression": (
        "<filter a>\n  @type grep\n  <regexp>\n    key k\n    pattern '/a(b/'\n  </regexp>\n</filter>\n",
        [
            '5:18: error: <regexp>: "pattern": invalid regular expression /a(b/: end pattern with unmatched parenthesis'
            " (correct it here)"
        ],
        "invalid-value",
    ),
    "a bad regular expression in quotes, in a parser": (
        "<source>\n  @type tail\n  path /x\n  tag a\n  <parse>\n    @type regexp\n    expression '/^(?<a>b/'\n"
        "  </parse>\n</source>\n",
        [
            "7:25: error: <parse> @type regexp: invalid regular expression /^(?<a>b/: end pattern with unmatched"
            " parenthesis: correct it here"
        ],
        "invalid-parameter",
    ),
    "a parameter of 0.12 beside the section it moved to": (
        "<match a>\n  @type kafka2\n  flush_interval 5s\n  <buffer>\n  </buffer>\n  <format>\n    @type json\n"
        "  </format>\n</match>\n",
        ['3:3: warning: <match a> @type kafka2: parameter "flush_interval" is not used (move it into <buffer>)'],
        "unknown-parameter",
    ),
    "a placeholder that nobody has filled": (
        "<match a>\n  @type kafka_buffered\n  brokers <host>:<port>\n</match>\n",
        [
            "3:11: warning: <match a> @type kafka_buffered: '<host>:<port>' is no address of a broker and is left out:"
            " write host:port"
        ],
        "doubtful-parameter",
    ),
    "a bad pattern": (
        "<match a /b(c/>\n  @type null\n</match>\n",
        ["1:14: error: <match a /b(c/>: invalid regular expression /b(c/: end pattern with unmatched parenthesis"],
        "invalid-pattern",
    ),
    "a plugin of fluentd's": (
        "<match a>\n  @type stream\n</match>\n",
        [
            '2:9: error: <match a>: unknown output plugin "stream" (fluentd has it and logpipe does not yet: `logpipe'
            " plugins` lists what is installed)"
        ],
        "unknown-plugin",
    ),
    "a value that cannot be read, and the rest": (
        '<match a>\n  @type kafka2\n  brokers "#{nope}"\n  brokerz x\n  <format>\n    @type json\n  </format>\n'
        "</match>\n",
        ['4:3: warning: <match a> @type kafka2: parameter "brokerz" is not used (did you mean "brokers"?)'],
        "unknown-parameter",
    ),
    "a source without a position file": (
        SOURCE.format("") + OUT,
        [
            "1:1: warning: <source> @type tail: 'pos_file PATH' parameter is not set to a 'tail' source.",
            "1:1: warning: <source> @type tail: this parameter is highly recommended to save the position to resume"
            " tailing.",
        ],
        "plugin-warning",
    ),
    "two sources on one position file": (
        TAIL + TAIL + OUT,
        [
            "14:12: error: <source> @type tail: pos_file /tmp/a.pos is already used by <source> @type tail at"
            " f.conf:1:1: give each its own"
        ],
        "invalid-parameter",
    ),
    "two outputs on one buffer path": (
        FILE_BUFFER.format("a") + FILE_BUFFER.format("b"),
        [
            "16:3: error: <buffer topic> @type file: file buffer path /tmp/b is already used by <match a> @type kafka2"
            " at f.conf:1:1: give each its own"
        ],
        "invalid-parameter",
    ),
    "a time that is read otherwise": (
        "<match a>\n  @type kafka2\n  <format>\n    @type json\n  </format>\n  <buffer>\n    flush_interval 300ms\n"
        "  </buffer>\n</match>\n",
        ['7:20: warning: <buffer topic>: "flush_interval": "300ms" is read as 5 hours (write 0.3)'],
        "misread-value",
    ),
    "a wrong expression": (
        "<filter a>\n  @type record_transformer\n  enable_ruby true\n  <record>\n    x \"${record['a'].upcas}\"\n"
        "  </record>\n</filter>\n",
        ['5:22: error: <filter a> @type record_transformer: <record> x: unknown method upcas: did you mean "upcase"?'],
        "invalid-parameter",
    ),
}


WORDS = [
    "**", "/(a+)+$/", "/[/", '"#{ENV[1]}"', "#{", "@label @X", "<worker 9-0>", "</worker>", "-1", "1e999", "\0", "“",
    '${record["a"]}', "{", "[", "@type", "@id x", "<buffer time>", "timekey 0", "%", "*", "$", "\\", "9" * 400,
    "<label @ROOT>", "</label>", '"#{use_nil}"', '"#{use_default}"', "<match>", "</match>", "workers 0", "\n",
]  # fmt: skip
WHOLE = TAIL + OUT + "".join(text for text, _, _ in BROKEN.values())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 30), st.sampled_from(WORDS)), max_size=8))
def test_whatever_is_written(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    """Nothing makes check raise anything."""
    text = WHOLE
    for place, length, word in edits:
        text = text[:place] + word + text[place + length :]
    path = tmp_path / "f.conf"
    path.write_text(text)

    for diagnostic in check(Settings(path), env={}, registry=REGISTRY).diagnostics:
        assert render(diagnostic, source=text)


def test_a_secret_in_yaml(tmp_path: Path) -> None:
    """What to write is said in the language of the file."""
    path = tmp_path / "f.yaml"
    path.write_text("config:\n  - match:\n      $tag: a\n      $type: kafka2\n      password: abc\n")
    (hint,) = [each.hint for each in check(Settings(path), env={}).diagnostics if each.code == "plain-secret"]

    assert hint == "write password: !fluent/s \"#{ENV['KAFKA2_PASSWORD']}\" and set that variable"


def said(folder: Path, text: str, code: str) -> list[str]:
    path = folder / "f.conf"
    path.write_text(text)
    found = check(Settings(path), env={}).diagnostics
    lines = (str(diagnostic).replace(str(path), "f.conf") for diagnostic in found if diagnostic.code == code)
    return [line.removeprefix("f.conf:").removesuffix(f" [{code}]") for line in lines]


@pytest.mark.parametrize(("text", "expected", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_broken(tmp_path: Path, text: str, expected: list[str], code: str) -> None:
    """It is found with its place, and what to do is said."""
    assert said(tmp_path, text, code) == expected
