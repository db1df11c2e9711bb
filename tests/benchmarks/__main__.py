"""`make bench`: what the flagship costs, beside the same work written by hand, on the same broker and in the same run.

Figures of different machines, or of one shared machine at different times, can't be compared; the ratios here can.
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks import configuration, expressions, files, fluent_bit, forward, growth, lines, messages, posted
from tests.benchmarks.buffers import measure_buffers
from tests.benchmarks.compare import broker, compare
from tests.benchmarks.idle import measure_idle
from tests.benchmarks.measure import FailedError


def main() -> int:
    """Run the benchmark; the status is 1 if a program failed or events are missing."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--lines", type=int, default=300_000, help="lines of input")
    arguments.add_argument("--rounds", type=int, default=3, help="how often each pipeline runs; the best run counts")
    arguments.add_argument("--left", type=int, default=1024, metavar="MB", help="size of chunks left by a previous run")
    given = arguments.parse_args()
    try:
        with broker() as kafka:
            flagship = compare(kafka, lines=given.lines, rounds=given.rounds)
            sys.stdout.write(flagship.text() + "\n\n")
            buffers = measure_buffers(kafka, lines=given.lines, rounds=given.rounds, megabytes=given.left)
            sys.stdout.write(buffers.text() + "\n\n")
        sys.stdout.write("\n".join([*measure_idle().rows(), "", *growth.report(), ""]))
    except FailedError as error:
        sys.stderr.write(f"failed: {error}\n")
        return 1
    sys.stdout.write("\n".join(["", *lines.report(lines=given.lines, rounds=given.rounds), ""]))
    yardstick = flagship.comparisons[0].yardstick_rate
    rows = posted.report(lines=given.lines, rounds=given.rounds, yardstick=yardstick)
    sys.stdout.write("\n".join(["", *rows, ""]))
    rows = forward.report(yardstick, lines=given.lines, rounds=given.rounds)
    sys.stdout.write("\n".join(["", *rows, ""]))
    sys.stdout.write("\n".join(["", *messages.report(rounds=given.rounds, yardstick=yardstick), ""]))
    rows = files.report(lines=given.lines, rounds=given.rounds, yardstick=yardstick)
    sys.stdout.write("\n".join(["", *rows, ""]))
    sys.stdout.write("\n".join(["", *fluent_bit.report(lines=given.lines), ""]))
    sys.stdout.write("\n".join(["", *configuration.report(), "", *expressions.report(), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
