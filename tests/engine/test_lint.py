"""Warnings about routes, each with its exact text."""

from __future__ import annotations

import pytest

from logpipe.engine.lint import covers, lint_routes
from logpipe.testing import parse

OWN = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


def lints(text: str) -> list[str]:
    found: list[str] = []
    lint_routes(parse(text).elements, lambda diagnostic: found.append(str(diagnostic)))
    return found


def test_a_match_that_an_earlier_one_leaves_nothing_for() -> None:
    """The line of the one that takes all is named."""
    text = "<match app.**>\n@type null\n</match>\n<match app.web>\n@type stdout\n</match>\n"
    assert lints(text + OWN) == [
        "test.conf:4:1: warning: <match app.web> @type stdout: no event gets here: <match app.**> in line 1 takes "
        "them all (move it before line 1) [shadowed-match]"
    ]


def test_a_filter_behind_the_match_it_was_meant_for() -> None:
    """Filters run before the match only if they stand before it."""
    text = "<match **>\n@type null\n</match>\n<filter app.**>\n@type stdout\n</filter>\n"
    assert lints(text + OWN) == [
        "test.conf:4:1: warning: <filter app.**> @type stdout: this filter never runs: <match **> in line 1 comes "
        "first (move it before line 1) [late-filter]"
    ]


def test_a_label_that_nothing_sends_to() -> None:
    """Labels of logpipe's own need no sender."""
    text = "<label @A>\n<match **>\n@type null\n</match>\n</label>\n"
    text += "<label @ERROR>\n<match **>\n@type null\n</match>\n</label>\n"
    assert lints(text + OWN) == [
        "test.conf:1:1: warning: <label @A>: no event gets here: no @label names it (add: @label @A to a <source>) "
        "[unreached-label]"
    ]


def test_a_match_that_takes_our_own_log() -> None:
    """Only where there is no label for it."""
    text = "<match **>\n@type stdout\n</match>\n"
    assert lints(text) == [
        "test.conf:1:1: warning: <match **> @type stdout: it takes logpipe's own log events (fluent.*) too (define "
        "<label @FLUENT_LOG> to keep them apart) [own-log-events]"
    ]
    assert lints(text + OWN) == []


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("**", "a", True),
        ("a.**", "a", True),
        ("a.**", "a.b.*", True),
        ("a.**", "ab", False),
        ("a.*", "a.b", False),
        ("a b.**", "b.c a", True),
        ("a", "", False),
        ("/a/", "a", False),
        ("{a,b}.**", "a.b", False),
    ],
)
def test_covers(earlier: str, later: str, expected: bool) -> None:  # noqa: FBT001 - a table of cases
    """It says yes only where it is sure."""
    assert covers(earlier, later) is expected
