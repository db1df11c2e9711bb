"""The nodes of an output: those that are found now, and in which order they get chunks."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from logpipe.builtin.out_forward.balance import Turns, in_use, turns_of
from logpipe.builtin.out_forward.node import Means, Node
from logpipe.discovery import Service


class Nodes:
    """Who is there."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._log = means.host.log
        self._nodes: dict[Service, Node] = {}
        self._turns: Turns[Node] = Turns()
        self._seed = random.getrandbits(32)
        self._replacing: list[Node] = []

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._nodes.values()))

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def healthy(self) -> int:
        """How many are there."""
        return sum(node.is_available for node in self._nodes.values())

    def become(self, services: Sequence[Service]) -> None:
        """Have a node for each of these services; those that had one keep it, with what is known of it."""
        before = self._nodes
        self._nodes = {each: before.get(each) or self._added(each) for each in services}
        for service, node in before.items():
            if service not in self._nodes:
                self._log.info("forwarding server '%s' is not there any more", node.title)
                node.close()
        self.rebalance()

    def rebalance(self) -> None:
        """Give turns anew: somebody has come or gone."""
        nodes, replacing = in_use(list(self._nodes.values()))
        for node in replacing:
            if node not in self._replacing:
                self._log.warning("using standby node %s (weight %d)", node.title, node.weight)
        self._replacing = replacing
        self._turns.rebuild(turns_of(nodes, self._seed))

    def for_chunk(self) -> Iterator[Node]:
        """Yield the nodes that a chunk may be sent to, each in its turn; then standbys, in the place of all others."""
        tried = []
        for node in self._turns:
            tried.append(node)
            yield node
        for node in self:
            if node.standby and node.weight > 0 and node.is_available and node not in tried:
                yield node

    def _added(self, service: Service) -> Node:
        node = Node(service, self._means)
        self._log.info("adding forwarding server '%s' (weight %d)", node.title, node.weight)
        return node
