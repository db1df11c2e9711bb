r"""Character classes of Ruby's regular expressions: `[a-z]`, `[[:alpha:]_]`, `[^\w.]`, `[a-z&&[^aeiou]]`."""

from __future__ import annotations

import re
from typing import Final

from logpipe.errors import ExpressionError

_POSIX: Final = {
    "alpha": "^\\W\\d_", "digit": "\\d", "alnum": "^\\W_", "upper": "A-ZÀ-ÖØ-Þ", "lower": "a-zß-öø-ÿ",
    "space": "\\s", "punct": "!-/:-@\\[-`{-~", "xdigit": "0-9a-fA-F", "cntrl": "\\x00-\\x1f\\x7f", "word": "\\w",
    "blank": " \\t", "print": "^\\x00-\\x1f\\x7f", "graph": "^\\s\\x00-\\x1f\\x7f", "ascii": "\\x00-\\x7f",
}  # fmt: skip
_SHORT: Final = {
    "w": "a-zA-Z0-9_", "d": "0-9", "s": " \\t\\r\\n\\f\\v", "h": "0-9a-fA-F",
    "W": "^a-zA-Z0-9_", "D": "^0-9", "S": "^ \\t\\r\\n\\f\\v", "H": "^0-9a-fA-F",
}  # fmt: skip
_ASCII_POSIX: Final = {
    **_POSIX, "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "space": " \\t\\r\\n\\f\\v", "word": "a-zA-Z0-9_", "print": "\\x20-\\x7e", "graph": "\\x21-\\x7e",
}  # fmt: skip
_UNICODE_SHORT: Final = {**_SHORT, "w": "\\w", "d": "\\d", "W": "^\\w", "D": "^\\d"}
_CONTROL: Final = {"n": "\\n", "t": "\\t", "r": "\\r", "f": "\\f", "v": "\\v", "a": "\\a", "e": "\\x1b", "b": "\\x08"}
_CODE: Final = re.compile(
    r"\\u(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))|\\x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{1,2}))"
)
_OCTAL: Final = re.compile(r"\\([0-7]{1,3})")
_POSIX_CLASS: Final = re.compile(r"\[:(\^?)(\w+):\]")
_PROPERTY: Final = re.compile(r"\\[pP]\{\^?[\w ]+\}")


class NeedsRegex(Exception):  # noqa: N818 - not an error: the class is valid, but only `regex` supports it
    """The class ends at `end` and is spelled `text` for the `regex` package."""

    def __init__(self, text: str, end: int) -> None:
        super().__init__(text)
        self.text = text
        self.end = end


def read_class(source: str, start: int, *, mode: str = "d") -> tuple[str, int]:
    """Translate the class that begins at `start`; returns its text for `re` and the offset after its bracket.

    `mode` is `d`, `a` or `u`, as `(?a)` sets it.

    Raises:
        NeedsRegex: it intersects classes, or nests a negated one.
        ExpressionError: it is not closed or is empty.
    """
    reader = _ClassReader(source, start, mode)
    inside, end = reader.read(start)
    if reader.only_regex:
        raise NeedsRegex(inside.for_regex(), end)
    return inside.for_re(), end


class _Set:
    """The members of one class: texts for a positive list, and negated lists."""

    def __init__(self) -> None:
        self.negated = False
        self.members: list[str] = []
        self.negated_members: list[str] = []
        self.raw: list[str] = []
        """The same in the syntax of `regex`, version 1."""

    def for_re(self) -> str:
        """Return it in the syntax of `re`, where a negated member needs an alternation."""
        listed = "".join(self.members)
        if not self.negated_members:
            return f"[{'^' if self.negated else ''}{listed}]"
        options = [f"[^{member}]" for member in self.negated_members]
        if listed:
            options.insert(0, f"[{listed}]")
        if not self.negated:
            return options[0] if len(options) == 1 else f"(?:{'|'.join(options)})"
        if len(options) == 1:
            return f"[{self.negated_members[0]}]"
        return f"(?:(?!{'|'.join(options)})[\\s\\S])"

    def for_regex(self) -> str:
        """Return it in the syntax of `regex`, which supports sets."""
        return f"[{'^' if self.negated else ''}{''.join(self.raw)}]"

    def add(self, member: str) -> None:
        """Add characters or ranges; a leading `^` negates them."""
        if member.startswith("^"):
            self.negated_members.append(member[1:])
            self.raw.append(f"[{member}]")
        else:
            self.members.append(member)
            self.raw.append(member)


