"""Finds out why a reachable broker disconnects: TLS on one side only, or a missing or refused client certificate.

Kafka closes such a connection without a message, so the connection's error has no cause. Each probe below is a
separate connection, made once when an outage begins.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

SECONDS: Final = 3.0
"""Seconds for one probe."""

# https://kafka.apache.org/protocol: ApiVersions, version 0, correlation 1, no client id; needs no authentication
_QUESTION: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
_TLS: Final = (b"\x16\x03", b"\x15\x03")  # the beginning of a handshake record, and of an alert
_ANSWER: Final = struct.Struct(">ii")


async def diagnose(address: str, context: ssl.SSLContext | None, *, has_certificate: bool) -> str:
    """Return the likely cause with a hint, "" where none is found.

    Args:
        address: of the broker, HOST:PORT.
        context: our side of TLS, None where connections are plaintext.
        has_certificate: whether we have a client certificate.
    """
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port)) if port.isdecimal() and host else (address, 9092)
    if context is None:
        if await _speaks_tls(place):
            return (
                f"{address} speaks TLS, and we do not: set ssl_ca_cert or ssl_ca_certs_from_system true, or name the "
                "port for plaintext"
            )
        return ""
    if await _speaks_plaintext(place):
        return f"{address} does not speak TLS, and we do: name its port for TLS, or remove the ssl_ settings"
    how = await _hangs_up(place, context)
    if not how or not await _speaks_tls(place):
        return ""
    if has_certificate:
        return f"{address} refuses our certificate ({how}): look at ssl_client_cert and ssl_client_cert_chain"
    return f"{address} wants a client certificate ({how}): set ssl_client_cert and ssl_client_cert_key"


@asynccontextmanager
async def _connected(
    place: tuple[str, int], context: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(*place, ssl=context)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def _speaks_tls(place: tuple[str, int]) -> bool:
    """Return whether a TLS handshake is answered in TLS, even with an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    greeting = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), greeting, server_hostname=place[0]).do_handshake()
    try:
        async with _connected(place, None) as (reader, writer):
            writer.write(greeting.read())
            return await reader.readexactly(2) in _TLS
    except (OSError, TimeoutError, EOFError):
        return False


async def _speaks_plaintext(place: tuple[str, int]) -> bool:
    try:
        async with _connected(place, None) as (reader, writer):
            writer.write(_QUESTION)
            _, correlation = _ANSWER.unpack(await reader.readexactly(_ANSWER.size))
    except (OSError, TimeoutError, EOFError):
        return False
    return bool(correlation == 1)


async def _hangs_up(place: tuple[str, int], context: ssl.SSLContext) -> str:
    """Return how the broker aborts TLS, "" where it does not; with TLS 1.3 that comes after the handshake."""
    try:
        async with _connected(place, context) as (reader, writer):
            writer.write(_QUESTION)
            await reader.readexactly(_ANSWER.size)
    except ssl.SSLCertVerificationError:
        return ""  # refused on our side, which the log already has
    except ssl.SSLError as error:
        return str(error.reason or "it hangs up").replace("_", " ").lower()
    except (ConnectionError, EOFError):
        return "it hangs up"
    except (OSError, TimeoutError):
        pass
    return ""
