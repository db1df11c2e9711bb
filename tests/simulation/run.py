"""`make simulate`: schedules in simulated time, until the time is over or something is found."""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import tempfile
import time
from pathlib import Path

from tests.simulation.search import Found, drawn, every, search
from tests.simulation.trial import Schedule, carry_out
from tests.simulation.worlds import WORLDS


def folder_in_memory() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for schedules, in memory where there is such a disk."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is ours
    return tempfile.TemporaryDirectory(prefix="logpipe-simulation-", dir=memory if memory.is_dir() else None)


def main() -> int:
    """Run, and return the exit status."""
    given = arguments()
    worlds = [WORLDS[name] for name in given.world or WORLDS]
    with folder_in_memory() as folder:
        place = Path(folder).resolve() / "place"
        if given.schedule is not None:
            schedule = Schedule(tuple(given.schedule.split()), given.pace, given.dice)
            outcome = carry_out(worlds[0], schedule, place)
            sys.stdout.write("\n".join([*map("FAULT {}".format, outcome.faults), *outcome.diary, ""]))
            return 1 if outcome.faults else 0
        failed = 0
        for world in worlds:
            carry_out(world, Schedule(()), place)  # imports
            gc.collect()
            gc.freeze()
            began, used = time.monotonic(), time.process_time()
            seconds = None if given.seconds is None else given.seconds / len(worlds)
            found: Found | None
            if given.every:
                count, found = search(world, enumerate(every(world)), place, seconds=seconds)
            else:
                seeds = itertools.count(given.seed)
                count, found = search(world, ((n, drawn(world, n)) for n in seeds), place, seconds=seconds)
            took, used = time.monotonic() - began, time.process_time() - used
            rate = f"{count} schedules, {60 * count / took:.0f} a minute, {60 * count / used:.0f} a minute of one core"
            sys.stdout.write(f"{world.name}: {rate}\n")
            if found is not None:
                sys.stdout.write(f"{found.report()}\n")
            failed += found is not None
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    """Return the command line's."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--world", action="append", choices=list(WORLDS), help="all unless given")
    parser.add_argument(
        "--seconds",
        type=float,
        help="for all worlds together; make gives 60, and without it a run goes on until it finds something",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first random schedule")
    parser.add_argument("--every", action="store_true", help="every schedule of a world's length, not random ones")
    parser.add_argument("--schedule", help="one schedule: its actions, with blanks between")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds after each action of --schedule")
    parser.add_argument("--dice", type=int, help="the seed of --schedule")
    return parser.parse_args()
