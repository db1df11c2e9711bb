"""What an HTTP client is told. Nothing is without a bound; times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read where nobody asks for more: enough to say what is wrong."""


@dataclass(frozen=True, slots=True)
class HttpClientTls:
    """TLS, as a client speaks it. Files are read again when they have changed."""

    ca_path: str | None = None
    """CAs that are trusted, in place of the system's."""
    cert_path: str | None = None
    """The client's certificate, with those between it and its CA."""
    key_path: str | None = None
    """Its key; None where it stands in `cert_path`."""
    passphrase: str | None = field(default=None, repr=False)
    verify: bool = True
    """Whether the server's certificate must be by a trusted CA, and for its name."""
    min_version: str = "TLSv1_2"
    max_version: str = "TLSv1_3"
    ciphers: str | None = None
    """OpenSSL's list, up to TLS 1.2; None for Python's."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Of one client, and so of one pool of connections."""

    tls: HttpClientTls = field(default_factory=HttpClientTls)
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
