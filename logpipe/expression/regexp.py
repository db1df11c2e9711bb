r"""Ruby's regular expressions as compiled Python patterns.

The source is rewritten construct by construct and compiled with `re`; what `re` cannot do (repeated group names,
look-behind of varying width, class intersections, `\p{…}`, `\K`) is compiled with the `regex` package, whose patterns
answer to the same methods. Differences that matter: Ruby's `^ $` match at every line, its `m` makes the dot match line
breaks, `\w \d \s` know ASCII only, `\h` is a hexadecimal digit, `\Z` stands before a final line break, and plain groups
do not capture where a named one exists.
"""

from __future__ import annotations

import re
import sys
import warnings
from functools import lru_cache
from typing import Final, TypeAlias, cast

from logpipe.errors import ExpressionError
from logpipe.expression.regexp_class import NeedsRegex, read_class

Pattern: TypeAlias = re.Pattern[str]

MAX_LENGTH: Final = 32_768
_FLAGS: Final = {"i": re.IGNORECASE, "m": re.DOTALL, "x": 0, "n": 0, "u": 0, "e": 0, "s": 0, "o": 0}
_ESCAPES: Final = {
    "h": "[0-9a-fA-F]", "H": "[^0-9a-fA-F]", "w": "[a-zA-Z0-9_]", "W": "[^a-zA-Z0-9_]", "d": "[0-9]", "D": "[^0-9]",
    "s": "[ \\t\\r\\n\\f\\v]", "S": "[^ \\t\\r\\n\\f\\v]", "z": "\\Z", "Z": "(?=\\n?\\Z)", "A": "\\A", "b": "\\b",
    "B": "\\B", "e": "\\x1b", "a": "\\a", "n": "\\n", "t": "\\t", "r": "\\r", "f": "\\f", "v": "\\v",
    "R": "(?>\\r\\n|[\\n\\v\\f\\r\\x85\\u2028\\u2029])",
}  # fmt: skip
_SPECIAL: Final = frozenset("\\.^$*+?{}[]|()")
_ONLY_REGEX: Final = frozenset("KGX")
_INLINE: Final = re.compile(r"\(\?([imx]*)(?:-([imx]*))?([:)])")
_OPENING: Final = re.compile(r"\(\?(?:<[=!]|[=!>:]|\(\d+\))")
_NAME: Final = re.compile(r"\(\?<([^\W\d]\w*)>|\(\?'([^\W\d]\w*)'")
_NAMED_GROUP: Final = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:<[^\W\d=!]|'[^\W\d])")
_BACK: Final = re.compile(r"\\k(?:<([^>]+)>|'([^']+)')")
_CALL: Final = re.compile(r"\\g(?:<([^>]+)>|'([^']+)')")
_CODE: Final = re.compile(
    r"\\u(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))|\\x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{1,2}))"
)
_OCTAL: Final = re.compile(r"\\(0[0-7]{0,2}|[1-3][0-7]{2})")
_NUMBER: Final = re.compile(r"\\([1-9]\d?)")
_PROPERTY: Final = re.compile(r"\\[pP]\{\^?[\w ]+\}")
_COUNT: Final = re.compile(r"\{(\d*),?(\d*)\}")


def compile_regexp(source: str, flags: str = "") -> Pattern:
    r"""Compile Ruby's `/source/flags`; the flags are of `imx`, encodings are ignored.

    Raises:
        ExpressionError: Ruby would refuse it, or it uses what neither `re` nor `regex` can do; `offset` is the place.
    """
    return _compile(source, flags)


def split_regexp(text: str) -> tuple[str, str]:
    """Split `/source/flags` as a configuration has it into source and flags; a text without slashes is all source."""
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
    translation = Translation(source, verbose="x" in flags)
    options = re.MULTILINE
    for flag in flags:
        options |= _FLAGS[flag]
    if not translation.needs_regex:
        pattern = _with_re(translation, options)
        if pattern is not None:
            return pattern
    return _with_regex(translation, options)


