"""A fake ZooKeeper: just enough of its protocol to look up the brokers of a cluster.

The nodes never change, so no watch fires.
"""

from __future__ import annotations

import contextlib
import json
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Mapping
from enum import IntEnum
from functools import partial

from examples.demo.loopback import serve

INT = struct.Struct(">i")
CONNECT = struct.Struct(">iqiqi")  # protocol version, last transaction seen, timeout, session, length of its password
GREETING = struct.Struct(">iiqi")  # protocol version, timeout, session, length of its password
REQUEST = struct.Struct(">ii")  # xid, operation
REPLY = struct.Struct(">iqi")  # xid, transaction, error
STAT = struct.Struct(">qqqqiiiqiiq")

SESSION = 1
PASSWORD = bytes(16)
TRANSACTION = 1
LARGEST = 1 << 20


class Operation(IntEnum):
    """The requests that are understood."""

    EXISTS = 3
    GET_DATA = 4
    GET_CHILDREN = 8
    PING = 11
    GET_CHILDREN_AND_STAT = 12
    CLOSE = -11


class Code(IntEnum):
    """How a request went."""

    OK = 0
    UNIMPLEMENTED = -6
    NO_NODE = -101


def broker_nodes(address: str) -> dict[str, bytes]:
    """Return the nodes of a cluster of one broker, by path, with the data they hold.

    Args:
        address: where the broker listens, HOST:PORT.
    """
    host, port = address.rsplit(":", 1)
    registration = {
        "version": 4,
        "host": host,
        "port": int(port),
        "endpoints": [f"PLAINTEXT://{address}"],
        "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"},
        "jmx_port": -1,
        "timestamp": "1466000000000",
    }
    return {"/": b"", "/brokers": b"", "/brokers/ids": b"", "/brokers/ids/0": json.dumps(registration).encode()}


@contextlib.asynccontextmanager
async def zookeeper(nodes: Mapping[str, bytes]) -> AsyncIterator[str]:
    """Serve the nodes on loopback while the context is open; yields the address, HOST:PORT."""
    async with serve(partial(_session, nodes)) as port:
        yield f"127.0.0.1:{port}"


async def _session(nodes: Mapping[str, bytes], reader: StreamReader, writer: StreamWriter) -> None:
    """Greet one client and answer its requests until it closes its session."""
    _, _, timeout, _, _ = CONNECT.unpack_from(await _read(reader))
    _write(writer, GREETING.pack(0, timeout, SESSION, len(PASSWORD)) + PASSWORD)
    operation = None
    while operation != Operation.CLOSE:
        request = await _read(reader)
        xid, operation = REQUEST.unpack_from(request)
        code, answer = _answer(nodes, operation, request[REQUEST.size :])
        _write(writer, REPLY.pack(xid, TRANSACTION, code) + answer)
        await writer.drain()


def _answer(nodes: Mapping[str, bytes], operation: int, arguments: bytes) -> tuple[Code, bytes]:
    if operation in (Operation.PING, Operation.CLOSE):
        return Code.OK, b""
    if operation not in list(Operation):
        return Code.UNIMPLEMENTED, b""
    (length,) = INT.unpack_from(arguments)
    path = arguments[INT.size : INT.size + length].decode()
    if path not in nodes:
        return Code.NO_NODE, b""
    return Code.OK, _node(nodes, operation, path)


def _node(nodes: Mapping[str, bytes], operation: int, path: str) -> bytes:
    """Return the operation's result for an existing node."""
    above = path.rstrip("/") + "/"
    children = [node.removeprefix(above) for node in nodes if node.startswith(above) and node != above]
    children = [name for name in children if "/" not in name]
    names = INT.pack(len(children)) + b"".join(_buffer(name.encode()) for name in children)
    status = STAT.pack(1, 1, 0, 0, 0, 0, 0, 0, len(nodes[path]), len(children), 1)
    match operation:
        case Operation.GET_DATA:
            return _buffer(nodes[path]) + status
        case Operation.GET_CHILDREN:
            return names
        case Operation.GET_CHILDREN_AND_STAT:
            return names + status
        case _:
            return status


async def _read(reader: StreamReader) -> bytes:
    (length,) = INT.unpack(await reader.readexactly(INT.size))
    if not 0 < length <= LARGEST:
        raise ConnectionError(f"a frame of {length} bytes is not zookeeper's protocol")
    return await reader.readexactly(length)


def _write(writer: StreamWriter, frame: bytes) -> None:
    writer.write(_buffer(frame))


def _buffer(data: bytes) -> bytes:
    return INT.pack(len(data)) + data
