"""Hyphens in Ruby's character classes."""

from __future__ import annotations

import pytest

from logpipe.expression.regexp.pattern import compile_regexp


@pytest.mark.parametrize(
    ("source", "matching", "other"),
    [
        (r"\A[\w-\.]+\z", "a-.b", "a,b"),
        (r"\A[a-\d]+\z", "a-7", "b"),
        (r"\A[[:alpha:]-.]+\z", "é-.", ","),
        (r"\A[a-c]+\z", "abc", "a-c"),
        (r"\A[--\/]+\z", "-./", "a"),
    ],
)
def test_a_hyphen_beside_a_class_is_itself(source: str, matching: str, other: str) -> None:
    """Ruby warns and takes it as it stands; between two characters it makes a range."""
    pattern = compile_regexp(source)
    assert pattern.match(matching)
    assert not pattern.match(other)
