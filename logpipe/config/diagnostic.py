"""Diagnostics of a configuration: place, message, code and hint, and how people are shown them with their lines."""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from logpipe.config.secrets import masked_line, masked_urls
from logpipe.config.sources import UnreadableError, read_text
from logpipe.errors import LogpipeError
from logpipe.printable import in_one_line


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a configuration: `line` and `column` count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


NOWHERE = Position("<generated>")
"""The place of what is in no file: defaults, and elements made by the engine."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message to the user; shown as `file:line:col: severity: message (hint) [code]`.

    `included_from` lists the `@include` lines that led to the place, outermost first.
    """

    code: str
    severity: Literal["error", "warning", "hint"]
    message: str
    position: Position
    hint: str = ""
    included_from: tuple[Position, ...] = ()

    @property
    def level(self) -> int:
        """The level it is logged at once the configuration runs."""
        return logging.DEBUG if self.severity == "hint" else logging.WARNING

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return in_one_line(f"{self.position}: {self.severity}: {self.message}{hint} [{self.code}]")


Report: TypeAlias = Callable[[Diagnostic], None]
"""Receives diagnostics."""


def error(code: str, message: str, position: Position, hint: str = "") -> Diagnostic:
    """Return a diagnostic that prevents the configuration from running."""
    return Diagnostic(code, "error", masked_urls(message), position, hint)


def warning(code: str, message: str, position: Position, hint: str = "") -> Diagnostic:
    """Return a diagnostic that does not prevent running; `--strict` makes it an error."""
    return Diagnostic(code, "warning", masked_urls(message), position, hint)


def remark(code: str, message: str, position: Position, hint: str = "") -> Diagnostic:
    """Return a diagnostic of severity hint: nothing is wrong; shown on request."""
    return Diagnostic(code, "hint", masked_urls(message), position, hint)


class ConfigError(LogpipeError):
    """The configuration cannot be used; `diagnostics` are the reasons, each with its place."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(str(diagnostic) for diagnostic in diagnostics))
        self.diagnostics = list(diagnostics)


MOST_NAMES: Final = 100
"""No suggestion is searched for among more names than this, since each takes about 10 µs."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a hint naming the nearest known name, or "" where none is near or there are too many to look at."""
    near = difflib.get_close_matches(name, known, n=1) if len(known) <= MOST_NAMES else []
    return f'did you mean "{near[0]}"?' if near else ""


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


TYPOGRAPHIC_QUOTES: Final = "“”„‟‘’‚‛«»"  # noqa: RUF001 - what this is about
