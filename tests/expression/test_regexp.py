"""Ruby's regular expressions, compiled by Python's packages, match what Ruby matches."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from logpipe.errors import ExpressionError
from logpipe.expression import compile_regexp, group_names, split_regexp
from logpipe.expression.runtime.matches import may_explode

MATCHES = [
    # source, flags, text, the match or None
    (r"^b$", "", "a\nb\nc", "b"),
    (r"\Ab", "", "a\nb", None),
    (r"a\Z", "", "a\n", "a"),
    (r"a\z", "", "a\n", None),
    (r"a.b", "", "a\nb", None),
    (r"a.b", "m", "a\nb", "a\nb"),
    (r"ABC", "i", "xabc", "abc"),
    ("a b # c", "x", "ab", "ab"),
    (r"a\ b", "x", "a b", "a b"),
    (r"[a b]+", "x", "a b", "a b"),
    (r"\h+", "", "xyzfff0", "fff0"),
    (r"\H", "", "fg", "g"),
    (r"\w+", "", "été", "t"),
    (r"\d", "", "٣", None),
    (r"[[:alpha:]]+", "", "été1", "été"),
    (r"[[:digit:][:upper:]]+", "", "aB1", "B1"),
    (r"[^[:space:]]+", "", " ab ", "ab"),
    (r"[[:^digit:]]+", "", "12ab", "ab"),
    (r"[^\W_]+", "", "_ab_", "ab"),
    (r"[\W_]+", "", "a-_b", "-_"),
    (r"[a-z&&[^aeiou]]+", "", "aeixyz", "xyz"),
    (r"[a-c[x-z]]+", "", "mazx", "azx"),
    (r"[\d.\-]+", "", "a1.-", "1.-"),
    (r"[]a]+", "", "]a", "]a"),
    (r"[a\]]+", "", "]a", "]a"),
    (r"a{2}+b", "", "aaaab", "aaaab"),
    (r"a++b", "", "aab", "aab"),
    (r"(?>a+)ab", "", "aaab", None),
    (r"a{,2}", "", "aaa", "aa"),
    (r"x{y}", "", "x{y}", "x{y}"),
    (r"{a}", "", "{a}", "{a}"),
    (r"(?i)b(?-i)c", "", "aBc", "Bc"),
    (r"(?i)b(?-i)c", "", "aBC", None),
    (r"a(?i)b|c", "", "aC", "aC"),
    (r"(?i:b)C", "", "BC", "BC"),
    (r"(?m:a.b)", "", "a\nb", "a\nb"),
    (r"(?x: a b )c d", "", "abc d", "abc d"),
    (r"(?<=ab|c)d", "", "abd", "d"),
    (r"(?<!a)b", "", "ab cb", "b"),
    (r"foo\Kbar", "", "foobar", "bar"),
    (r"\p{Upper}+", "", "aÀB", "ÀB"),
    (r"\p{^Alpha}", "", "a1", "1"),
    (r"\R", "", "a\r\nb", "\r\n"),
    (r"(a)(b)\2\1", "", "abba", "abba"),
    (r"(?<n>a)\k<n>", "", "aa", "aa"),
    (r"(a)\k<1>", "", "aa", "aa"),
    (r"(a)(b)\k<-1>", "", "abb", "abb"),
    (r"(?<p>\(\g<p>*\))", "", "x(())", "(())"),
    (r"\u00e9\u{1F600}\x41\101", "", "é😀AA", "é😀AA"),
    (r"\/a\_b\-c\:", "", "/a_b-c:", "/a_b-c:"),
    (r"(?#note)a", "", "a", "a"),
    (r"\e\a\t\n", "", "\x1b\x07\t\n", "\x1b\x07\t\n"),
    (r"[\n\t]+", "", "a\n\tb", "\n\t"),
    (r"a|b|", "", "c", ""),
]


@pytest.mark.parametrize(("source", "flags", "text", "expected"), MATCHES)
def test_matches(source: str, flags: str, text: str, expected: str | None) -> None:
    """The first match is Ruby's."""
    found = compile_regexp(source, flags).search(text)

    assert (None if found is None else found[0]) == expected


