r"""Ruby's regular expressions rewritten for Python, construct by construct."""

from __future__ import annotations

import re
import sys
from typing import Final, NamedTuple

from logpipe.errors import ExpressionError
from logpipe.expression.regexp.calls import Piece, Span, write_calls
from logpipe.expression.regexp.classes import NeedsRegex, read_class
from logpipe.expression.regexp.names import HIDDEN, group_name, python_group

MAX_LENGTH: Final = 32_768
_ESCAPES: Final = {
    "h": "[0-9a-fA-F]", "H": "[^0-9a-fA-F]", "w": "[a-zA-Z0-9_]", "W": "[^a-zA-Z0-9_]", "d": "[0-9]", "D": "[^0-9]",
    "s": "[ \\t\\r\\n\\f\\v]", "S": "[^ \\t\\r\\n\\f\\v]", "z": "\\Z", "Z": "(?=\\n?\\Z)", "A": "\\A", "b": "\\b",
    "B": "\\B", "e": "\\x1b", "a": "\\a", "n": "\\n", "t": "\\t", "r": "\\r", "f": "\\f", "v": "\\v",
    "R": "(?>\\r\\n|[\\n\\v\\f\\r\\x85\\u2028\\u2029])",
}  # fmt: skip
_SPECIAL: Final = frozenset("\\.^$*+?{}[]|()")
_ONLY_REGEX: Final = frozenset("KGX")
_INLINE: Final = re.compile(r"\(\?([imxadu]*)(?:-([imx]*))?([:)])")
_OPENING: Final = re.compile(r"\(\?(?:<[=!]|[=!>:]|\(\d+\))")
_NAME: Final = re.compile(r"\(\?<(?![=!])([^>)]*)>|\(\?'([^')]*)'")
_NAMED_GROUP: Final = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:<[^=!]|')")
_BACK: Final = re.compile(r"\\k(?:<([^>]+)>|'([^']+)')")
_CALL: Final = re.compile(r"\\g(?:<([^>]+)>|'([^']+)')")
_CODE: Final = re.compile(
    r"\\u(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))|\\x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{1,2}))"
)
_CODES: Final = re.compile(r"\\u\{([0-9a-fA-F]{1,6}(?:\s+[0-9a-fA-F]{1,6})+)\}")
_CONTROL: Final = re.compile(r"\\(?:c([@-_a-z])|C-([@-_a-z]))")
_OCTAL: Final = re.compile(r"\\(0[0-7]{0,2}|[1-3][0-7]{2})")
_NUMBER: Final = re.compile(r"\\([1-9]\d?)")
_PROPERTY: Final = re.compile(r"\\[pP]\{\^?[\w ]+\}")
_COUNT: Final = re.compile(r"\{(\d*),?(\d*)\}")
_ANCHORS: Final = frozenset({"^", "$", "\\A", "\\Z", "(?=\\n?\\Z)", "\\b", "\\B"})
_ABSENT: Final = "(?~"


class _Group(NamedTuple):
    """An open group: its end, and the state to restore after it."""

    opening: Piece
    name: str
    mode: str
    verbose: bool
    flags: frozenset[str]


