"""How much of a process strangers can take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one listener. Nothing is without a bound; times are in seconds."""

    connections: int = 1024
    """At a time. Those that come then wait in the kernel until one ends."""
    per_address: int | None = None
    """At a time from one address, so that it cannot take all of them; others of it are closed. None: as many as there
    are. A `Listener` keeps to it: a server of HTTP makes room instead, and Unix sockets have no addresses."""
    handshake: float = 10.0
    """For TLS."""
    idle: float | None = 300.0
    """Without a byte from the peer; None where peers are silent by nature."""


@dataclass(frozen=True, slots=True)
class HttpLimits(Limits):
    """Of an HTTP server."""

    connections: int = 256
    """At a time. One that comes then takes the place of that which has waited longest, unless all are being served."""
    idle: float = 75.0
    """Between two requests of a connection."""
    head: float = 10.0
    """For a request's line and headers, from its first byte, or from the start of the connection."""
    body: float = 30.0
    """For the body of a request."""
    answer: float = 30.0
    """For the client to take the answer."""
    line_bytes: int = 8190
    """Of the request line, and of each header."""
    head_bytes: int = 32768
    """Of all headers together."""
    held_bytes: int = 256 * 1024 * 1024
    """Of bodies that are in memory at a time; what comes then is refused with 503."""
    stop: float = 2.0
    """At a stop, for requests that are being served."""
