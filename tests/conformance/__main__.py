"""Runs conformance rows: `python -m tests.conformance [FILE…]`, without a file the copies beside this one.

Prints `ID ok` or `ID FAIL what` for each row and last `N passed, M failed`; the status is 1 if any failed. Rows whose
stages do not exist yet are skipped, and rows of `deviations` are shown with their reason and counted apart.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.frame import COPIES, Verdict, judge, rows


def main(arguments: Sequence[str]) -> int:
    """Run the rows of some files and return the process's status."""
    logging.getLogger().addHandler(logging.NullHandler())  # what stages log is not part of the verdicts
    counts = dict.fromkeys(Verdict, 0)
    reasons: dict[str, int] = {}
    for path in [Path(argument) for argument in arguments] or COPIES:
        for row in rows(path):
            verdict, what = judge(row)
            counts[verdict] += 1
            if verdict is Verdict.SKIPPED:
                reasons[what] = reasons.get(what, 0) + 1
            sys.stdout.write(f"{row['id']} {verdict.value}{' ' if what else ''}{what}\n")
    for reason, count in sorted(reasons.items()):
        sys.stdout.write(f"{count} skipped: {reason}\n")
    if counts[Verdict.DIFFERS]:
        sys.stdout.write(f"{counts[Verdict.DIFFERS]} differ on purpose, see tests/conformance/deviations.py\n")
    sys.stdout.write(f"{counts[Verdict.PASSED]} passed, {counts[Verdict.FAILED]} failed\n")
    return 1 if counts[Verdict.FAILED] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
