r"""String and regular expressions: `sub`, `gsub`, `match`, `scan`, `split`, `=~`, and the text's parts by index."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.regexp.pattern import python_group
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.failures import BUDGET, RubyError, check_size
from logpipe.expression.runtime.indexing import string_part
from logpipe.expression.runtime.matches import LAST_MATCH, MatchData, Regexp, dynamic_regexp
from logpipe.expression.runtime.text import class_name, to_s
from logpipe.expression.runtime.values import Symbol, as_key

methods = Methods()

_WORD: Final = re.compile(r"[^\t\n\v\f\r \0]+")
_BLANKS: Final = re.compile(r"[\t\n\v\f\r \0]+")
_REFERENCE: Final = re.compile(r"\\(?:k<([^>]+)>|([0-9&`'\\]))")


def as_regexp(pattern: Any) -> Regexp:
    """Return a pattern given as Regexp, or as a String with a regular expression's source.

    Raises:
        RubyError: it is neither (TypeError), or not a valid source (RegexpError).
    """
    if isinstance(pattern, Regexp):
        return pattern
    if isinstance(pattern, str):
        return dynamic_regexp(pattern)
    raise RubyError("TypeError", f"wrong argument type {class_name(pattern)} (expected Regexp)")


def _text_or_regexp(pattern: Any) -> Regexp:
    """Return the pattern of `sub` and `scan`: a String is literal."""
    return literal_regexp(pattern) if isinstance(pattern, str) else as_regexp(pattern)


@lru_cache(maxsize=256)
def literal_regexp(text: str) -> Regexp:
    """Return the Regexp that matches just this text."""
    return Regexp(re.sub(r"([\\.^$*+?{}\[\]|()\-#&~ ])", r"\\\1", text).replace("\n", "\\n"))


@lru_cache(maxsize=256)
def _template(replacement: str) -> str | Callable[[re.Match[str]], str]:
    r"""Compile a replacement with `\\1`, `\\k<name>`, `\\&`; a text without any is returned unchanged."""
    if "\\" not in replacement:
        return replacement
    parts: list[str | Callable[[re.Match[str]], str]] = []
    position = 0
    for found in _REFERENCE.finditer(replacement):
        parts.append(replacement[position : found.start()])
        parts.append(_reference(found[1], found[2] or ""))
        position = found.end()
    parts.append(replacement[position:])
    return lambda match: "".join(part if isinstance(part, str) else part(match) for part in parts)


def _reference(name: str | None, sign: str) -> str | Callable[[re.Match[str]], str]:
    if name is not None:
        group = python_group(name)
        return lambda match: match[group] or ""
    if sign in "0&":
        return lambda match: match[0]
    if sign == "\\":
        return "\\"
    if sign == "`":
        return lambda match: match.string[: match.start()]
    if sign == "'":
        return lambda match: match.string[match.end() :]
    number = int(sign)
    return lambda match: (match[number] or "") if number <= match.re.groups else ""


def _replacer(replacement: Any, block: Callable[[Any], Any] | None, pattern: Regexp) -> Any:
    """Return a replacement for `re`: a text, or a function of the match."""
    if isinstance(replacement, str):
        return _template(replacement)
    if isinstance(replacement, dict):
        return lambda match: to_s(replacement.get(as_key(match[0])))
    if replacement is None and block is not None:

        def from_block(match: re.Match[str]) -> str:
            BUDGET.spend()
            LAST_MATCH.note(match, pattern)
            return to_s(block(match[0]))

        return from_block
    return string_argument(replacement)


def substitute(text: str, pattern: Any, replacement: Any, block: Callable[[Any], Any] | None, most: int) -> str:
    """Replace the first match, or with `most` 0 all of them."""
    if isinstance(pattern, str) and isinstance(replacement, str) and "\\" not in replacement and pattern:
        if len(replacement) > len(pattern):
            check_size(len(text) + text.count(pattern) * (len(replacement) - len(pattern)))
        return text.replace(pattern, replacement, most or -1)
    regexp = _text_or_regexp(pattern)
    replace = _replacer(replacement, block, regexp)
    written: list[str] = []
    position = size = 0
    last: re.Match[str] | None = None
    for match in regexp.finditer(text):
        piece = replace if isinstance(replace, str) else replace(match)
        written += (text[position : match.start()], piece)
        size += len(piece)
        check_size(size)
        position, last = match.end(), match
        if most:
            break
    LAST_MATCH.note(last, regexp)
    if last is None:
        return text
    written.append(text[position:])
    return "".join(written)


@methods.of(str, names="gsub", returns=str)
def replace_all(text: str, pattern: Any, replacement: Any = None, block: Callable[[Any], Any] | None = None) -> str:
    """Return the text with every match replaced by a text, a hash's value or the block's result."""
    return substitute(text, pattern, replacement, block, 0)


@methods.of(str, names="sub", returns=str)
def replace_first(text: str, pattern: Any, replacement: Any = None, block: Callable[[Any], Any] | None = None) -> str:
    """Return the text with the first match replaced."""
    return substitute(text, pattern, replacement, block, 1)


def _changed(before: str, after: str) -> tuple[str, str | None]:
    return after, None if before == after and LAST_MATCH.data is None else after


@methods.of(str, names="gsub!", mutates=True)
def replace_all_here(
    text: str, pattern: Any, replacement: Any = None, block: Callable[[Any], Any] | None = None
) -> tuple[str, str | None]:
    """Replace every match in the receiver; nil where there is none."""
    result = substitute(text, _text_or_regexp(pattern), replacement, block, 0)
    return _changed(text, result)


@methods.of(str, names="sub!", mutates=True)
def replace_first_here(
    text: str, pattern: Any, replacement: Any = None, block: Callable[[Any], Any] | None = None
) -> tuple[str, str | None]:
    """Replace the first match in the receiver; nil where there is none."""
    result = substitute(text, _text_or_regexp(pattern), replacement, block, 1)
    return _changed(text, result)


@methods.of(str, names="=~")
def position_of(text: str, pattern: Any) -> int | None:
    """Return where the pattern matches, nil where it does not.

    Raises:
        RubyError: a String was given (TypeError).
    """
    if isinstance(pattern, str):
        raise RubyError("TypeError", "type mismatch: String given")
    if not isinstance(pattern, Regexp):
        return None
    found = LAST_MATCH.note(pattern.search(text), pattern)
    return None if found is None else found.match.start()


@methods.of(str, names="match")
def match(text: str, pattern: Any, start: Any = 0, block: Callable[[Any], Any] | None = None) -> Any:
    """Return the first match as MatchData, nil where there is none."""
    regexp = as_regexp(pattern)
    found = LAST_MATCH.note(regexp.search(text, _start(text, start)), regexp)
    return block(found) if block is not None and found is not None else found


@methods.of(str, names="match?", returns=bool)
def does_match(text: str, pattern: Any, start: Any = 0) -> bool:
    """Return whether the pattern matches; does not change `$~`."""
    return as_regexp(pattern).search(text, _start(text, start)) is not None


def _start(text: str, start: Any) -> int:
    position = integer_argument(start)
    return position + len(text) if position < 0 else position


@methods.of(Symbol, names="=~")
def symbol_position_of(symbol: Symbol, pattern: Any) -> int | None:
    """Return where the pattern matches the name."""
    return position_of(symbol.name, pattern)


@methods.of(Symbol, names="match?", returns=bool)
def symbol_does_match(symbol: Symbol, pattern: Any) -> bool:
    """Return whether the pattern matches the name."""
    return does_match(symbol.name, pattern)


@methods.of(Symbol, names="match")
def symbol_match(symbol: Symbol, pattern: Any) -> Any:
    """Return the first match in the name."""
    return match(symbol.name, pattern)


@methods.of(str, names="scan")
def scan(text: str, pattern: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Return every match: its text, or the list of its groups if it has any."""
    regexp = _text_or_regexp(pattern)
    found: list[Any] = []
    last: re.Match[str] | None = None
    for last in regexp.finditer(text):
        BUDGET.spend()
        item = list(last.groups()) if last.re.groups else last[0]
        if block is None:
            found.append(item)
        else:
            LAST_MATCH.note(last, regexp)
            block(item)
    LAST_MATCH.note(last, regexp)
    return found if block is None else text


