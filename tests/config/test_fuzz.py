"""No text makes the parser or the value rules raise anything but what they promise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpipe.config import values
from logpipe.config.compat import convert
from logpipe.config.conversion import Seconds, Size, ambiguity, converter
from logpipe.config.diagnostic import Diagnostic, render
from logpipe.config.element import Element
from logpipe.config.includes import Evaluation, ParseContext
from logpipe.config.parser import Dialect, parse_text
from logpipe.config.yaml_tree import fill_from_yaml

PIECES = [
    "<", ">", "</", "<a>", "</a>", "<a ", "a", "b", " ", "\t", "\n", "\r\n", "\r", "#", "# c\n", '"', "'", "\\", "#{",
    "}", "{", "[", "]", ",", ":", "1", "true", "@type x\n", "@include x\n", "include", "k v\n", "ENV['A']", "use_nil",
    "//", "/*", "*/", "“", "é", "\0", "\ufeff", "\ud800", "<include x/>",
]  # fmt: skip

texts = st.text() | st.lists(st.sampled_from(PIECES)).map("".join)


@given(text=texts, dialect=st.sampled_from(["v1", "v0"]), evaluate=st.booleans())
def test_every_text_gives_a_tree_and_diagnostics(text: str, dialect: Dialect, *, evaluate: bool) -> None:
    said: list[Diagnostic] = []

    root = parse_text(
        text, "f.conf", report=said.append, dialect=dialect, evaluate=evaluate, env={}, follow_includes=False
    )

    assert isinstance(root, Element)
    lines = text.count("\n") + 1
    for problem in said:
        assert 0 <= problem.position.line <= lines
        assert render(problem, source=text).startswith("f.conf")


YAML_PIECES = [
    "config:", "\n", "\n  ", "- ", "source:", "label:", " ", "{", "}", "[", "]", ":", ",", "a", "&x ", "*x", "<<: ",
    "|", "!fluent/s ", "!fluent/json ", "!include x", "'", '"', "#{", "\t", "$tag", "$type: ", "null", "!!int ",
    "? ", "%", "\x85", "\ud800", "\0",
]  # fmt: skip

yaml_texts = st.lists(st.sampled_from(YAML_PIECES)).map("".join)


@given(yaml_texts | yaml_texts.map("config:\n- source:\n    k: ".__add__))
def test_every_yaml_text_gives_a_tree_and_diagnostics(text: str) -> None:
    said: list[Diagnostic] = []
    root = Element("ROOT")

    fill_from_yaml(root, text, "f.yaml", ParseContext(said.append, Evaluation({}, "node-1"), follow_includes=False))

    for problem in said:
        assert render(problem, source=text).startswith("f.yaml")


@given(texts)
def test_every_tree_can_be_converted(text: str) -> None:
    root = parse_text(text, "f.conf", report=[].append, env={}, follow_includes=False)

    for group in ("buffer", "parser", "formatter", "inject", "extract"):
        convert(root, {group}, report=[].append)


@pytest.mark.parametrize(
    "read",
    [
        values.convert_string, values.convert_integer, values.convert_float, values.convert_size, values.convert_time,
        values.convert_bool, values.convert_array, values.convert_hash, values.split_regexp, values.convert_regexp,
    ],
)  # fmt: skip
@given(text=texts)
def test_values_raise_value_errors_only(read: Callable[[str], Any], text: str) -> None:
    with suppress(ValueError):
        read(text)


@pytest.mark.parametrize("hint", [Seconds, Size, int, float, bool, str])
@given(text=texts | st.from_regex(r"[-+]?[0-9.]{1,9}[0-9]{0,500} ?[a-zA-Z]{0,3}", fullmatch=True))
def test_whatever_was_meant(hint: Any, text: str) -> None:
    """A value that could be read can be judged."""
    with suppress(ValueError):
        value = converter(hint)(text)
        if value is not None:
            ambiguity(text, value, hint)


LONG = {
    "blanks in a value": "k a" + " " * 50_000 + "b",
    "blanks in an argument": "<a b" + " " * 50_000 + "c",
    "hashes": "k " + "#{" * 20_000,
    "quotes": "k " + '"a" ' * 20_000,
    "open tags": "<a>\n" * 5_000,
    "end tags": "</a>\n" * 20_000,
    "wrong end tags": "<a>\n" * 20_000 + "</b>\n" * 20_000,
    "crossed tags": "<a>\n<b>\n</a>\n" * 10_000,
    "long names": f"<{'a' * 50_000}>\n</{'ab' * 25_000}>\n",
    "open lists": "k " + "[" * 50_000,
    "list items": "k [" + "1,\n" * 20_000,
    "comments in a list": "k [" + "# c\n" * 20_000,
    "C comments in a list": "k [" + "/*" * 20_000,
    "code in code": "k " + '"#{' * 10_000,
    "empty lines in quotes": 'k "' + "\n" * 50_001 + "x",
    "digits": "k " + "1" * 50_000,
    "backslashes": "k '" + "\\" * 50_000,
}


@pytest.mark.long("texts of a megabyte and more")
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_texts_end(text: str) -> None:
    """Each of these takes hours where a rule is quadratic."""
    for evaluate in (True, False):
        parse_text(text, "f.conf", report=[].append, env={}, evaluate=evaluate)


@pytest.mark.parametrize("read", [values.convert_size, values.convert_time, values.convert_float, values.convert_array])
@pytest.mark.parametrize("char", ["1", " ", ",", "_", "1_"])
def test_long_values_end(read: Callable[[str], Any], char: str) -> None:
    """The same for values."""
    with suppress(ValueError):
        read(char * 200_000 + "x")
