"""Decompresses packed events, with a bound on what comes out."""

from __future__ import annotations

from typing import Final

from logpipe.builtin.compression import Compression, CorruptError, decompressor
from logpipe.builtin.forward_protocol.limits import FrameLimits, ProtocolError

_PIECE: Final = 1 << 20
_FREE: Final = 1 << 20
"""Bytes that may come out whatever went in."""


def inflate(data: bytes, compression: Compression, limits: FrameLimits) -> bytes:
    """Return decompressed content: members one behind the other, as fluentd's buffers have them.

    Raises:
        ProtocolError: it is damaged or cut off, or more than the limits allow.
    """
    most = min(limits.inflated, max(_FREE, len(data) * limits.ratio))
    found = bytearray()
    rest = data
    while rest:
        stream = decompressor(compression)
        given = rest
        while not stream.eof:
            if stream.needs_input and not given and (found or given is not rest):
                raise ProtocolError(f"{compression}: the end is missing")
            try:
                found += stream.decompress(given, _PIECE)
            except CorruptError as problem:
                raise ProtocolError(f"{compression}: {problem}") from None
            given = b""
            if len(found) > most:
                raise ProtocolError(f"{len(data)} bytes of {compression} are more than {most} decompressed")
        rest = stream.unused_data
    return bytes(found)
