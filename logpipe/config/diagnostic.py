"""Diagnostics of a configuration: place, message, code and hint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from logpipe.config.secrets import masked_urls
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
