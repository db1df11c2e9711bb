"""Regexp and MatchData as values of an expression, and the last match, for `$~` and `$1`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.regexp.pattern import compile_regexp, group_names, python_group
from logpipe.expression.runtime.failures import BudgetExceeded, RubyError

_SECONDS: Final = 0.5
"""Seconds for one search with a pattern that may take exponential time."""


class Regexp:
    """A compiled `/source/flags`.

    Patterns that may take exponential time are run by `regex`, which has a time limit; so are patterns that are
    compiled per record, since their text may come from the record.
    """

    __slots__ = ("finditer", "flags", "names", "pattern", "search", "source")

    def __init__(self, source: str, flags: str = "", *, trusted: bool = True) -> None:
        self.source = source
        self.flags = "".join(flag for flag in "mix" if flag in flags)
        pattern = compile_regexp(source, self.flags)
        self.search: Callable[..., re.Match[str] | None]
        self.finditer: Callable[..., Any]
        if trusted and not may_explode(pattern.pattern):
            self.pattern = pattern
            self.search = pattern.search
            self.finditer = pattern.finditer
        else:
            self.pattern = limited = _limited(pattern)
            self.search = lambda text, position=0: _guarded(lambda: limited.search(text, position, timeout=_SECONDS))
            self.finditer = lambda text, position=0: _guarded(
                lambda: list(limited.finditer(text, position, timeout=_SECONDS))
            )
        if prefers_empty(self.pattern.pattern):
            self.finditer = self._one_after_another
        self.names: tuple[str, ...] = tuple(group_names(self.pattern).values())

    def _one_after_another(self, text: str, position: int = 0) -> Iterator[re.Match[str]]:
        """Yield the matches as by Ruby: after an empty one the search continues at the next character."""
        while position <= len(text):
            found = self.search(text, position)
            if found is None:
                return
            yield found
            position = found.end() + (found.start() == found.end())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regexp) and (self.source, self.flags) == (other.source, other.flags)

    def __hash__(self) -> int:
        return hash((self.source, self.flags))


def _guarded(search: Callable[[], Any]) -> Any:
    try:
        return search()
    except TimeoutError:
        raise BudgetExceeded(f"a regular expression took more than {_SECONDS} s on one event; simplify it") from None


def _limited(pattern: Any) -> Any:
    import regex  # noqa: PLC0415 - only expressions that need a time limit pay for it

    if type(pattern) is not re.Pattern:
        return pattern
    flags = regex.VERSION0 | regex.MULTILINE
    flags |= regex.IGNORECASE if pattern.flags & re.IGNORECASE else 0
    flags |= regex.DOTALL if pattern.flags & re.DOTALL else 0
    return regex.compile(pattern.pattern, flags)


_EMPTY_FIRST: Final = re.compile(r"[*?}]\?|\(\||\|\||\|\)|:\||>\||^\||\|$")


def prefers_empty(text: str) -> bool:
    """Return whether a pattern may match empty text where it could match more: `a*?`, `(|a)`.

    After such a match Python searches the same place again, and Ruby does not.
    """
    return _EMPTY_FIRST.search(text) is not None


_REPEAT: Final = re.compile(r"(?:[*+]|\{\d+(?:,\d*)?\}|\{,\d+\})(?!\+)")


def may_explode(text: str) -> bool:
    """Return whether a pattern repeats a repetition or an alternation: `(a+)+`, `(a|b)*`.

    It may be true for harmless patterns, which then only run in the slower matcher.
    """
    depth: list[bool] = []
    position = 0
    in_class = False
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 2
            continue
        if in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            position += text.startswith("^]", position + 1) * 2 or text.startswith("]", position + 1) * 1
        elif char == "(":
            depth.append(False)
        elif char == ")" and depth:
            inner = depth.pop()
            repeated = _REPEAT.match(text, position + 1) is not None
            if inner and repeated:
                return True
            if depth:
                depth[-1] = depth[-1] or inner or repeated
        elif depth and (char in "*+|" or (char == "{" and _REPEAT.match(text, position))):
            depth[-1] = True
        position += 1
    return False


@lru_cache(maxsize=256)
def dynamic_regexp(source: str, flags: str = "") -> Regexp:
    """Return the Regexp of a text that is computed per record.

    Raises:
        RubyError: the text is not a regular expression (RegexpError).
    """
    try:
        return Regexp(source, flags, trusted=False)
    except ExpressionError as error:
        raise RubyError("RegexpError", str(error)) from None


class MatchData:
    """One match; groups by number and name."""

    __slots__ = ("match", "regexp")

    def __init__(self, match: re.Match[str], regexp: Regexp) -> None:
        self.match = match
        self.regexp = regexp


class LastMatch:
    """The value of `$~`. Expressions run one at a time, so there is one."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data: MatchData | None = None

    def note(self, match: re.Match[str] | None, regexp: Regexp) -> MatchData | None:
        """Store a search's result and return it."""
        self.data = None if match is None else MatchData(match, regexp)
        return self.data

    def group(self, key: int | str) -> str | None:
        """Return a group of the last match, None where there was no match or no such group."""
        data = self.data
        if data is None:
            return None
        try:
            group: str | None = data.match[python_group(key) if isinstance(key, str) else key]
        except IndexError:
            return None
        return group


LAST_MATCH: Final = LastMatch()
