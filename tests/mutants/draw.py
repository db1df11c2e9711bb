"""Which mistakes are planted: those with names, and some of all that are possible."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Final

from tests.mutants.sites import Mutant, mutants

REASONS: Final = Path(__file__).with_name("reasons.jsonl")
LARGEST_SHARE: Final = 5
"""No file has more than one in so many of what is drawn."""


class Possible:
    """All that can be planted in some files.

    Args:
        sources: the files' bytes.
    """

    def __init__(self, sources: dict[Path, bytes]) -> None:
        self.mutants = [mutant for file, source in sources.items() for mutant in mutants(file, source)]

    def draw(self, seed: int, count: int) -> list[Mutant]:
        """Return so many of them, in an order that changes little when the files do."""
        drawn: list[Mutant] = []
        share: Counter[Path] = Counter()
        for each in sorted(self.mutants, key=lambda each: _number(seed, each)):
            if len(drawn) < count and share[each.file] < max(1, count // LARGEST_SHARE):
                share[each.file] += 1
                drawn.append(each)
        return drawn

    def reasons(self) -> dict[str, str]:
        """Return why some of them need not be noticed, by their keys.

        Raises:
            LookupError: a reason is for a mistake that cannot be made any more.
        """
        keys = {each.key for each in self.mutants}
        reasons = {}
        for line in REASONS.read_text().splitlines():
            row = json.loads(line)
            key = f"{row['file']} {row['function']}: {row['change']}"
            if key not in keys:
                raise LookupError(f"{key} is not possible any more: take its reason out of {REASONS}")
            reasons[key] = row["reason"]
        return reasons


def _number(seed: int, mutant: Mutant) -> bytes:
    return hashlib.blake2b(f"{seed} {mutant.key}".encode(), digest_size=8).digest()
