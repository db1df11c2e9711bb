"""Chooses a node for each chunk, by weight: fluentd's plugin/out_forward/load_balancer.rb."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

MOST_PLACES: Final = 100_000
"""In the order of turns; weights that need more are divided."""
LEAST_TURNS: Final = 6
"""Of each node in one round, so that those of one that is away spread over the others."""


class Weighted(Protocol):
    """What is chosen."""

    @property
    def weight(self) -> int:
        """Its share."""
        ...

    @property
    def standby(self) -> bool:
        """Whether it is for the place of others."""
        ...

    @property
    def is_available(self) -> bool:
        """Whether it can be used now."""
        ...


N = TypeVar("N", bound=Weighted)


def in_use(nodes: Sequence[N]) -> tuple[list[N], list[N]]:
    """Return the nodes that have turns, and those of them that stand in for others: as much weight as is away."""
    regular = [node for node in nodes if node.weight > 0 and not node.standby]
    lost = sum(node.weight for node in regular if not node.is_available)
    replacing: list[N] = []
    for node in nodes:
        if lost > 0 and node.weight > 0 and node.standby and node.is_available:
            replacing.append(node)
            lost -= node.weight
    return [*regular, *replacing], replacing


def turns_of(nodes: Sequence[N], seed: int) -> list[N]:
    """Return the order of turns: each node as often as its weight says, shuffled, the same for the same seed."""
    if not nodes:
        return []
    divisor = math.gcd(*(node.weight for node in nodes))
    divisor *= math.ceil(sum(node.weight for node in nodes) / divisor / MOST_PLACES)
    turns = [node for node in nodes for _ in range(max(node.weight // divisor, 1))]
    turns *= max(len(nodes) * LEAST_TURNS // len(turns), 1)
    random.Random(seed).shuffle(turns)
    return turns


class Turns(Generic[N]):
    """Gives nodes their turns, round after round."""

    def __init__(self) -> None:
        self._turns: list[N] = []
        self._place = 0

    def rebuild(self, turns: list[N]) -> None:
        """Take another order."""
        self._turns = turns

    def __iter__(self) -> Iterator[N]:
        """Yield for one chunk each node that can be used, that whose turn it is first; none twice."""
        tried: list[N] = []
        for _ in range(len(self._turns)):
            self._place = (self._place + 1) % max(len(self._turns), 1)
            node = self._turns[self._place]
            if node.is_available and node not in tried:
                tried.append(node)
                yield node
