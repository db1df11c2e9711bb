"""What is the same for every file of one configuration: whom to tell, and what reading may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from logpipe.config.diagnostic import Report

Fetch: TypeAlias = Callable[[str], bytes]
"""From a URL to what lies there; raises OSError."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What embedded code may see."""

    env: Mapping[str, str]
    hostname: str
    worker_id: str = ""


@dataclass(slots=True)
class Reading:
    """One configuration being read.

    `files` are the real paths of all files read so far, in order; `overflowed` tells that there were too many.
    """

    report: Report
    evaluation: Evaluation | None = None
    follow_includes: bool = True
    fetch: Fetch | None = None
    files: list[str] = field(default_factory=list)
    overflowed: bool = False
