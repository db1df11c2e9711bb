"""The settings of an HTTP client. Nothing is without a bound; times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from logpipe.net.client_tls import ClientTls

MOST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read where nobody asks for more: enough to say what is wrong."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Of one client, and so of one pool of connections."""

    tls: ClientTls = field(default_factory=ClientTls)
    proxy: str | None = field(default=None, repr=False)
    """Its URL, `http://user:password@host:port`; None for none."""
    open_seconds: float = 60.0
    """For a connection: to find the address, and to connect."""
    tls_seconds: float | None = None
    """For the TLS handshake behind that; None for as long as `open_seconds`."""
    read_seconds: float = 60.0
    """Without a byte of the answer, and without the peer's taking another piece of the request."""
    whole_seconds: float = 600.0
    """For a request from its start to the end of its answer."""
    reuse: bool = True
    """Whether a connection serves more than one request."""
    idle_seconds: float = 15.0
    """How long a connection is kept that nobody uses."""