@methods.of(str, names="split", returns=list)
def split(text: str, pattern: Any = None, limit: Any = 0) -> list[str]:
    """Return the parts between separators; empty parts at the end are removed unless `limit` is negative.

    Without a separator, or with a single blank, the text is split at runs of white space.
    """
    most = integer_argument(limit)
    if most == 1:
        return [text] if text else []
    if pattern is None or pattern == " ":
        parts = _split_at_blanks(text, most)
    elif isinstance(pattern, str):
        if not pattern:
            cut = most - 1 if most > 0 else len(text)
            parts = [*text[:cut], *([text[cut:]] if most else [])]
        else:
            parts = text.split(pattern, most - 1 if most > 0 else -1)
    else:
        parts = _split_at_matches(text, as_regexp(pattern), most)
    if most == 0:
        while parts and not parts[-1]:
            parts.pop()
    return parts if text else []


def _split_at_blanks(text: str, most: int) -> list[str]:
    if most == 0:
        return text.split() if text.isprintable() else _WORD.findall(text)
    text = text.lstrip("\t\n\v\f\r \0")
    pieces = _BLANKS.split(text, maxsplit=most - 1 if most > 0 else 0)
    return pieces if pieces != [""] else []


def _split_at_matches(text: str, regexp: Regexp, most: int) -> list[str]:
    """Split as Ruby does: an empty match separates two characters, groups are added to the result."""
    parts: list[str] = []
    begin = 0
    for found in regexp.finditer(text):
        if most > 0 and len(parts) >= most - 1:
            break
        start, end = found.span()
        if start == end == begin:
            continue
        parts.append(text[begin:start])
        parts += [group for group in found.groups() if group is not None]
        begin = end
    parts.append(text[begin:])
    return parts


