"""Makes a regular expression of a grok pattern. Rules: fluent-plugin-grok-parser 2.6.2, grok.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Final

from logpipe import LogpipeError

MOST_NAMES: Final = 1000
"""Names that one pattern may come to."""
DEEPEST: Final = 100

_NAME: Final = re.compile(
    r"""
    %\{ (?P<pattern> [A-Za-z0-9_\[\\\]^`]+ )
        (?: : (?P<field> [@\[\]A-Za-z0-9_:.^`\\-]+? )
            (?: : (?P<type> string | bool | integer | float | time (?: : .+? )? | array (?: : . )? ) )?
        )?
    \}
    """,
    re.VERBOSE,
)


class PatternError(LogpipeError):
    """A pattern cannot be made an expression."""


def expand(pattern: str, known: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the regular expression, in Ruby's syntax, and the types of its fields.

    Raises:
        PatternError: a name in it is not known, or leads to itself, or it comes to too many.
    """
    types: dict[str, str] = {}
    return _expanded(pattern, known, types, (), count(1)), types


def _expanded(
    pattern: str, known: Mapping[str, str], types: dict[str, str], path: tuple[str, ...], names: Iterator[int]
) -> str:
    def group(found: re.Match[str]) -> str:
        name, kind = found["pattern"], "?:"
        inner = known.get(name)
        if inner is None:
            raise PatternError(f"grok pattern not found: %{{{name}}}: write one into custom_pattern_path")
        if name in path:
            raise PatternError(f"%{{{name}}} leads to itself: {' to '.join([*path[path.index(name) :], name])}")
        if next(names) > MOST_NAMES or len(path) > DEEPEST:
            raise PatternError(f"the pattern comes to more than {MOST_NAMES} names, or {DEEPEST} within one another")
        if found["field"]:
            field = _field(found["field"])
            types[field] = found["type"] or "string"
            kind = f"?<{field}>"
        return f"({kind}{_expanded(inner, known, types, (*path, name), names)})"

    return _NAME.sub(group, pattern)


def _field(written: str) -> str:
    """Return the name of a field: `[a][b]` is `a.b`."""
    if written.startswith("[") and written.endswith("]"):
        return ".".join(written[1:-1].split("]["))
    return written


def read_patterns(path: Path) -> dict[str, str]:
    """Return the patterns of a file, or of all files of a folder: NAME, blanks, expression on each line.

    Raises:
        OSError: it cannot be read.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {name: pattern for file in files for name, pattern in _lines(file.read_text("utf-8", "replace"))}


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, pattern = line.partition(" ") if "\t" not in line.split(" ", 1)[0] else line.partition("\t")
            if pattern.strip():
                yield name, pattern.lstrip()
