"""Where a stage listens, as its settings say it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["tcp", "udp", "unix", "unixgram"]

HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen at: what sockets are kept and handed on by. Made by `tcp`, `udp`, `unix` and `unixgram`.

    A name stands for all its addresses. Port 0 is a free port, the same one over reloads.
    """

    kind: Kind
    host: str = ""
    """An address or a name; empty for a Unix socket."""
    port: int = 0
    path: str = ""
    """Of a Unix socket."""
    mode: int | None = None
    """Of a Unix socket's file; None: 0777, cut by the umask."""
    number: int = 0
    """Tells the several free ports of one configuration apart."""

    @classmethod
    def tcp(cls, host: str, port: int) -> Address:
        """Return a place for connections."""
        return cls("tcp", _bare(host), port)

    @classmethod
    def udp(cls, host: str, port: int) -> Address:
        """Return a place for datagrams."""
        return cls("udp", _bare(host), port)

    @classmethod
    def unix(cls, path: str, *, mode: int | None = None) -> Address:
        """Return a place for connections in the file system."""
        return cls("unix", path=path, mode=mode)

    @classmethod
    def unixgram(cls, path: str, *, mode: int | None = None) -> Address:
        """Return a place for datagrams in the file system, such as /dev/log is."""
        return cls("unixgram", path=path, mode=mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a place in the file system."""
        return self.kind in {"unix", "unixgram"}

    @property
    def type(self) -> socket.SocketKind:
        """Connections or datagrams."""
        return socket.SOCK_DGRAM if self.kind in {"udp", "unixgram"} else socket.SOCK_STREAM

    def __str__(self) -> str:
        """Return it as messages name it."""
        if self.is_file:
            return f"the Unix socket {self.path}"
        return f"{'UDP ' if self.kind == 'udp' else ''}port {self.port} of {self.host}"


def _bare(host: str) -> str:
    """Return an IPv6 address without the brackets that it has in URLs."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_url(host: str, port: int) -> str:
    """Return host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
