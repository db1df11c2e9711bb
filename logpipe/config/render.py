"""Diagnostics as people read them: the message, its line with a caret under the place, and how the file got in."""

from __future__ import annotations

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.secrets import masked_line
from logpipe.config.sources import UnreadableError, read_text
from logpipe.printable import in_one_line

_WIDTH = 120


def render(diagnostic: Diagnostic, *, source: str | None = None) -> str:
    """Return a diagnostic with the line it is about; `source` is the file's text, read from disk by default.

    A line that is not there (the file is gone, the text came from the command line) is left out.
    """
    lines = [str(diagnostic), *_excerpt(diagnostic, source)]
    lines += [in_one_line(f"  included from {place}") for place in reversed(diagnostic.included_from)]
    return "\n".join(lines)


def _excerpt(diagnostic: Diagnostic, source: str | None) -> list[str]:
    place = diagnostic.position
    if not place.line:
        return []
    line = _line(place.file, place.line) if source is None else _nth(source, place.line)
    width = len(line or "")
    line = None if line is None else masked_line(line)
    if line is None or place.column > width + 1:
        return []
    start = max(0, place.column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    # a tab under a tab keeps the caret in its column, whatever width the terminal gives tabs
    indent = "".join("\t" if char == "\t" else " " for char in line[start : place.column - 1])
    number = str(place.line)
    return [f"  {number} | {_printable(shown)}", f"  {' ' * len(number)} | {indent}^"]


def _line(file: str, number: int) -> str | None:
    try:
        return _nth(read_text(file), number)
    except UnreadableError:
        return None


def _nth(text: str, number: int) -> str | None:
    lines = text.split("\n")
    return lines[number - 1].removesuffix("\r") if number <= len(lines) else None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "�" for char in text)
