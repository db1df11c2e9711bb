"""The td-agent.conf language, dialect v1: catalogue of what a line means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe.config.element import USE_DEFAULT

VALUES = {
    "a comment needs a blank before it": ("k value # c", "value"),
    "and no blank after it": ("k value #c", "value"),
    "a hash inside a word stays": ("k value#x", "value#x"),
    "a value that begins with a hash stays": ("k # x y", "# x y"),
    "inner blanks stay, trailing ones go": ("k a b  c   ", "a b  c"),
    "a tab separates": ("k\tv", "v"),
    "a regexp is cut at a blank and a hash": ("k /a #b/", "/a"),
    "an escaped hash is no comment": (r"k /a\#b/", r"/a\#b/"),
    "bare text has no escapes": (r"k \d+\s", r"\d+\s"),
    "bare text is never code": ("k foo#{1+1}bar", "foo#{1+1}bar"),
    "quotes inside bare text stay": ("k a\"b 'c'", "a\"b 'c'"),
    "double quotes keep a hash": ('k "a # b" # c', "a # b"),
    "a comment may touch the closing quote": ('k "a"#c', "a"),
    "letters after a backslash": (r'k "\t\n\r\f\b\0"', "\t\n\r\f\b\0"),
    "symbols after a backslash stand for themselves": (r'k "\" \\ \/ \. \é"', '" \\ / . é'),
    "a line break in double quotes": ('k "line1\nline2"', "line1\nline2"),
    "a backslash joins lines": ('k "line1 \\\nline2"', "line1 line2"),
    "two empty lines are read in pairs": ('k "a\n\n\nb"', "a\n\n\nb"),
    "single quotes know two escapes": (r"k 'a #{1} \' \\ \n'", r"a #{1} ' \ \n"),
    "empty quotes": ("k ''", ""),
    "nothing": ("k", ""),
    "blanks only": ("k   ", ""),
    "CR LF": ("k v\r\n", "v"),
    "text outside ASCII": ("k 日本語 # コメント", "日本語"),
    "the last one counts": ("k 1\nk 2", "2"),
}


@pytest.mark.parametrize(("text", "value"), VALUES.values(), ids=VALUES)
def test_value(load: Any, text: str, value: str) -> None:
    loaded = load(text)

    assert loaded.errors == []
    assert loaded.params == {"k": value}


JSON = {
    "is written back compactly": ('k {"a" : [1, 2.50 , true, null]}', '{"a":[1,2.5,true,null]}'),
    "goes over lines": ('k [ "a",\n "b"\n ] # c', '["a","b"]'),
    "may have comments between its elements": ('k [ # one\n "a", # two\n "b" # three\n # four\n ]', '["a","b"]'),
    "keeps a hash in its texts": ('k {"a":"#fff", "b":"#{}"}', '{"a":"#fff","b":"#{}"}'),
    "runs code in its texts": ('k {"a":"x#{1 + 1}"}', '{"a":"x2"}'),
    "takes code for a value": ('k {"a": #{1 + 1}}', '{"a":2}'),
    "escapes what code gives no further": ("k [\"#{'\\\\u00e9'}\"]", '["é"]'),
    "keeps the last of two values": ('k {"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
    "may have C comments": ("k [1, /* two */ 3] ", "[1,3]"),
    "is empty": ("k {}", "{}"),
    "drops the backslash of an escape that is none": (r'k ["\d+"]', '["d+"]'),
    "replaces half a surrogate pair": (r'k ["\ud800"]', '["\N{REPLACEMENT CHARACTER}"]'),
}


@pytest.mark.parametrize(("text", "value"), JSON.values(), ids=JSON)
def test_json_value(load: Any, text: str, value: str) -> None:
    loaded = load(text)

    assert loaded.errors == []
    assert loaded.params == {"k": value}


def test_backslash_lost_in_json_is_said(load: Any) -> None:
    """An escape that JSON does not know loses its backslash, in fluentd silently."""
    assert load(r'k ["\d+"]').warnings == [
        r"f.conf:1:5: warning: \d is no escape in JSON: the backslash is lost (write \\d) [lost-backslash]"
    ]


@pytest.mark.parametrize("key", ["a.b-c/d", "${x}", "k#x", "1"])
def test_a_name_is_any_run_without_blanks(load: Any, key: str) -> None:
    assert load(f"{key} v").params == {key: "v"}


def test_a_name_may_be_quoted(load: Any) -> None:
    assert load("\"q k\" v\n'x y' w").params == {"q k": "v", "x y": "w"}


def test_sections(load: Any) -> None:
    """Sections nest, have an argument or none, and their tags may be followed by comments."""
    root = load("<a  x y > # c\n k v\n <b>\n </b>\n <b 'q>'>\n </b>#c\n</a>").root

    (a,) = root.elements
    assert (a.name, a.arg, a.get("k")) == ("a", "x y", "v")
    assert [(b.name, b.arg) for b in a.elements] == [("b", ""), ("b", "q>")]


@pytest.mark.parametrize(
    ("tag", "arg"),
    [
        ("<a b # c>", "b # c"),
        ("<a\n  b\n>", "b"),
        ('<a "x #{1 + 1}">', "x 2"),
        ("<a x#{1}>", "x#{1}"),
        ("<a{b,c}.**>", "{b,c}.**"),
        ('<a "#{use_nil}">', ""),
    ],
)
def test_argument(load: Any, tag: str, arg: str) -> None:
    (element,) = load(f"{tag}\n</a>").root.elements

    assert (element.name, element.arg) == ("a", arg)


EMBEDDED: dict[str, Any] = {
    "\"#{ENV['X']}:#{ENV['Y'] || 'y'}\"": "x:y",
    "\"#{ENV['Y'] || nil}\"": "",
    '"#{hostname}/#{worker_id}"': "node-1/0",
    '"a#{use_nil}"': None,
    '"a#{use_default}"': USE_DEFAULT,
    '"#{use_default}#{use_nil}"': None,
    '"#{"}"}#{ENV["X"] + "{"}"': "}x{",
}


@pytest.mark.parametrize(("text", "value"), EMBEDDED.items())
def test_embedded_code(load: Any, text: str, value: object) -> None:
    assert load(f"k {text}", env={"X": "x"}, worker_id="0").params == {"k": value}


def test_code_stays_where_evaluation_is_off(load: Any) -> None:
    loaded = load('k "#{ENV[\'X\']}"\nj {"a":"#{b "c"}"}', evaluate=False)

    assert loaded.params == {"k": "#{ENV['X']}", "j": '{"a":"#{b \\"c\\"}"}'}


def test_places(load: Any) -> None:
    """Names, values, tags and arguments know where they stand."""
    root = load('# c\n<match  a.**>\n  path   "x"\n  flag\n</match>').root

    (match,) = root.elements
    path, flag = match.params.values()
    assert [(place.line, place.column) for place in (match.position, match.arg_position)] == [(2, 1), (2, 9)]
    assert [(place.line, place.column) for place in (path.position, path.value_position)] == [(3, 3), (3, 10)]
    assert str(flag.position) == "f.conf:4:3"


def test_reserved_names(load: Any) -> None:
    """An unknown @name is refused at the root and in a directive, and a warning deeper, as in fluentd."""
    text = "<source>\n@a x\n<parse>\n@b x\n</parse>\n</source>\n@c x\n@d\n"

    loaded = load(text)

    assert [problem.split(":")[1] for problem in loaded.errors] == ["2", "7"]
    assert [problem.split(":")[1] for problem in loaded.warnings] == ["4"]


def test_a_byte_order_mark_is_ignored_with_a_warning(load: Any) -> None:
    loaded = load("\ufeffk v")

    assert loaded.params == {"k": "v"}
    assert loaded.warnings[0].endswith("[byte-order-mark]")


V0 = {
    "a hash cuts anywhere": ('k "a#b"', '"a'),
    "nothing is quoted": ("k 'a' \\n", "'a' \\n"),
    "a name ends where its letters end": ("k.x y", ".x y"),
    "JSON is text": ("k {a:1}  # c", "{a:1}"),
}


@pytest.mark.parametrize(("text", "value"), V0.values(), ids=V0)
def test_dialect_v0(load: Any, text: str, value: str) -> None:
    assert load(text, dialect="v0").params == {"k": value}


def test_dialect_v0_ends_sections_with_the_file(load: Any) -> None:
    root = load("<a x>\nk v\n<b y>\nl w\n", dialect="v0").root

    (a,) = root.elements
    assert (a.arg, a.get("k"), a.elements[0].arg, a.elements[0].get("l")) == ("x", "v", "y", "w")


def test_dialect_v0_refuses_names_with_at(load: Any) -> None:
    assert load("@type x", dialect="v0").errors == [
        "f.conf:1:1: error: unexpected @type x"
        " (names in dialect v0 have letters, digits and _ only; most files are v1)"
        " [syntax-error]"
    ]


@pytest.mark.parametrize(
    ("text", "char", "expected"),
    [
        ("k  ab#x", "x", (1, 7)),
        ('k "abx"', "x", (1, 6)),
        ("k 'abx'", "x", (1, 6)),
        (r"k 'a\'b\'x'", "x", (1, 10)),
        (r'k "a\nx"', "x", (1, 7)),
        ('k "a#{1 + 1}x"', "x", (1, 13)),
        ('k "a#{1 + 1}x"', "2", (1, 5)),
        ('k "ab\n  cx"', "x", (2, 4)),
        ('k "ab\\\n  cx"', "x", (2, 4)),
        ('k ["a", "x"]', "x", (1, 3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_places_in_values(load: Any, text: str, char: str, expected: tuple[int, int]) -> None:
    """A character of a value is found where it was written, behind quotes, escapes and line breaks."""
    param = load(text + "\n").root.params["k"]

    place = param.place(param.value.index(char))
    assert (place.line, place.column) == expected


def test_a_file_that_code_reads_is_named(load: Any, tmp_path: Path) -> None:
    """Whoever reads the configuration should know what else it depends on."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")

    loaded = load(f"k \"a#{{File.open('{secret}').read.strip}}\"\n")

    assert loaded.params == {"k": "as3cret"}
    assert loaded.warnings == [
        f"f.conf:1:5: warning: the value is read from the file {secret}, once, when logpipe starts [reads-file]"
    ]
