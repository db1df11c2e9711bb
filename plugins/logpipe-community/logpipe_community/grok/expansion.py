"""Makes a regular expression of a grok pattern. Rules: fluent-plugin-grok-parser 2.6.2, grok.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from logpipe import LogpipeError

MOST_NAMES: Final = 1000
"""Names that one pattern may come to; more are a circle."""

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
        PatternError: a name in it is not known, or leads to itself.
    """
    types: dict[str, str] = {}
    for _ in range(MOST_NAMES):
        found = _NAME.search(pattern)
        if found is None:
            return pattern, types
        inner = known.get(found["pattern"])
        if inner is None:
            raise PatternError(f"grok pattern not found: %{{{found['pattern']}}}: write one into custom_pattern_path")
        group = "?:"
        if found["field"]:
            field = _field(found["field"])
            types[field] = found["type"] or "string"
            group = f"?<{field}>"
        pattern = f"{pattern[: found.start()]}({group}{inner}){pattern[found.end() :]}"
    raise PatternError(f"the pattern comes to more than {MOST_NAMES} names: one of them leads to itself")


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
