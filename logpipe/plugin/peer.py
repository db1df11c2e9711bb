"""What `logpipe check --connect` tries: the peers that outputs send to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Peer(NamedTuple):
    """One that an output sends to."""

    name: str
    """Its address, without what is secret."""
    attempt: Callable[[], Awaitable[str]]
    """Connects as the output does, with what says who it is, and sends no event.

    It returns what the peer says of itself, "" for nothing; an exception says why events would be refused. It is
    cancelled after a while.
    """
