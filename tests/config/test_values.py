"""Fluentd's reading of a parameter's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from logpipe.config import values

INTEGERS = [
    ("12abc", 12),
    (" -3", -3),
    ("1_000", 1000),
    ("1__0", 1),
    ("1.9", 1),
    ("0x1f", 0),
    ("abc", 0),
    ("+5", 5),
    ("\N{FULLWIDTH DIGIT ONE}", 0),
]
FLOATS = [
    ("1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("1e3", 1000.0),
    ("1.e3", 1000.0),
    ("-1_000.5x", -1000.5),
    ("NaN", 0.0),
    ("e3", 0.0),
    ("+", 0.0),
]
SIZES = [
    ("8m", 8 << 20),
    ("10KB", 10240),
    ("1.5k", 5120),
    ("1m2k", 2048),
    ("2G", 2 << 30),
    ("1t", 1 << 40),
    ("10 m", 10),
    ("abc", 0),
]
TIMES = [
    ("30", 30.0),
    ("1.5", 1.5),
    ("10m", 600.0),
    ("1m30s", 30.0),
    ("1.5m", 300.0),
    ("10ms", 600.0),
    ("1d12h", 43200.0),
    ("10S", 10.0),
    ("", 0.0),
]
BOOLS = [
    ("true", True),
    ("yes", True),
    ("", True),
    ("#yes", True),
    ("false", False),
    ("no", False),
    ("on", None),
    ("1", None),
    ("TRUE", None),
]
ARRAYS: list[tuple[str, list[Any]]] = [
    ("a, b , c", ["a", "b", "c"]),
    (",a,,b,,", ["", "a", "", "b"]),
    ("", []),
    (" ", []),
    ('["a",1]', ["a", 1]),
]
HASHES: list[tuple[str, dict[str, Any]]] = [
    ("a:1, b:c:d", {"a": "1", "b": "c:d"}),
    ("a", {"a": None}),
    ("", {}),
    ('{"a":[1]}', {"a": [1]}),
]
REGEXPS = [
    ("/a/im", ("a", "im")),
    ("/a/mi", ("a", "im")),
    ("/a/x", ("a", "")),
    ("a/b", ("a/b", "")),
    ("/a", ("", "")),
    ("/", ("", "")),
    ("//", ("", "")),
]


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        *((values.convert_integer, *pair) for pair in INTEGERS),
        *((values.convert_float, *pair) for pair in FLOATS),
        *((values.convert_size, *pair) for pair in SIZES),
        *((values.convert_time, *pair) for pair in TIMES),
        *((values.convert_bool, *pair) for pair in BOOLS),
        *((values.convert_array, *pair) for pair in ARRAYS),
        *((values.convert_hash, *pair) for pair in HASHES),
        *((values.split_regexp, *pair) for pair in REGEXPS),
    ],
)
def test_reading(convert: Callable[[str], Any], text: str, value: Any) -> None:
    assert convert(text) == value


REFUSED = [
    (values.convert_array, '["a"', "this is not JSON: expecting ',' delimiter at line 1, column 5"),
    (values.convert_hash, '{"a":NaN}', "this is not JSON: NaN is no JSON number"),
    (values.convert_hash, "a:1,,b:2", '"a:1,,b:2" has an empty pair: write key:value,key:value without stray commas'),
    (values.split_regexp, "/a/xyz", 'the regular expression "/a/xyz" has no closing /: end it with /, /i or /m'),
    (values.convert_array, "[" * 200 + "]" * 200, "this JSON nests deeper than 100 levels: flatten it"),
    (values.convert_array, "[" * 99_999, "this JSON nests deeper than 100 levels: flatten it"),
    (values.convert_integer, "1" * 5000, f'"{"1" * 57}…" has too many digits'),
    (values.convert_time, "1e999", '"1e999" is too long a time: write a number of seconds, or 30s, 5m, 2h, 1d'),
]


@pytest.mark.parametrize(("convert", "text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refusal(convert: Callable[[str], Any], text: str, message: str) -> None:
    with pytest.raises(ValueError) as problem:  # noqa: PT011 - the message is compared whole
        convert(text)

    assert str(problem.value) == message


def test_choices() -> None:
    assert values.convert_enum("a", choices=("a", "b")) == "a"
    with pytest.raises(ValueError, match=r'^"c" is not one of the choices: write one of a, b$'):
        values.convert_enum("c", choices=("a", "b"))


STRICT = [(values.convert_integer, "0x1f", 31), (values.convert_integer, "017", 15), (values.convert_float, "1.5", 1.5)]


@pytest.mark.parametrize(("convert", "text", "value"), STRICT)
def test_strict_reading(convert: Callable[..., Any], text: str, value: Any) -> None:
    """`strict_config_value` reads numbers as Ruby's Integer() and Float() do."""
    assert convert(text, strict=True) == value


@pytest.mark.parametrize(
    ("convert", "text", "message"),
    [
        (values.convert_integer, "12abc", '"12abc" is not an integer: write digits only'),
        (values.convert_integer, "08", '"08" is not an integer: write digits only'),
        (values.convert_size, "big", '"big" is not an integer: write digits only'),
        (values.convert_float, "1.5x", '"1.5x" is not a number: write digits, with a point if need be'),
        (values.convert_time, "soon", '"soon" is not a number: write digits, with a point if need be'),
        (values.convert_bool, "on", '"on" is neither true nor false: write true or false'),
    ],
)
def test_strict_refusal(convert: Callable[..., Any], text: str, message: str) -> None:
    with pytest.raises(ValueError) as problem:  # noqa: PT011 - the message is compared whole
        convert(text, strict=True)

    assert str(problem.value) == message


def test_regular_expressions_are_rubys() -> None:
    assert values.convert_regexp(r"/^\h+$/i").search("x\nAF") is not None


def test_a_wrong_regular_expression_has_a_place() -> None:
    """The offset counts in the parameter's text, the slash included."""
    with pytest.raises(values.InvalidRegexpError) as problem:
        values.convert_regexp("/ab(/")

    assert 1 <= problem.value.offset <= 4


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (1e20, "1.0e+20"),
        (True, "true"),
        (None, ""),
        ([1, "a", None], '[1, "a", nil]'),
        ({"a": 1}, '{"a"=>1}'),
    ],
)
def test_text_of_json_items(item: Any, text: str) -> None:
    """What stands in a JSON value is read by its item's rule from Ruby's text of it."""
    assert values.text_of(item) == text
