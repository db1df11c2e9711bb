"""Regexp and MatchData."""

from __future__ import annotations

import re
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.string_match import as_regexp
from logpipe.expression.regexp.pattern import group_names
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.indexing import array_part, group
from logpipe.expression.runtime.matches import LAST_MATCH, MatchData, Regexp, dynamic_regexp
from logpipe.expression.runtime.text import regexp_text, to_s
from logpipe.expression.runtime.values import Symbol

methods = Methods()

methods.of(MatchData, names="[]")(group)


@methods.of(MatchData, names="captures", returns=list)
def captures(data: MatchData) -> list[Any]:
    """Return the groups' texts."""
    return list(data.match.groups())


@methods.of(MatchData, names="to_a deconstruct", returns=list)
def to_a(data: MatchData) -> list[Any]:
    """Return the whole match and the groups' texts."""
    return [data.match[0], *data.match.groups()]


@methods.of(MatchData, names="named_captures", returns=dict)
def named_captures(data: MatchData, options: Any = None) -> dict[Any, Any]:
    """Return the named groups; `symbolize_names: true` makes the names symbols."""
    found = {shown: data.match[name] for name, shown in group_names(data.match.re).items()}
    if isinstance(options, dict) and options.get(Symbol.of("symbolize_names")):
        return {Symbol.of(name): value for name, value in found.items()}
    return found


@methods.of(MatchData, Regexp, names="names", returns=list)
def names(value: Any) -> list[Any]:
    """Return the names of the groups."""
    return list(group_names(value.match.re if isinstance(value, MatchData) else value.pattern).values())


@methods.of(MatchData, names="pre_match", returns=str)
def before(data: MatchData) -> str:
    """Return the text before the match."""
    return data.match.string[: data.match.start()]


@methods.of(MatchData, names="post_match", returns=str)
def behind(data: MatchData) -> str:
    """Return the text after the match."""
    return data.match.string[data.match.end() :]


@methods.of(MatchData, names="string", returns=str)
def subject(data: MatchData) -> str:
    """Return the text that was searched."""
    return data.match.string


@methods.of(MatchData, names="regexp")
def pattern_of(data: MatchData) -> Regexp:
    """Return the pattern."""
    return data.regexp


@methods.of(MatchData, names="begin")
def begin(data: MatchData, number: Any) -> int | None:
    """Return where a group begins, nil where it did not match."""
    position = data.match.start(_group_key(number))
    return None if position < 0 else position


@methods.of(MatchData, names="end")
def end(data: MatchData, number: Any) -> int | None:
    """Return where a group ends, nil where it did not match."""
    position = data.match.end(_group_key(number))
    return None if position < 0 else position


@methods.of(MatchData, names="offset", returns=list)
def offset(data: MatchData, number: Any) -> list[Any]:
    """Return where a group begins and ends."""
    return [begin(data, number), end(data, number)]


def _group_key(key: Any) -> Any:
    return key.name if isinstance(key, Symbol) else key if isinstance(key, str) else integer_argument(key)


@methods.of(MatchData, names="size length", returns=int)
def size(data: MatchData) -> int:
    """Return the number of groups, plus one for the whole match."""
    return data.match.re.groups + 1


@methods.of(MatchData, names="values_at", returns=list)
def values_at(data: MatchData, *keys: Any) -> list[Any]:
    """Return several groups."""
    return [group(data, key) if isinstance(key, (str, Symbol)) else array_part(to_a(data), key) for key in keys]


@methods.of(Regexp, names="source", returns=str)
def source(pattern: Regexp) -> str:
    """Return the pattern's text."""
    return pattern.source


@methods.of(Regexp, names="to_s", returns=str)
def regexp_to_s(pattern: Regexp) -> str:
    """Return the pattern as a group with its flags."""
    return regexp_text(pattern)


@methods.of(Regexp, names="options", returns=int)
def options_of(pattern: Regexp) -> int:
    """Return the flags as a number."""
    return sum(bit for flag, bit in (("i", 1), ("x", 2), ("m", 4)) if flag in pattern.flags)


@methods.function("Regexp", names="new compile")
def new_regexp(text: Any, flags: Any = None) -> Regexp:
    """Return the Regexp of a text.

    Raises:
        RubyError: the text is not a regular expression (RegexpError).
    """
    if isinstance(text, Regexp):
        return text
    if isinstance(flags, str):
        written = flags
    elif type(flags) is int:
        written = "".join(flag for flag, bit in (("i", 1), ("x", 2), ("m", 4)) if flags & bit)
    else:
        written = "i" if flags else ""
    return dynamic_regexp(string_argument(text), written)


@methods.function("Regexp", names="escape quote", returns=str)
def escape(text: Any) -> str:
    """Return the text with the special characters of regular expressions escaped."""
    written = re.sub(r"([\\.^$*+?{}\[\]|()\-# ])", r"\\\1", to_s(text))
    for char, letter in (("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"), ("\f", "\\f"), ("\v", "\\v")):
        written = written.replace(char, letter)
    return written


@methods.function("Regexp", names="union")
def union(*patterns: Any) -> Regexp:
    """Return the Regexp that matches where one of several does."""
    items = patterns[0] if len(patterns) == 1 and isinstance(patterns[0], list) else patterns
    return dynamic_regexp("|".join(escape(item) if isinstance(item, str) else to_s(as_regexp(item)) for item in items))


@methods.function("Regexp", names="last_match")
def last_match(key: Any = None) -> Any:
    """Return the last match, or one of its groups."""
    data = LAST_MATCH.data
    return data if key is None or data is None else group(data, key)
