"""What somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Final

MOST_GUESSES: Final = 100
"""Names among which the nearest is looked for: it takes some 10 µs for each."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a hint naming the nearest known name, or "" where none is near or there are too many to look at."""
    near = difflib.get_close_matches(name, known, n=1) if len(known) <= MOST_GUESSES else []
    return f'did you mean "{near[0]}"?' if near else ""
