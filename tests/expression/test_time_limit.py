"""Searches that take too long are stopped, wherever `re` stands, and cost the others nothing."""

from __future__ import annotations

import re
import signal
import threading

import pytest

from logpipe.expression.time_limit import TimeLimit, TimeLimitExceeded, call_within, limited_search

NESTED = re.compile(r"(a+)+$")
HOPELESS = "a" * 40 + "b"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (NESTED, HOPELESS),
        (re.compile(r"^(.*?),(.*?),(.*?),(.*?),x$"), "," * 4000),
        (re.compile(r"\s+$"), " " * 500_000 + "x"),
    ],
    ids=["exponential", "a power", "the square of a long line"],
)
def test_a_search_is_stopped(pattern: re.Pattern[str], text: str) -> None:
    """Exponential or only a high power of the line's length, no pattern goes on for ever."""
    with pytest.raises(TimeLimitExceeded, match=r"^a regular expression took more than 0\.05 s on one event"):
        call_within(pattern.search, text, seconds=0.05)


def test_the_rest_of_the_items_go_on() -> None:
    """One item in many costs only itself."""
    found = TimeLimit(0.05).map(NESTED.search, ["aa", HOPELESS, "ba"], instead=lambda place, _: place)

    assert [match if isinstance(match, int) else match and match[0] for match in found] == ["aa", 1, "a"]


def test_many_bad_items_get_less_time() -> None:
    """A flood of them does not take a long time each."""
    said: list[str] = []
    TimeLimit(0.08).map(NESTED.search, [HOPELESS] * 5, instead=lambda _, error: said.append(str(error)))

    assert [text.split()[6] for text in said] == ["0.08", "0.04", "0.02", "0.01", "0.01"]


def test_other_errors_pass() -> None:
    """What the function raises itself is its caller's."""
    with pytest.raises(ZeroDivisionError):
        TimeLimit().map(lambda number: 1 // number, [1, 0], instead=lambda _, __: 0)


def test_no_timer_is_left() -> None:
    """Whatever comes after a search is not interrupted."""
    call_within(NESTED.search, "a", seconds=60)
    with pytest.raises(TimeLimitExceeded):
        call_within(NESTED.search, HOPELESS, seconds=0.01)

    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_one_inside_another() -> None:
    """The outer limit holds for both."""
    with pytest.raises(TimeLimitExceeded, match=r"0\.05 s"):
        call_within(lambda text: call_within(NESTED.search, text, seconds=60), HOPELESS, seconds=0.05)


def test_other_threads_have_no_limit() -> None:
    """A signal reaches the main thread alone, so nothing is promised elsewhere, and nothing breaks."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(call_within(NESTED.search, "ba", seconds=1e-6)))
    thread.start()
    thread.join()

    assert [type(each) for each in found] == [re.Match]


@pytest.mark.parametrize(
    ("pattern", "text"), [(NESTED, HOPELESS), (re.compile(r"^(.*?),(.*?),(.*?),(.*?),x$"), "," * 4000)]
)
def test_a_search_of_one_text(pattern: re.Pattern[str], text: str) -> None:
    """Where a pattern may take exponential time, or the text is long, there is a limit."""
    search = limited_search(pattern)

    assert search("a,a,a,a,x") or search("aa")
    with pytest.raises(TimeLimitExceeded):
        search(text)


def test_a_search_of_a_short_text() -> None:
    """It finds what the pattern finds, with a limit or without."""
    search = limited_search(re.compile("b+"))

    assert [found and found[0] for found in map(search, ["abb", "a", "a" * 1000 + "b"])] == ["bb", None, "b"]
