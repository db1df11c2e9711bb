"""A regular expression on lines of strangers, within `timeout` or else within the limit that holds everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from logpipe.expression.time_limit import TimeLimit, TimeLimitExceeded, call_within
from logpipe.parse.options import ParseOptions
from logpipe.plugin import Host

R = TypeVar("R")

_SHORT: Final = 256
"""Characters, on which only what may take exponential time is slow."""


class Timed(Generic[R]):
    """Applies a function to lines; one that takes too long is not matched, with a warning, as in fluentd.

    Args:
        function: what an expression does with a line.
        options: those of the parser.
        host: gets the warnings.
        quick: the same function for one line, within the limit that holds everywhere; where there is none, short lines
            have no limit.
    """

    def __init__(
        self,
        function: Callable[[str], R | None],
        options: ParseOptions,
        host: Host,
        *,
        quick: Callable[[str], R | None] | None = None,
    ) -> None:
        self._function = function
        self._one = quick or (lambda line: function(line) if len(line) <= _SHORT else call_within(function, line))
        self._limit = TimeLimit()
        if options.timeout:
            seconds = float(options.timeout)
            self._one = lambda line: call_within(function, line, seconds=seconds)
            self._limit = TimeLimit(seconds, seconds)
        self._host = host
        self.given_up = 0
        """How many lines took too long."""

    def one(self, line: str) -> R | None:
        """Return the function's result for one line."""
        try:
            return self._one(line)
        except TimeLimitExceeded as error:
            self._give_up(line, error)
            return None

    def many(self, lines: list[str]) -> list[R | None]:
        """Return the function's result for each line."""
        return self._limit.map(self._function, lines, instead=lambda place, error: self._give_up(lines[place], error))

    def _give_up(self, line: str, error: TimeLimitExceeded) -> None:
        self.given_up += 1
        self._host.log.warning("parsing timed out, the line is not matched: %s: %r", error, line[:200])
