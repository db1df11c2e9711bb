"""Renders diagnostics for people: the message, its line with a caret under the place, and the includes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.secrets import masked_line
from logpipe.config.sources import UnreadableError, read_text
from logpipe.printable import in_one_line

_WIDTH = 120


MOST_SHOWN: Final = 200


def render_all(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    """Yield rendered diagnostics, reading each file once; of very many only the first, errors preferred, and a count.

    Those that are shown stay in their order.
    """
    files: dict[str, Sequence[str]] = {}
    shown = diagnostics
    if len(diagnostics) > MOST_SHOWN:
        numbers = sorted(range(len(diagnostics)), key=lambda number: diagnostics[number].severity != "error")
        shown = [diagnostics[number] for number in sorted(numbers[:MOST_SHOWN])]
    for diagnostic in shown:
        file = diagnostic.position.file
        if file not in files:
            files[file] = _lines_of(file)
        yield _rendered(diagnostic, files[file])
    if shown is not diagnostics:
        every, some = (Counter(each.severity for each in group) for group in (diagnostics, shown))
        more = ", ".join(
            f"{number} {severity}{'' if number == 1 else 's'}" for severity, number in (every - some).items()
        )
        yield f"… and {more} more: fix these first"


def render(diagnostic: Diagnostic, *, source: str | None = None) -> str:
    """Return a diagnostic with the line it is about; `source` is the file's text, read from disk by default.

    The line is left out where it is not available (the file is gone, the text came from the command line).
    """
    return _rendered(diagnostic, _lines_of(diagnostic.position.file) if source is None else source.split("\n"))


def _lines_of(file: str) -> Sequence[str]:
    try:
        return read_text(file).split("\n")
    except UnreadableError:
        return ()


def _rendered(diagnostic: Diagnostic, source: Sequence[str]) -> str:
    lines = [str(diagnostic), *_excerpt(diagnostic, source)]
    lines += [in_one_line(f"  included from {place}") for place in reversed(diagnostic.included_from)]
    return "\n".join(lines)


def _excerpt(diagnostic: Diagnostic, source: Sequence[str]) -> list[str]:
    place = diagnostic.position
    if not place.line:
        return []
    line = _nth(source, place.line)
    width = len(line or "")
    line = None if line is None else masked_line(line)
    if line is None or place.column > width + 1:
        return []
    start = max(0, place.column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    # a tab under a tab keeps the caret in its column at any tab width
    indent = "".join("\t" if char == "\t" else " " for char in line[start : place.column - 1])
    number = str(place.line)
    return [f"  {number} | {_printable(shown)}", f"  {' ' * len(number)} | {indent}^"]


def _nth(lines: Sequence[str], number: int) -> str | None:
    return lines[number - 1].removesuffix("\r") if number <= len(lines) else None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "�" for char in text)
