"""Faults, and what becomes of the events under them: `make faults`, `make soak`, and the exhaustive kill run."""

from __future__ import annotations

import argparse
import sys

from tests.faults.outcome import Impossible


def main() -> int:
    """Run what was asked for; the status is 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    soak = commands.add_parser("soak", help="everything at once on the article's pipeline")
    soak.add_argument("--minutes", type=float, default=30)
    soak.add_argument("--lines-per-second", type=int, default=3000)
    soak.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    try:
        return _soak(given)
    except Impossible as error:
        sys.stdout.write(f"can't run here: {error}\n")
        return 0


def _soak(given: argparse.Namespace) -> int:
    from tests.faults.soak.run import soak  # noqa: PLC0415 - each command imports what it needs

    return soak(minutes=given.minutes, per_second=given.lines_per_second, seed=given.seed)


if __name__ == "__main__":
    sys.exit(main())
