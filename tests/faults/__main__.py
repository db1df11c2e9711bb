"""Faults, and what becomes of the events under them: `make faults`, `make soak`, and the exhaustive kill run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.faults.outcome import Impossible


def main() -> int:
    """Run what was asked for; the status is 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    matrix = commands.add_parser("matrix", help="the fault matrix, row by row")
    matrix.add_argument("rows", type=int, nargs="*", help="numbers of rows; all of them unless given")
    matrix.add_argument("--short", action="store_true", help="less of everything: a few minutes in all")
    matrix.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    matrix.add_argument("--keep", type=Path, help="folder for what failed trials leave")
    matrix.set_defaults(run=_matrix)
    kills = commands.add_parser("kills", help="a kill at every write, sync, rename, unlink and truncate")
    kills.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    kills.add_argument(
        "--again-each", type=int, default=10, help="kill again during recovery, for one point in so many"
    )
    kills.add_argument("--keep", type=Path, help="folder for what failed trials leave")
    kills.set_defaults(run=_kills)
    soak = commands.add_parser("soak", help="everything at once on the article's pipeline")
    soak.add_argument("--minutes", type=float, default=30)
    soak.add_argument("--lines-per-second", type=int, default=3000)
    soak.add_argument("--seed", type=int, default=1)
    soak.set_defaults(run=_soak)
    given = parser.parse_args()
    try:
        status: int = given.run(given)
    except Impossible as error:
        sys.stdout.write(f"can't run here: {error}\n")
        return 0
    return status


def _matrix(given: argparse.Namespace) -> int:
    from tests.faults.matrix import show  # noqa: PLC0415 - each command imports what it needs

    return show(given.rows, short=given.short, jobs=given.jobs, keep=given.keep)


def _kills(given: argparse.Namespace) -> int:
    from tests.faults.kills import kill_everywhere  # noqa: PLC0415 - the same

    return kill_everywhere(jobs=given.jobs, again_each=given.again_each, keep=given.keep)


def _soak(given: argparse.Namespace) -> int:
    from tests.faults.soak.run import soak  # noqa: PLC0415 - the same

    return soak(minutes=given.minutes, per_second=given.lines_per_second, seed=given.seed)


if __name__ == "__main__":
    sys.exit(main())
