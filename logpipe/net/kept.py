"""Connections that a stage has left, for the one that listens at the same address after a reload."""

from __future__ import annotations

from collections.abc import Sequence

from logpipe.net.connection import Connection


class Kept:
    """Connections between two stages: nothing is read of them, and what comes waits in the kernel.

    Args:
        terms: what they are served under; who has others cannot go on with them.
        connections: that are open.
    """

    def __init__(self, terms: object, connections: Sequence[Connection]) -> None:
        self.terms = terms
        self.connections = connections

    async def close(self) -> None:
        """End them: nobody came."""
        for each in self.connections:
            each.close()