class Translation:
    """One source rewritten for Python; its pieces have their places in the source, for errors."""

    def __init__(self, source: str, flags: str = "") -> None:
        self.source = source
        self.needs_regex = False
        self.needs_sets = False
        self.line_start = False
        self._verbose = "x" in flags
        self._mode = "d"
        """The range of words and digits: ASCII for `d` and `a`, Unicode for `u`; `a` also affects `[[:alpha:]]`."""
        self._flags = frozenset(flags) & {"i", "m"}
        self._position = 0
        self._names = _NAMED_GROUP.search(source) is not None
        self._calls = "\\g" in source
        self._groups = 0
        self._pieces: list[Piece] = []
        self._open: list[str] = []
        """The end of each open group: `)`, and one more for each flag group opened in the middle of it."""
        self._item = 0
        """The piece that a quantifier here would repeat."""
        self._quantifier_before = ""
        """The quantifier of the item so far."""
        self._starts: list[_Group] = []
        self._named: dict[str, Span] = {}
        """The first and last piece of each closed group, and the flags in it."""
        self._repeated: set[str] = set()
        """Names of several groups."""
        while self._position < len(source):
            self._step(source[self._position])
        if self._open:
            raise self._error("end pattern with unmatched parenthesis")
        self._emit(")" * self._pending_flag_groups)
        self._write_calls()
        self.text = "".join(piece.text for piece in self._pieces)

    _pending_flag_groups = 0

    @property
    def text_with_strict_line_start(self) -> str:
        """The text with a `^` that does not match after the last line break, for patterns with empty matches."""
        return "".join("(?:\\A|(?<=\\n)(?!\\Z))" if piece.text == "^" else piece.text for piece in self._pieces)

    def source_offset(self, place: int) -> int:
        """Return the place in the source of the text's character at `place`."""
        for piece in self._pieces:
            if place < len(piece.text):
                return piece.place
            place -= len(piece.text)
        return len(self.source)

    def _error(self, message: str, hint: str = "correct it here") -> ExpressionError:
        return ExpressionError(
            f"invalid regular expression /{self.source}/: {message}", offset=self._position, hint=hint
        )

    def _emit(self, text: str, length: int = 0) -> Piece:
        piece = Piece(self._position, text)
        self._pieces.append(piece)
        self._position += length
        return piece

    def _atom(self, text: str, length: int) -> Piece:
        """Emit an item that a quantifier may repeat."""
        self._item = len(self._pieces)
        self._quantifier_before = ""
        return self._emit(text, length)

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
                self._atom("^", 1)
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
        if following in "wWdD" and self._mode == "u":
            self._atom("\\" + following, 2)
        elif following in "bB" and self._mode == "a":
            self._atom(f"(?a:\\{following})", 2)
        elif following in _ESCAPES:
            self._atom(_ESCAPES[following], 2)
        elif following in _ONLY_REGEX:
            self.needs_regex = True
            self._atom("\\" + following, 2)
        elif match := _PROPERTY.match(source, position):
            self.needs_regex = True
            self._atom(match[0], len(match[0]))
        elif match := _CODES.match(source, position):
            for code in match[1].split():
                self._atom(_character(int(code, 16)), 0)
            self._position = match.end()
        elif match := _CODE.match(source, position):
            self._atom(_character(int(next(filter(None, match.groups())), 16)), len(match[0]))
        elif match := _CONTROL.match(source, position):
            self._atom(_literal(chr(ord(match[1] or match[2]) & 0x1F)), len(match[0]))
        elif match := _BACK.match(source, position):
            self._back_reference(match[1] or match[2], len(match[0]))
        elif match := _CALL.match(source, position):
            self._call(match[1] or match[2], len(match[0]))
        elif (match := _NUMBER.match(source, position)) and (int(match[1]) <= max(9, self._count_groups())):
            self._atom(f"(?:\\{match[1]})", len(match[0]))
        elif match := _OCTAL.match(source, position):
            self._atom(_character(int(match[1], 8)), len(match[0]))
        elif following in "cCMpPkg":
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
            self._atom(f"(?P={python_group(name)})", length)

    def _call(self, name: str, length: int) -> None:
        """Emit a placeholder for the pattern of a called group."""
        self.needs_regex = True
        if name.lstrip("+-").isdigit():
            number = int(name)
            if name[0] == "-":
                number += self._groups + 1
            elif name[0] == "+":
                number += self._groups
            if number == 0:
                self._atom("(?0)", length)
                return
            if self._names:
                raise self._error(
                    "numbered backref/call is not allowed. (use name)", hint=f"name the group: \\g<{name}>"
                )
            name = f"{HIDDEN}{number}"
        else:
            name = python_group(name)
        self._atom("", length).call = name

    def _write_calls(self) -> None:
        """Replace each call by the pattern of its group."""
        for piece in self._pieces:
            problem = ""
            if piece.call in self._repeated:
                problem = f"multiplex definition name <{group_name(piece.call)}> call"
            elif piece.call and piece.call not in self._named:
                problem = f"undefined name <{group_name(piece.call)}> reference"
            if problem:
                self._position = piece.place
                raise self._error(problem)
        try:
            write_calls(self._pieces, self._named, most=4 * MAX_LENGTH)
        except OverflowError:
            raise self._error("it is too long once its calls are written out", hint="shorten it") from None

    def _class(self) -> None:
        try:
            text, end = read_class(self.source, self._position, mode=self._mode)
        except NeedsRegex as found:
            self.needs_regex = self.needs_sets = True
            text, end = found.text, found.end
        self._atom(text, end - self._position)

    def _group(self) -> None:
        source, position = self.source, self._position
        if match := _NAME.match(source, position):
            name = match[1] if match[1] is not None else match[2]
            if not name:
                raise self._error("group name is empty")
            if name[0] == "-" or name[0].isdigit():
                raise self._error(f"invalid group name <{name}>")
            self._groups += 1
            self._begin(f"(?P<{python_group(name)}>", len(match[0]), python_group(name))
        elif match := _INLINE.match(source, position):
            self._inline_flags(match)
        elif source.startswith("(?#", position):
            end = source.find(")", position)
            if end < 0:
                raise self._error("end pattern in group")
            self._emit("", end + 1 - position)
        elif source.startswith("(?~", position):
            self._begin(_ABSENT, 3)
        elif match := _OPENING.match(source, position):
            self._begin(match[0], len(match[0]))
        elif source.startswith("(?", position):
            raise self._error("undefined group option")
        elif self._names:
            self._begin("(?:", 1)
        else:
            self._groups += 1
            hidden = f"{HIDDEN}{self._groups}" if self._calls else ""
            self._begin(f"(?P<{hidden}>" if hidden else "(", 1, hidden)

    def _begin(self, text: str, length: int, name: str = "") -> None:
        opening = self._emit(text, length)
        self._open.append(")")
        self._starts.append(_Group(opening, name, self._mode, self._verbose, self._flags))

    def _inline_flags(self, match: re.Match[str]) -> None:
        """Open `(?i-m:…)`; a bare `(?i)` applies to the end of its group."""
        on, off, closer = match[1], match[2] or "", match[3]
        start = (self._mode, self._verbose, self._flags)
        for mode in "adu":
            if mode in on:
                self._mode, on = mode, on.replace(mode, "")
        self._flags = (self._flags | (frozenset(on) & {"i", "m"})) - frozenset(off)
        on, off = on.replace("m", "s"), off.replace("m", "s")
        if "x" in on + off:
            self._verbose = "x" in on
            on, off = on.replace("x", ""), off.replace("x", "")
        opening = self._emit(f"(?{on}{'-' if off else ''}{off}:", len(match[0]))
        if closer == ":":
            self._open.append(")")
            self._starts.append(_Group(opening, "", *start))
        elif self._open:
            self._open[-1] += ")"
        else:
            self._pending_flag_groups += 1

    def _close(self) -> None:
        if not self._open:
            raise self._error("unmatched close parenthesis")
        group = self._starts.pop()
        self._item = next(
            place for place in range(len(self._pieces) - 1, -1, -1) if self._pieces[place] is group.opening
        )
        self._quantifier_before = ""
        end = self._open.pop()
        if group.opening.text == _ABSENT:
            end = self._absence(group.opening, end)
        closing = self._emit(end, 1)
        if group.name:
            if group.name in self._named:
                self._repeated.add(group.name)
            self._named[group.name] = Span(group.opening, closing, group.flags)
        self._mode, self._verbose, self._flags = group.mode, group.verbose, group.flags

    def _absence(self, opening: Piece, end: str) -> str:
        """Write `(?~x)`, the longest text without x: up to the next x, and that x but for its last character."""
        inner = "".join(piece.text for piece in self._pieces[self._item + 1 :]) + end[1:]
        least, most = _width(inner)
        if least == 0:
            opening.text = "(?!)(?:"  # compat: an empty x is never absent
            return end
        if least != most or re.search(r"\((?!\?:)|\\[1-9bBAZ]|[$^]", inner):
            raise self._error(
                "an absence operator is supported for texts of one length only, without groups and anchors",
                hint="write (?:(?!x).)* for (?~x)",
            )
        opening.text = "(?:(?:(?!(?:"
        return f"{end})[\\s\\S])*[\\s\\S]{{0,{least - 1}}})"

    def _quantifier(self, char: str) -> None:
        source, position = self.source, self._position
        length = 1
        if char == "{":
            match = _COUNT.match(source, position)
            if match is None or not (match[1] or match[2]):
                self._atom("\\{", 1)
                return
            length = len(match[0])
        if not self._pieces or self._pieces[-1].text in ("|", "(", "(?:"):
            raise self._error("target of repeat operator is not specified")
        text = source[position : position + length]
        following = source[position + length : position + length + 1]
        # compat: onigmo reads a{2}+ and a{2}? as (?:a{2})+ and (?:a{2})?
        if following in ("?", "+") and not (char == "{" and (following == "+" or "," not in text)):
            length += 1
            text += following
        before = self._quantifier_before
        if text == "*" and before in ("*", "+", "?"):
            self._pieces[-1].text = "*"  # equivalent; a nested loop would take exponential time
            self._position += length
        elif before or self._pieces[self._item].text in _ANCHORS:
            self._pieces.insert(self._item, Piece(position, "(?:"))
            self._emit(")")
            self._emit(text, length)
        else:
            self._emit(text, length)
        self._quantifier_before = text


def _character(number: int) -> str:
    if number > sys.maxunicode:
        raise ExpressionError("no such character in a regular expression", hint="the last is \\u{10ffff}")
    return _literal(chr(number))


def _literal(char: str) -> str:
    return "\\" + char if char in _SPECIAL else char


def _width(text: str) -> tuple[int, int]:
    """Return the least and most characters that a pattern matches; 1 and 2 where that is unknown."""
    try:
        least, most = re._parser.parse(text).getwidth()  # noqa: SLF001 - not available elsewhere
    except (re.error, OverflowError, RecursionError):
        return 1, 2
    return int(least), int(most)