@methods.of(str, names="partition", returns=list)
def partition(text: str, pattern: Any) -> list[str]:
    """Return the text before the first match, the match, and the text after it."""
    if isinstance(pattern, str):
        return list(text.partition(pattern)) if pattern else ["", "", text]
    found = as_regexp(pattern).search(text)
    if found is None:
        return [text, "", ""]
    return [text[: found.start()], found[0], text[found.end() :]]


@methods.of(str, names="rpartition", returns=list)
def partition_at_last(text: str, pattern: Any) -> list[str]:
    """Return the text before the last match, the match, and the text after it."""
    if isinstance(pattern, str):
        return list(text.rpartition(pattern)) if pattern else [text, "", ""]
    if last_index(text, pattern) is None or LAST_MATCH.data is None:
        return ["", "", text]
    found = LAST_MATCH.data.match
    return [text[: found.start()], found[0], text[found.end() :]]


@methods.of(str, names="index")
def index(text: str, pattern: Any, start: Any = 0) -> int | None:
    """Return the first place of the pattern, nil where there is none."""
    position = _start(text, start)
    if not 0 <= position <= len(text):
        return None
    if isinstance(pattern, str):
        place = text.find(pattern, position)
        return None if place < 0 else place
    found = LAST_MATCH.note(as_regexp(pattern).search(text, position), as_regexp(pattern))
    return None if found is None else found.match.start()


@methods.of(str, names="rindex")
def last_index(text: str, pattern: Any, start: Any = None) -> int | None:
    """Return the last place of the pattern, nil where there is none."""
    most = len(text) if start is None else _start(text, start)
    if isinstance(pattern, str):
        place = text.rfind(pattern, 0, most + len(pattern))
        return None if place < 0 else place
    regexp = as_regexp(pattern)
    for position in range(min(most, len(text)), -1, -1):
        BUDGET.spend()
        found = regexp.pattern.match(text, position)
        if found is not None:
            LAST_MATCH.note(found, regexp)
            return position
    return None


@methods.of(Regexp, names="=~")
def regexp_position(pattern: Regexp, text: Any) -> int | None:
    """Return where the pattern matches, nil where it does not or the text is nil.

    Raises:
        RubyError: the subject is no text (TypeError).
    """
    if text is None:
        LAST_MATCH.data = None
        return None
    return position_of(text.name if isinstance(text, Symbol) else string_argument(text), pattern)


@methods.of(Regexp, names="match")
def regexp_match(pattern: Regexp, text: Any, start: Any = 0, block: Callable[[Any], Any] | None = None) -> Any:
    """Return the first match as MatchData; nil where there is none, or no text."""
    if text is None:
        LAST_MATCH.data = None
        return None
    return match(text.name if isinstance(text, Symbol) else string_argument(text), pattern, start, block)


@methods.of(Regexp, names="match?", returns=bool)
def regexp_does_match(pattern: Regexp, text: Any, start: Any = 0) -> bool:
    """Return whether the pattern matches."""
    return text is not None and does_match(
        text.name if isinstance(text, Symbol) else string_argument(text), pattern, start
    )


@methods.of(str, names="[] slice")
def part(text: str, key: Any, length: Any = None) -> str | None:
    """Return a character, a part, a match, one of its groups, or the given text if it is contained; else nil."""
    return string_part(text, key, length)


@methods.of(str, names="slice!", mutates=True)
def take_part(text: str, key: Any, length: Any = None) -> tuple[str, str | None]:
    """Remove a part from the receiver and return it."""
    found = part(text, key, length)
    if found is None:
        return text, None
    if type(key) is int:
        position = key + len(text) if key < 0 else key
    elif isinstance(key, Regexp):
        data: MatchData | None = LAST_MATCH.data
        position = data.match.start() if data is not None else 0
    else:
        position = text.find(found)
    return text[:position] + text[position + len(found) :], found
