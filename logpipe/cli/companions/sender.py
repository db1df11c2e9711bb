"""A connection to a server of the forward protocol that is made again where it breaks, for a program that blocks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

from logpipe.errors import LogpipeError

Address: TypeAlias = tuple[str, int] | str

RETRY_SECONDS: Final = 1.0
"""Between two attempts."""
CONNECT_SECONDS: Final = 10.0
FAREWELL_SECONDS: Final = 5.0
"""How long the server may take to close its side."""
_HELO: Final = b"HELO"


class GaveUp(LogpipeError):  # noqa: N818 - what happened
    """The server cannot be reached, or does not want what is sent."""


class Sender:
    """Sends messages, one after the other.

    Args:
        address: host and port, or the path of a Unix socket.
        retry_limit: how often connecting is tried again, for each message.
        say: prints what has failed.
        sleep: waits.
    """

    def __init__(
        self,
        address: Address,
        *,
        retry_limit: int,
        say: Callable[[str], object],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._address = address
        self._retry_limit = retry_limit
        self._say = say
        self._sleep = sleep
        self._socket: socket.socket | None = None

    def send(self, message: bytes) -> None:
        """Send a message; one that breaks off is sent again, whole.

        Raises:
            GaveUp: the server cannot be reached.
        """
        failures = 0
        while True:
            try:
                self._leave_closed()
                self._connected().sendall(message)
            except OSError as problem:
                self._say(f"{'connect' if self._socket is None else 'write'} failed: {problem.strerror or problem}")
                self._close()
                failures += 1
                if failures > self._retry_limit:
                    raise GaveUp("retry limit exceeded") from None
                self._sleep(RETRY_SECONDS)
            else:
                return

    def finish(self) -> None:
        """Close the connection, once the server has read everything and closed its side.

        Raises:
            GaveUp: the server wants a key that it was not given.
        """
        if self._socket is None:
            return
        answer = b""
        with suppress(OSError):  # a timeout: it keeps its side open
            self._socket.settimeout(FAREWELL_SECONDS)
            self._socket.shutdown(socket.SHUT_WR)
            while piece := self._socket.recv(4096):
                answer = (answer + piece)[:64]
        self._close()
        if _HELO in answer:
            raise GaveUp("the server has a <security> section and wants a shared key: send by a <match> @type forward")

    def _leave_closed(self) -> None:
        """Close a connection that the server has closed: what is written to one is lost without a word."""
        if self._socket is not None:
            with suppress(BlockingIOError):
                if not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    self._close()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            if isinstance(self._address, str):
                unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    unix.connect(self._address)
                except OSError:
                    unix.close()
                    raise
                self._socket = unix
            else:
                self._socket = socket.create_connection(self._address, timeout=CONNECT_SECONDS)
                self._socket.settimeout(None)
        return self._socket

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
