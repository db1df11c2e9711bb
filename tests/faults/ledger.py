"""The ledger that logpipe writes into its log when it stops."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Ledger:
    """One run's ledger."""

    text: str
    unexplained: int


def ledgers(said: str) -> list[Ledger]:
    """Return the ledgers in what logpipe has said, one for each run that it ended in order."""
    found = re.finditer(r"\bledger: (.*)", said)
    return [Ledger(line[1], sum(int(n) for n in re.findall(r"\bunexplained=(-?\d+)", line[1]))) for line in found]


def last_ledger(said: str) -> Ledger | None:
    """Return the last of them."""
    found = ledgers(said)
    return found[-1] if found else None
