"""Suggests known names for misspelled ones."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Final

MOST_NAMES: Final = 100
"""No suggestion is searched for among more names than this, since each takes about 10 µs."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a hint naming the nearest known name, or "" where none is near or there are too many to look at."""
    near = difflib.get_close_matches(name, known, n=1) if len(known) <= MOST_NAMES else []
    return f'did you mean "{near[0]}"?' if near else ""
