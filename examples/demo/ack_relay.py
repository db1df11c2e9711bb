"""A relay before Tansu that drops the responses a real Kafka would not send.

A producer with `required_acks 0` gets no response from Apache Kafka. Tansu responds, and a client that does not expect
it takes the connection for broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
from asyncio import StreamReader, StreamWriter
from functools import partial

from examples.demo.loopback import serve

PRODUCE = 0
FIRST_WITH_TRANSACTION = 3
FIRST_FLEXIBLE = 9

LENGTH = struct.Struct(">i")
CORRELATION = struct.Struct(">i")
REQUEST = struct.Struct(">hhi")
SHORT = struct.Struct(">h")

# The largest request that a broker accepts by default; a larger length is not Kafka's protocol.
LARGEST = 104_857_600


def ack_relay(upstream: int) -> contextlib.AbstractAsyncContextManager[int]:
    """Relay connections to the loopback port `upstream`; gives the port to connect to instead."""
    return serve(partial(_relay, upstream))


def unanswered(request: bytes) -> int | None:
    """Return the correlation id of a request that Kafka does not answer, None for any other request.

    Args:
        request: header and body as in Kafka's protocol guide, without the length before them.
    """
    api, version, correlation = REQUEST.unpack_from(request)
    if api != PRODUCE:
        return None
    rest = io.BytesIO(request)
    rest.seek(REQUEST.size)
    _skip_string(rest)  # client id
    if version >= FIRST_FLEXIBLE:
        _skip_tags(rest)
        _skip_compact_string(rest)  # transactional id
    elif version >= FIRST_WITH_TRANSACTION:
        _skip_string(rest)  # transactional id
    (acks,) = SHORT.unpack(rest.read(SHORT.size))
    return correlation if acks == 0 else None


async def _relay(upstream: int, client_reader: StreamReader, client_writer: StreamWriter) -> None:
    """Relay one client's connection until the broker ends it, which it does after the client."""
    silenced: set[int] = set()
    broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", upstream)
    with contextlib.closing(broker_writer):
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_requests(client_reader, broker_writer, silenced))
                directions.create_task(_answers(broker_reader, client_writer, silenced))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # the broker ended the connection, and with it the task that read from it and so the other


async def _requests(client: StreamReader, broker: StreamWriter, silenced: set[int]) -> None:
    """Relay requests to the broker and record those whose responses are to be dropped."""
    try:
        while True:
            request = await _read(client)
            if (correlation := unanswered(request)) is not None:
                silenced.add(correlation)
            await _write(broker, request)
    except (OSError, asyncio.IncompleteReadError):
        # The client may close before the broker has read all: closing now would lose data in flight.
        broker.write_eof()


async def _answers(broker: StreamReader, client: StreamWriter, silenced: set[int]) -> None:
    """Relay responses to the client, except for the silenced ones, while it is connected."""
    while True:
        answer = await _read(broker)
        (correlation,) = CORRELATION.unpack_from(answer)
        if correlation in silenced:
            silenced.remove(correlation)
        elif not client.is_closing():
            with contextlib.suppress(ConnectionError):
                await _write(client, answer)


async def _read(reader: StreamReader) -> bytes:
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if not CORRELATION.size <= length <= LARGEST:
        raise ConnectionError(f"a frame of {length} bytes is not Kafka's protocol")
    return await reader.readexactly(length)


async def _write(writer: StreamWriter, frame: bytes) -> None:
    writer.writelines((LENGTH.pack(len(frame)), frame))
    await writer.drain()


def _skip_string(rest: io.BytesIO) -> None:
    (length,) = SHORT.unpack(rest.read(SHORT.size))
    rest.seek(max(length, 0), io.SEEK_CUR)  # -1 stands for null


def _skip_compact_string(rest: io.BytesIO) -> None:
    rest.seek(max(_varint(rest) - 1, 0), io.SEEK_CUR)  # 0 stands for null


def _skip_tags(rest: io.BytesIO) -> None:
    for _ in range(_varint(rest)):
        _varint(rest)
        rest.seek(_varint(rest), io.SEEK_CUR)


def _varint(rest: io.BytesIO) -> int:
    """Read an unsigned integer of seven bits a byte, the lowest first."""
    value = shift = 0
    while True:
        (byte,) = rest.read(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
