"""What is the same for every file of one configuration: whom to tell, and what reading may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from logpipe.config.diagnostic import Position, Report
from logpipe.config.element import USE_DEFAULT, Value

Fetch: TypeAlias = Callable[[str], bytes]
"""From a URL to what lies there; raises OSError."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What embedded code may see."""

    env: Mapping[str, str]
    hostname: str
    worker_id: str = ""

    def run(self, source: str, read_files: list[str] | None = None) -> Value:
        """Return the text that code gives, or None or USE_DEFAULT where it asks for that.

        The files that it reads are appended to `read_files`.

        Raises:
            ExpressionError: the code cannot be run, or it failed.
        """
        from logpipe.expression import embedded  # noqa: PLC0415 - most configurations hold no code

        value = embedded.evaluate_embedded(
            source, env=self.env, hostname=self.hostname, worker_id=self.worker_id, read_files=read_files
        )
        if isinstance(value, embedded.Wanted):
            return None if value is embedded.USE_NIL else USE_DEFAULT
        return embedded.to_text(value)


@dataclass(slots=True)
class Reading:
    """One configuration being read.

    `files` are the real paths of all files read so far, in order; `overflowed` tells that there were too many, and
    `circular` are the places of includes that lead back to where they stand.
    """

    report: Report
    evaluation: Evaluation | None = None
    follow_includes: bool = True
    fetch: Fetch | None = None
    files: list[str] = field(default_factory=list)
    overflowed: bool = False
    circular: set[Position] = field(default_factory=set)
