"""Follows stack traces line by line: fluent-plugin-detect-exceptions 0.0.16, exception_detector.rb."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from logpipe.ruby import Pattern, TimeLimit, limited_search
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
        self.by_state = {
            state: [(limited_search(pattern), after) for pattern, after in row] for state, row in rules.items()
        }
        self._limit = TimeLimit()

    def may_begin(self, texts: list[str]) -> list[bool]:
        """Return for each text whether a trace may begin with it; not with one that takes too long to tell."""
        return self._limit.map(self._begins, texts, instead=lambda _place, _error: False)

    def _begins(self, text: str) -> bool:
        return any(pattern.search(text) is not None for pattern in self._beginnings)


class Detector:
    """Where one stream stands."""

    __slots__ = ("_rules", "state")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.state = OUTSIDE

    def update(self, text: str, *, may_begin: bool) -> Found:
        """Take in the next line; `may_begin` is what the rules have said of it.

        Raises:
            TimeLimitExceeded: it takes too long to tell.
        """
        was_inside = self.state != OUTSIDE and self._step(text)
        if not was_inside:
            self.state = OUTSIDE
            if not may_begin or not self._step(text):
                return Found.NOTHING
            return Found.BEGINS
        return Found.GOES_ON if self.state != OUTSIDE else Found.ENDS

    def _step(self, text: str) -> bool:
        """Go to the next state; returns whether there is one."""
        for search, after in self._rules.by_state[self.state]:
            if search(text) is not None:
                self.state = after
                return True
        return False
