r"""Ruby's regular expressions as compiled Python patterns.

The source is rewritten construct by construct and compiled with `re`; unsupported constructs (repeated group names,
look-behind of varying width, class intersections, `\p{…}`, `\K`) are compiled with the `regex` package, whose patterns
have the same methods. Important differences: Ruby's `^ $` match at every line, its `m` makes the dot match line breaks,
`\w \d \s` are ASCII only, `\h` is a hexadecimal digit, `\Z` matches before a final line break, and plain groups do not
capture where a named one exists.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Final, cast

from logpipe.errors import ExpressionError
from logpipe.expression.regexp.names import Pattern, group_names, python_group
from logpipe.expression.regexp.translation import MAX_LENGTH, Translation

_FLAGS: Final = {"i": re.IGNORECASE, "m": re.DOTALL, "x": 0, "n": 0, "u": 0, "e": 0, "s": 0, "o": 0}

__all__ = ["MAX_LENGTH", "Pattern", "compile_regexp", "group_names", "python_group", "split_regexp"]


def compile_regexp(source: str, flags: str = "") -> Pattern:
    r"""Compile Ruby's `/source/flags`; the flags are of `imx`, encodings are ignored.

    Raises:
        ExpressionError: Ruby would refuse it, or neither `re` nor `regex` supports it; `offset` is the place.
    """
    return _compile(source, flags)


def split_regexp(text: str) -> tuple[str, str]:
    """Split `/source/flags` of a configuration into source and flags; a text without slashes is all source."""
    end = text.rfind("/")
    if not text.startswith("/") or end == 0:
        return text, ""
    return text[1:end], text[end + 1 :]


@lru_cache(maxsize=1024)
def _compile(source: str, flags: str) -> Pattern:
    if len(source) > MAX_LENGTH:
        raise ExpressionError(f"a regular expression of more than {MAX_LENGTH} characters", hint="shorten it")
    unknown = [flag for flag in flags if flag not in _FLAGS]
    if unknown:
        raise ExpressionError(f"unknown flag {unknown[0]!r} of a regular expression", hint="the flags are i, m and x")
    translation = Translation(source, flags)
    options = re.MULTILINE
    for flag in flags:
        options |= _FLAGS[flag]
    if not translation.needs_regex:
        pattern = _with_re(translation, options)
        if pattern is not None:
            return pattern
    return _with_regex(translation, options)


def _with_re(translation: Translation, options: int) -> Pattern | None:
    """Compile with `re`; None where only `regex` may support the construct."""
    text = translation.text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pattern = re.compile(text, options)
            if translation.line_start and pattern.match("") is not None:
                pattern = re.compile(translation.text_with_strict_line_start, options)
    except (re.error, OverflowError, RecursionError, Warning):
        return None
    return pattern


def _with_regex(translation: Translation, options: int) -> Pattern:
    import regex  # noqa: PLC0415 - 10 ms that most configurations never need

    named = {
        re.MULTILINE: regex.MULTILINE,
        re.IGNORECASE: regex.IGNORECASE,
        re.DOTALL: regex.DOTALL,
    }
    wanted = regex.VERSION1 if translation.needs_sets else regex.VERSION0
    for ours, theirs in named.items():
        wanted |= theirs if options & ours else 0
    try:
        return cast("Pattern", regex.compile(translation.text, wanted))
    except (regex.error, OverflowError, RecursionError) as error:
        place = getattr(error, "pos", None)
        raise ExpressionError(
            f"invalid regular expression /{translation.source}/: {getattr(error, 'msg', error)}",
            offset=None if place is None else translation.source_offset(place),
            hint="write it as Ruby reads it",
        ) from None
