"""`make simulate`: schedules in simulated time, until the time is over or something is found."""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import tempfile
import time
from pathlib import Path

from tests.simulation.orders import every
from tests.simulation.search import drawn, search
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
            random = ((seed, drawn(world, seed)) for seed in itertools.count(given.seed))
            tried = search(world, enumerate(every(world)) if given.every else random, place, seconds=seconds)
            took, used = time.monotonic() - began, time.process_time() - used
            of_all = ", all of them" if tried.is_all else ""
            rate = f"{60 * tried.count / took:.0f} a minute, {60 * tried.count / used:.0f} a minute of one core"
            sys.stdout.write(f"{world.name}: {tried.count} schedules{of_all}, {rate}\n")
            if tried.found is not None:
                sys.stdout.write(f"{tried.found.report()}\n")
            sys.stdout.flush()
            failed += tried.found is not None
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
