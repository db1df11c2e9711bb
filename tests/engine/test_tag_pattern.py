"""Tag patterns without any sign are compared as text; they must match what a regular expression would."""

from __future__ import annotations

import pytest

from logpipe.tag_pattern import compile_pattern

TAGS = ("", "a", "a.", "a..", ".a", "a.b", "aXb", "ab", "b", "a\n", "a\n\n", "\na", "a.b\n")


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("a", {"a", "a\n"}),
        ("a.", {"a", "a\n"}),
        ("a..", {"a."}),
        (".a", {".a"}),
        ("a.b", {"a.b", "a.b\n"}),
        ("b  a.b", {"b", "a.b", "a.b\n"}),
        (".", {""}),
    ],
)
def test_plain(pattern: str, matched: set[str]) -> None:
    """A trailing dot does not count, and one newline behind a tag is let pass, as in match.rb."""
    assert {tag for tag in TAGS if compile_pattern(pattern)(tag)} == matched
    as_expression = f"{pattern} {{nothing,else}}"
    assert {tag for tag in TAGS if compile_pattern(as_expression)(tag)} == matched