def _with_re(translation: Translation, options: int) -> Pattern | None:
    """Compile with `re`; None where only `regex` may know the construct."""
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


class Translation:
    """One source rewritten for Python; `pieces` remember where each came from, so that errors can point."""

    def __init__(self, source: str, *, verbose: bool = False) -> None:
        self.source = source
        self.needs_regex = False
        self.needs_sets = False
        self.line_start = False
        self._verbose = verbose
        self._position = 0
        self._names = _NAMED_GROUP.search(source) is not None
        self._groups = 0
        self._pieces: list[tuple[int, str]] = []
        self._open: list[str] = []
        """What closes each open group: `)`, and one more for each flag group opened in the middle of it."""
        self._item = 0
        """The piece that a quantifier here would repeat."""
        self._starts: list[tuple[int, bool]] = []
        """For each open group its piece, and whether white space counted before it."""
        while self._position < len(source):
            self._step(source[self._position])
        if self._open:
            raise self._error("end pattern with unmatched parenthesis")
        self._emit(")" * self._pending_flag_groups)
        self.text = "".join(text for _, text in self._pieces)

    _pending_flag_groups = 0

    @property
    def text_with_strict_line_start(self) -> str:
        """The text with a `^` that does not match behind the very last line break, for patterns that match nothing."""
        return "".join("(?:\\A|(?<=\\n)(?!\\Z))" if text == "^" else text for _, text in self._pieces)

    def source_offset(self, place: int) -> int:
        """Return where in the source the text's character at `place` came from."""
        for offset, text in self._pieces:
            if place < len(text):
                return offset
            place -= len(text)
        return len(self.source)

    def _error(self, message: str) -> ExpressionError:
        return ExpressionError(
            f"invalid regular expression /{self.source}/: {message}", offset=self._position, hint="correct it here"
        )

    def _emit(self, text: str, length: int = 0) -> None:
        self._pieces.append((self._position, text))
        self._position += length

    def _atom(self, text: str, length: int) -> None:
        """Emit what a quantifier may repeat."""
        self._item = len(self._pieces)
        self._emit(text, length)

    def _step(self, char: str) -> None:
        match char:
            case "\\":
                self._escape()
            case "[":
                self._class()
            case "(":
                self._group()
            case ")":
                self._close()
            case "^":
                self.line_start = True
                self._emit("^", 1)
            case "*" | "+" | "?" | "{":
                self._quantifier(char)
            case "#" if self._verbose:
                end = self.source.find("\n", self._position)
                self._emit("", (end if end >= 0 else len(self.source)) - self._position)
            case _ if self._verbose and char.isspace():
                self._emit("", 1)
            case "$" | "." | "|":
                self._atom(char, 1)
            case _:
                self._atom(_literal(char), 1)

    def _escape(self) -> None:
        source, position = self.source, self._position
        following = source[position + 1 : position + 2]
        if not following:
            raise self._error("too short escape sequence")
        if following in _ESCAPES:
            self._atom(_ESCAPES[following], 2)
        elif following in _ONLY_REGEX:
            self.needs_regex = True
            self._atom("\\" + following, 2)
        elif match := _PROPERTY.match(source, position):
            self.needs_regex = True
            self._atom(match[0], len(match[0]))
        elif match := _CODE.match(source, position):
            self._atom(_character(int(next(filter(None, match.groups())), 16)), len(match[0]))
        elif match := _BACK.match(source, position):
            self._back_reference(match[1] or match[2], len(match[0]))
        elif match := _CALL.match(source, position):
            self.needs_regex = True
            name = match[1] or match[2]
            self._atom(f"(?{name})" if name.isdigit() else f"(?&{name})", len(match[0]))
        elif (match := _NUMBER.match(source, position)) and (int(match[1]) <= max(9, self._count_groups())):
            self._atom(f"(?:\\{match[1]})", len(match[0]))
        elif match := _OCTAL.match(source, position):
            self._atom(_character(int(match[1], 8)), len(match[0]))
        elif following.isalnum() and following.isascii() and following in "cCMpPkgN":
            raise self._error(f"\\{following} is not supported")
        else:
            self._atom(_literal(following), 2)

    def _count_groups(self) -> int:
        return len(re.findall(r"\((?!\?)", self.source))

    def _back_reference(self, name: str, length: int) -> None:
        if name.lstrip("-").isdigit():
            number = int(name)
            number = self._groups + 1 + number if number < 0 else number
            self._atom(f"(?:\\{number})", length)
        else:
            self._atom(f"(?P={name})", length)

    def _class(self) -> None:
        try:
            text, end = read_class(self.source, self._position)
        except NeedsRegex as found:
            self.needs_regex = self.needs_sets = True
            text, end = found.text, found.end
        self._atom(text, end - self._position)

    def _group(self) -> None:
        source, position = self.source, self._position
        self._starts.append((len(self._pieces), self._verbose))
        if match := _NAME.match(source, position):
            self._groups += 1
            self._open.append(")")
            self._emit(f"(?P<{match[1] or match[2]}>", len(match[0]))
        elif match := _INLINE.match(source, position):
            self._flags(match)
        elif source.startswith("(?#", position):
            self._starts.pop()
            end = source.find(")", position)
            if end < 0:
                raise self._error("end pattern in group")
            self._emit("", end + 1 - position)
        elif source.startswith("(?~", position):
            raise self._error("absence operators are not supported")
        elif match := _OPENING.match(source, position):
            self._open.append(")")
            self._emit(match[0], len(match[0]))
        elif source.startswith("(?", position):
            raise self._error("undefined group option")
        else:
            self._groups += not self._names
            self._open.append(")")
            self._emit("(?:" if self._names else "(", 1)

    def _flags(self, match: re.Match[str]) -> None:
        """Open `(?i-m:…)`; a bare `(?i)` lasts to the end of the group it stands in."""
        on, off, closer = match[1].replace("m", "s"), (match[2] or "").replace("m", "s"), match[3]
        if "x" in on + off:
            self._verbose = "x" in on
            on, off = on.replace("x", ""), off.replace("x", "")
        opening = f"(?{on}{'-' if off else ''}{off}:"
        self._emit(opening, len(match[0]))
        if closer == ":":
            self._open.append(")")
            return
        self._starts.pop()
        if self._open:
            self._open[-1] += ")"
        else:
            self._pending_flag_groups += 1

    def _close(self) -> None:
        if not self._open:
            raise self._error("unmatched close parenthesis")
        self._item, self._verbose = self._starts.pop()
        self._emit(self._open.pop(), 1)

    def _quantifier(self, char: str) -> None:
        source, position = self.source, self._position
        length = 1
        if char == "{":
            match = _COUNT.match(source, position)
            if match is None or not (match[1] or match[2]):
                self._atom("\\{", 1)
                return
            length = len(match[0])
        if not self._pieces:
            raise self._error("target of repeat operator is not specified")
        text = source[position : position + length]
        following = source[position + length : position + length + 1]
        if char == "{" and (following == "+" or (following == "?" and "," not in text)):
            # compat: onigmo reads a{2}+ and a{2}? as (?:a{2})+ and (?:a{2})?
            self._pieces.insert(self._item, (position, "(?:"))
            self._emit(text + ")", length)
            self._emit(following, 1)
            return
        if following in ("?", "+"):
            length += 1
            text += following
        self._emit(text, length)


def _character(number: int) -> str:
    if number > sys.maxunicode:
        raise ExpressionError("no such character in a regular expression", hint="the last is \\u{10ffff}")
    return _literal(chr(number))


def _literal(char: str) -> str:
    return "\\" + char if char in _SPECIAL else char
