"""What parsing shares among the files of one configuration: where to report, and what embedded code may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from logpipe.config.diagnostic import Position, Report
from logpipe.config.element import USE_DEFAULT, Value

Fetch: TypeAlias = Callable[[str], bytes]
"""Returns the content of a URL; raises OSError."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What embedded code may see."""

    env: Mapping[str, str]
    hostname: str
    worker_id: str = ""

    def run(self, source: str, read_files: list[str] | None = None) -> Value:
        """Return the text that code results in; None for `use_nil`, USE_DEFAULT for `use_default`.

        The files that it reads are appended to `read_files`.

        Raises:
            ExpressionError: the code cannot be run, or it failed.
        """
        from logpipe.expression import embedded  # noqa: PLC0415 - most configurations hold no code

        value = embedded.evaluate_embedded(
            source, env=self.env, hostname=self.hostname, worker_id=self.worker_id, read_files=read_files
        )
        if isinstance(value, embedded.ValueRequest):
            return None if value is embedded.USE_NIL else USE_DEFAULT
        return embedded.to_text(value)


@dataclass(slots=True)
class ParseContext:
    """The state of reading one configuration.

    `files` are the real paths of all files read so far, in order; `overflowed` is set when there were too many, and
    `circular` are the places of circular includes.
    """

    report: Report
    evaluation: Evaluation | None = None
    follow_includes: bool = True
    fetch: Fetch | None = None
    files: list[str] = field(default_factory=list)
    overflowed: bool = False
    circular: set[Position] = field(default_factory=set)
