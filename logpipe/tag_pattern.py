"""Tags that stages make; tag patterns: the ARG of `<match ARG>` and `<filter ARG>`.

Semantics: fluentd's match.rb, whose odd corners (a trailing dot is ignored, `a**` matches `ab`) configurations rely on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from logpipe.errors import ExpressionError, LogpipeError
from logpipe.expression.regexp.pattern import compile_regexp
from logpipe.expression.time_limit import call_within

ANYTHING: Final = "**"
LONGEST_TAG: Final = 4096
"""Characters of a tag that a stage makes: routes are cached by tag, and the content of log lines may decide it."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN: Final = re.compile(r"([\w.-]+?)(\.\*\*)?", re.ASCII)
"""A pattern without any sign, or with `.**` at its end as the only one."""


class InvalidPatternError(ValueError):
    """A pattern is none; `offset` is the place in the argument."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def compile_pattern(argument: str) -> Callable[[str], bool]:
    """Return a function that tells whether a tag matches `argument`: patterns divided by blanks, any of which may.

    An empty argument matches every tag. Where a `/regular expression/` takes too long, the function raises
    TimeLimitExceeded.

    Raises:
        InvalidPatternError: a `/regular expression/` is not closed or not valid.
    """
    patterns = argument.split() or [ANYTHING]
    if ANYTHING in patterns:
        return lambda _tag: True
    if all(plain := [_PLAIN.fullmatch(pattern) for pattern in patterns]):
        return _compile_plain(argument, [(found[1], found[2] is not None) for found in plain if found])
    return _compile(argument, patterns)


def _compile_plain(argument: str, patterns: list[tuple[str, bool]]) -> Callable[[str], bool]:
    """Compare as text what most patterns are: a file may have thousands, and each expression takes long to compile.

    Args:
        argument: all of the patterns as they are written.
        patterns: each without `.**`, and whether it had one.
    """
    tags = {text if is_prefix else text.removesuffix(".") for text, is_prefix in patterns}
    prefixes = tuple(f"{text}." for text, is_prefix in patterns if is_prefix)

    expression = cache(lambda: _compile(argument, argument.split()))

    def matches(tag: str) -> bool:
        if "\n" in tag:  # what expressions make of line ends is left to them
            return expression()(tag)
        return tag in tags or tag.startswith(prefixes)

    return matches


def _compile(argument: str, patterns: list[str]) -> Callable[[str], bool]:
    """Make one regular expression of the patterns."""
    sources = []
    for pattern in patterns:
        is_regexp = pattern.startswith("/")
        sources.append(_regexp(pattern, argument.index(pattern)) if is_regexp else _Glob(pattern).source())
    match = compile_regexp("|".join(f"(?:{source})" for source in sources)).match
    if any(pattern.startswith("/") for pattern in patterns):
        return lambda tag: call_within(match, tag) is not None
    return lambda tag: match(tag) is not None


def _regexp(pattern: str, start: int) -> str:
    if len(pattern) < 2 or not pattern.endswith("/"):
        raise InvalidPatternError(f"the regular expression {pattern} is not closed: write a / at its end", start)
    try:
        compile_regexp(pattern[1:-1])
    except ExpressionError as error:
        raise InvalidPatternError(str(error), start + 1 + (error.offset or 0)) from error
    return rf"\A(?:{pattern[1:-1]})\Z"


class _Glob:
    r"""Translates one pattern with `*`, `**`, `{a,b}` and `\` into a regular expression."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._dot = False

    def source(self) -> str:
        # compat: match.rb anchors with Ruby's \Z, which tolerates one newline at the end
        return r"\A" + self._alternatives(nested=False)[0] + r"\Z"

    def _alternatives(self, *, nested: bool) -> list[str]:
        """Return the branches up to the closing brace, or the one branch of a whole pattern."""
        branches = [""]
        while self._at < len(self._pattern):
            char = self._pattern[self._at]
            if nested and char == "}":
                break
            if nested and char == ",":
                branches[-1] += self._take_dot()
                self._at += 1
                branches.append("")
                continue
            branches[-1] += self._piece()
        return branches

    def _piece(self) -> str:
        if self._pattern.startswith("**", self._at):
            return self._recursive()
        char = self._pattern[self._at]
        before = self._take_dot()
        self._at += 1
        if char == "\\":
            self._at += 1
            return before + re.escape(self._pattern[self._at - 1 : self._at])
        if char == ".":
            self._dot = True
            return before
        if char == "*":
            return before + r"[^.]*"
        if char == "{":
            branches = self._alternatives(nested=True)
            branches[-1] += self._take_dot()
            self._at += 1
            return before + "(?:" + "|".join(branches) + ")"
        return before + re.escape(char)

    def _take_dot(self) -> str:
        """Return the dot seen last, which counts only when something other than `**` follows it."""
        pending, self._dot = self._dot, False
        return r"\." if pending else ""

    def _recursive(self) -> str:
        # compat: `a.**` also matches `a`, since the dot before `**` only forbids that another character follows
        before, self._dot = (r"(?![^.])" if self._dot else ""), False
        self._at += 2
        if self._pattern.startswith(".", self._at):
            self._at += 1
            return before + r"(?:.*\.|\A)"
        return before + ".*"


def problem_of_tag(tag: str) -> LogpipeError | None:
    """Return why a tag that was made of an event's content is none; None where nothing is wrong with it."""
    if not tag:
        return LogpipeError("the new tag is empty")
    if len(tag) > LONGEST_TAG:
        return LogpipeError(f"the new tag has {len(tag)} characters; {LONGEST_TAG} are the most")
    if _CONTROL.search(tag):
        return LogpipeError(f"the new tag {tag[:80]!r} has control characters in it")
    return None