_CLASS_BEFORE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\[wWdDsShH]$|:\]$|(?<!\\)\]$")
_CLASS_AFTER: Final = re.compile(r"\\[wWdDsShH]|\[")


class _ClassReader:
    def __init__(self, source: str, start: int, mode: str) -> None:
        self._short = _UNICODE_SHORT if mode == "u" else _SHORT
        self._classes = _ASCII_POSIX if mode == "a" else _POSIX
        self._source = source
        self._start = start
        self.only_regex = False

    def read(self, start: int) -> tuple[_Set, int]:
        source, position = self._source, start + 1
        found = _Set()
        if source.startswith("^", position):
            found.negated = True
            position += 1
        first = True
        while position < len(source):
            char = source[position]
            if char == "]" and not (first and "]" in source[position + 1 :]):
                return found, position + 1
            first = False
            position = self._member(found, char, position)
        raise ExpressionError(
            f"invalid regular expression /{source}/: premature end of character class",
            offset=self._start,
            hint="add the closing ]",
        )

    def _member(self, found: _Set, char: str, position: int) -> int:
        source = self._source
        if match := _POSIX_CLASS.match(source, position):
            found.add(self._posix(match))
            return match.end()
        if char == "[":
            nested, end = self.read(position)
            self._nest(found, nested)
            return end
        if source.startswith("&&", position):
            self.only_regex = True
            found.raw.append("&&")
            return position + 2
        if char == "\\":
            return self._escape(found, position)
        if char == "-":
            found.add("\\-" if self._is_plain_hyphen(position) else "-")
        else:
            found.add(_member(char))
        return position + 1

    def _is_plain_hyphen(self, position: int) -> bool:
        """Return whether a hyphen is literal: at an end of the class, or beside a class such as digits."""
        before, after = self._source[max(0, position - 32) : position], self._source[position + 1 : position + 3]
        if after[:1] in ("]", "") or before[-1] in "[^":
            return True
        return bool(_CLASS_BEFORE.search(before) or _CLASS_AFTER.match(after))

    def _posix(self, match: re.Match[str]) -> str:
        members = self._classes.get(match[2])
        if members is None:
            raise ExpressionError(
                f"unknown class [:{match[2]}:] in a regular expression",
                offset=match.start(),
                hint=f"the classes are {', '.join(sorted(_POSIX))}",
            )
        if not match[1]:
            return members
        return members[1:] if members.startswith("^") else "^" + members

    def _nest(self, found: _Set, nested: _Set) -> None:
        found.raw.append(nested.for_regex())
        if not nested.negated and not nested.negated_members:
            found.members += nested.members
        elif nested.negated and not nested.negated_members:
            found.negated_members.append("".join(nested.members))
        else:
            self.only_regex = True

    def _escape(self, found: _Set, position: int) -> int:
        source = self._source
        following = source[position + 1 : position + 2]
        if not following:
            raise ExpressionError(
                "too short escape sequence in a regular expression", offset=position, hint="remove it"
            )
        if following in self._short:
            found.add(self._short[following])
        elif following in _CONTROL:
            found.add(_CONTROL[following])
        elif match := _PROPERTY.match(source, position):
            self.only_regex = True
            found.raw.append(match[0])
            return match.end()
        elif match := _CODE.match(source, position):
            found.add(_member(chr(int(next(filter(None, match.groups())), 16))))
            return match.end()
        elif match := _OCTAL.match(source, position):
            found.add(_member(chr(int(match[1], 8))))
            return match.end()
        else:
            found.add(_member(following, escaped=True))
        return position + 2


def _member(char: str, *, escaped: bool = False) -> str:
    """Return one character for a class, escaped where `re` or `regex` would read a set operation."""
    return "\\" + char if char in "\\[]^&~|" or (escaped and char == "-") else char
