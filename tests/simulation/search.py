"""Ways to try schedules: all there are of some length, or random ones; and to make one that fails shorter."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.simulation.trial import Outcome, Schedule, carry_out
from tests.simulation.world import World


@dataclass
class Found:
    """A schedule that fails."""

    world: World
    number: int
    """Of the exhaustive run, or the seed."""
    schedule: Schedule
    shortened: Schedule
    outcome: Outcome

    def report(self) -> str:
        """Return all that is needed to see it again."""
        return "\n".join(
            [
                f"world {self.world.name}: {self.world.about}",
                f"schedule {self.number}: {self.schedule}",
                f'again: make simulate WORLD={self.world.name} ARGS="{self.shortened}"',
                *(f"FAULT {fault}" for fault in self.outcome.faults),
                *self.outcome.diary,
            ]
        )


@dataclass
class Tried:
    """What a search has come to."""

    count: int
    """Schedules."""
    found: Found | None = None
    is_all: bool = False
    """Whether these were all there are."""


def drawn(world: World, seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = random.Random(f"{world.name} {seed}")
    actions = (*world.actions, *world.also)
    length = rng.randint(4, 24)
    return Schedule(tuple(rng.choice(actions) for _ in range(length)), rng.choice((0.0, 0.05, 0.6, 3.0)), seed)


def shorten(world: World, schedule: Schedule, place: Path) -> tuple[Schedule, Outcome]:
    """Leave out what a failure does not need."""
    best, outcome = schedule, carry_out(world, schedule, place)
    kinds = {_kind(fault) for fault in outcome.faults}
    tries = [replace(best, seed=None)] if best.seed is not None else []
    for each in tries:
        found = carry_out(world, each, place)
        if kinds & {_kind(fault) for fault in found.faults}:
            best, outcome = each, found
    size = max(1, len(best.actions) // 2)
    while size:
        start = 0
        while start < len(best.actions):
            shorter = replace(best, actions=best.actions[:start] + best.actions[start + size :])
            found = carry_out(world, shorter, place)
            if kinds & {_kind(fault) for fault in found.faults}:
                best, outcome = shorter, found
            else:
                start += size
        size //= 2
    return best, outcome


def _kind(fault: str) -> str:
    return " ".join(word for word in fault.split() if word.isalpha())[:24] or fault[:12]


def search(
    world: World,
    schedules: Iterable[tuple[int, Schedule]],
    place: Path,
    *,
    seconds: float | None = None,
) -> Tried:
    """Try schedules until one fails or the time is over."""
    count, began = 0, time.monotonic()
    for number, schedule in schedules:
        if seconds is not None and time.monotonic() - began > seconds:
            return Tried(count)
        count += 1
        outcome = carry_out(world, schedule, place)
        if outcome.faults:
            shortened, shorter = shorten(world, schedule, place)
            outcome = shorter if shorter.faults else outcome
            return Tried(count, Found(world, number, schedule, shortened, outcome))
    return Tried(count, is_all=True)
