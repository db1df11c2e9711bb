"""A broker's side of SASL/PLAIN, in front of one that knows none."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Final

from logpipe.testing.front import Ends
from tests.services.tcp_proxy import REQUEST, SIZE, TcpProxy, split

HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
AUTHENTICATE: Final = 36
_COUNT: Final = struct.Struct(">hi")
_KINDS: Final = struct.pack(">hhhhhh", HANDSHAKE, 0, 1, AUTHENTICATE, 0, 0)
_PLAIN: Final = bytes.fromhex("0000 00000001 0005") + b"PLAIN"
_WELCOME: Final = bytes.fromhex("0000 ffff 00000000")
_REASON: Final = b"Authentication failed: Invalid username or password"
_REFUSED: Final = struct.pack(">hh", 58, len(_REASON)) + _REASON + bytes(4)


class SaslGate(TcpProxy):
    """Lets a client that authenticates through with the right password; one that does not try goes through as it is.

    Attributes:
        password: what is right at this moment.
        refused: clients that were turned away so far.
    """

    def __init__(self, host: str, port: int, *, password: str) -> None:
        super().__init__(host, port)
        self.password = password
        self.refused = 0

    async def admit(self, client: Ends, server: Ends) -> None:
        """Answer what concerns SASL (KIP-43), and everything before that as the broker does."""
        while True:
            frame = await self.piece(client[0])
            kind, version, request = REQUEST.unpack_from(frame, SIZE.size)
            if kind == HANDSHAKE:
                _answer(client, request, _PLAIN)
            elif kind == AUTHENTICATE:
                if not frame.endswith(f"\0{self.password}".encode()):
                    self.refused += 1
                    _answer(client, request, _REFUSED)
                    raise EOFError("refused")
                _answer(client, request, _WELCOME)
                return
            else:
                server[1].write(frame)
                answer = (await self.piece(server[0]))[2 * SIZE.size :]
                _answer(client, request, _with_sasl(answer) if (kind, version) == (API_VERSIONS, 0) else answer)
                if kind != API_VERSIONS:
                    return


def _answer(client: Ends, request: int, body: bytes) -> None:
    client[1].write(SIZE.pack(SIZE.size + len(body)) + SIZE.pack(request) + body)


def _with_sasl(answer: bytes) -> bytes:
    """Add the requests of SASL to those that the broker says it knows."""
    error, count = _COUNT.unpack_from(answer)
    return _COUNT.pack(error, count + 2) + answer[_COUNT.size :] + _KINDS


@contextlib.asynccontextmanager
async def sasl_gate(address: str, *, password: str) -> AsyncIterator[SaslGate]:
    """Stand in front of HOST:PORT for as long as the block lasts."""
    async with SaslGate(*split(address), password=password).standing() as gate:
        yield gate
