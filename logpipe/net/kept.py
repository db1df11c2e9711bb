"""Connections that a stage has left, for the one that listens at the same address after a reload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from logpipe.net.connection import Connection
from logpipe.sockets.handed import HandedConnection


class Kept:
    """Connections between two stages: nothing is read of them, and what comes waits in the kernel.

    Args:
        terms: what they are served under; who has others cannot go on with them.
        connections: that are open.
    """

    def __init__(self, terms: object, connections: Sequence[Connection]) -> None:
        self.terms = terms
        self.connections = connections

    def hand_over(self) -> Iterator[HandedConnection]:
        """Let go of those that another program can go on with, for good."""
        for each in self.connections:
            sock, waiting = each.hand_over()
            if sock is not None:
                yield HandedConnection(sock, waiting, repr(self.terms))

    async def close(self) -> None:
        """End them: nobody came."""
        for each in self.connections:
            each.close()
