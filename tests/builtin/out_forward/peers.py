"""Servers for the forward output: our own input, in a pipeline of its own, behind a front that has moods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from logpipe.builtin.in_forward import Forward
from logpipe.testing import Front, Pipeline, drive

BUFFER = "<buffer tag>\nflush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.3\n{}\n</buffer>\n"


class ForwardPeer(Front):
    """A server."""

    def __init__(self, running: Pipeline) -> None:
        port: int = running.plugin(Forward)._endpoint.names()[0][1]
        super().__init__("127.0.0.1", port)
        self.running = running

    async def received(self) -> Collection[int]:
        """Return the numbers of the events that it has taken."""
        return {record["n"] for record in self.running.records()}

    @property
    def taken(self) -> list[Any]:
        """The field `n` of each event, in order."""
        return [record.get("n") for record in self.running.records()]

    @property
    def connections(self) -> int:
        """How many there were so far."""
        return self._connections

    @property
    def section(self) -> str:
        """A `<server>` that leads to it."""
        return self.server()

    def server(self, more: str = "") -> str:
        """Return a `<server>` that leads to it."""
        return f"<server>\nhost 127.0.0.1\nport {self.port}\n{more}\n</server>\n"


@asynccontextmanager
async def peer(conf: str = "", *, listen: str = "127.0.0.1") -> AsyncIterator[ForwardPeer]:
    """Serve for as long as the block lasts; `conf` is more of the input's section."""
    async with (
        drive(Forward, f"bind 127.0.0.1\nport 0\n{conf}") as running,
        ForwardPeer(running).standing(listen=listen) as front,
    ):
        yield front


def conf(*servers: str, more: str = "", buffer: str = "") -> str:
    """Return the body of an output's section that asks nobody whether he is there."""
    beats = "" if "heartbeat_type" in more else "heartbeat_type none\n"
    return f"{beats}{more}\n{''.join(servers)}{BUFFER.format(buffer)}"
