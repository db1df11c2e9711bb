"""Follows stack traces line by line: fluent-plugin-detect-exceptions 0.0.16, exception_detector.rb."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from logpipe.ruby import Pattern, TimeLimit, TimeLimitExceeded, limited_search
from logpipe_community.detect_exceptions.traces import OUTSIDE, rules_of


class Found(enum.Enum):
    """What a line is to the trace that may be going on."""

    NOTHING = enum.auto()
    BEGINS = enum.auto()
    GOES_ON = enum.auto()
    ENDS = enum.auto()


class Rules:
    """The patterns of some languages; strangers' lines are tried within a time limit.

    Args:
        languages: their names, in lower case; all where there are none.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        rules = rules_of(tuple(languages))
        self._beginnings: list[Pattern] = [pattern for pattern, _ in rules[OUTSIDE]]
        self._by_state = {
            state: [(limited_search(pattern), after) for pattern, after in row] for state, row in rules.items()
        }
        self._limit = TimeLimit()

    def may_begin(self, texts: list[str]) -> list[bool]:
        """Return for each text whether a trace may begin with it; not with one that takes too long to tell."""
        return self._limit.map(self._begins, texts, instead=lambda _place, _error: False)

    def follow(self, state: str, text: str, *, may_begin: bool) -> tuple[str, Found]:
        """Return the state after a line, and what the line is; one that takes too long to tell is nothing.

        Args:
            state: that of the trace which is open, or `OUTSIDE`.
            text: the line.
            may_begin: what was said of it.
        """
        try:
            if state != OUTSIDE and (after := self._step(state, text)) is not None:
                return after, Found.ENDS if after == OUTSIDE else Found.GOES_ON
            after = self._step(OUTSIDE, text) if may_begin else None
        except TimeLimitExceeded:
            after = None
        return (OUTSIDE, Found.NOTHING) if after is None else (after, Found.BEGINS)

    def _step(self, state: str, text: str) -> str | None:
        """Return the state that a line leads to; None where it leads to none."""
        return next((after for search, after in self._by_state[state] if search(text) is not None), None)

    def _begins(self, text: str) -> bool:
        return any(pattern.search(text) is not None for pattern in self._beginnings)