RECORDED = [json.loads(line) for line in Path(__file__).with_name("regexp.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("row", [pytest.param(row, id=row["regexp"]) for row in RECORDED])
def test_recorded_matches(row: dict[str, Any]) -> None:
    """The first match, its place and its named groups are those of a real Ruby, which refused what has an error."""
    if "error" in row:
        with pytest.raises(ExpressionError):
            compile_regexp(row["regexp"])
        return
    pattern = compile_regexp(row["regexp"])
    found = pattern.search(row["text"])
    names = group_names(pattern)

    shown = found and [found[0], {name: found[group] for group, name in names.items()}, found.start()]
    assert shown == row["match"]


def test_what_is_stacked_takes_no_longer() -> None:
    """A loop of a loop is one loop where that is the same: Onigmo reduces it too."""
    assert compile_regexp(r"^(?:a**b?*)$").search("a" * 5000 + "c") is None
    assert compile_regexp(r"a+**").pattern == "a*"


def test_calls_that_grow_without_end_are_refused() -> None:
    """Each call doubles the pattern: it is refused with a reason, and at once."""
    calls = "".join(rf"(?<g{number}>\g<g{number - 1}>\g<g{number - 1}>)" for number in range(1, 40))
    with pytest.raises(ExpressionError, match="too long once its calls are written out"):
        compile_regexp(f"(?<g0>a){calls}")


def test_line_start_is_not_behind_the_last_line_break() -> None:
    """Ruby's `^` begins a line, and behind the last line break there is none."""
    assert compile_regexp("^").sub("> ", "a\nb\n") == "> a\n> b\n"


def test_groups_without_names_do_not_capture_beside_named_ones() -> None:
    """With one named group, plain ones only group."""
    pattern = compile_regexp(r"(a)(?<name>b)(c)")

    assert pattern.groups == 1
    assert pattern.groupindex == {"name": 1}


def test_a_group_name_may_come_twice() -> None:
    """Of groups that share a name the one that took part gives the text."""
    pattern = compile_regexp(r"(?<v>\d+)x|y(?<v>\d+)")

    assert pattern.fullmatch("1x")["v"] == "1"  # type: ignore[index]  # it matches
    assert pattern.fullmatch("y2")["v"] == "2"  # type: ignore[index]  # it matches


def test_plain_patterns_are_those_of_re() -> None:
    """Nothing slower is used where Python's own package will do."""
    assert isinstance(compile_regexp(r"^(?<host>[^ ]*) \[(?<time>[^\]]*)\] \"(?<method>\S+)"), re.Pattern)


@pytest.mark.parametrize(
    ("source", "offset"),
    [
        ("a(b", 3),
        ("ab)", 2),
        ("a[b", 1),
        ("*a", 0),
        ("a\\", 1),
        ("a(?~b+)", 6),
        ("a(?z)", 1),
        ("a|*", 2),
        ("(*a)", 1),
        ("(?<1a>x)", 0),
        ("(?<>x)", 0),
        ("[[:nope:]]", 1),
    ],
)
def test_malformed_ones_say_where(source: str, offset: int) -> None:
    """An error names the place in the source and what to do."""
    with pytest.raises(ExpressionError) as caught:
        compile_regexp(source)

    assert caught.value.offset == offset
    assert caught.value.hint


def test_unknown_flags_and_long_sources_are_refused() -> None:
    """The flags are i, m and x; a source has an end."""
    with pytest.raises(ExpressionError, match="unknown flag 'y'"):
        compile_regexp("a", "y")
    with pytest.raises(ExpressionError, match="more than"):
        compile_regexp("a" * 40_000)


@pytest.mark.parametrize(
    ("text", "parts"),
    [("/a/i", ("a", "i")), ("/a\\/b/", (r"a\/b", "")), ("a", ("a", "")), ("", ("", "")), ("/", ("/", ""))],
)
def test_split(text: str, parts: tuple[str, str]) -> None:
    """A configuration's `/source/flags` comes apart at the last slash."""
    assert split_regexp(text) == parts


@pytest.mark.parametrize(
    ("source", "risky"),
    [
        ("(a+)+", True), ("(a|b)*", True), ("(a*){2,}", True), ("((a)b+)*", True), ("(.*?,){11}P", True),
        ("a+b+", False), ("(a)+", False), ("(a+)b", False), ("[(+)]+", False), (r"\(a+\)+", False), ("(a{2})?", False),
    ],
)  # fmt: skip
def test_patterns_that_may_explode_are_found(source: str, risky: bool) -> None:  # noqa: FBT001 - a column of the table
    """A repeated group that repeats or chooses inside gets a time limit."""
    assert may_explode(source) is risky
