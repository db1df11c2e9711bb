"""The brokers' addresses: a fixed list, or their registrations in ZooKeeper."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson

from logpipe import Host
from logpipe_kafka.cluster_options import is_address

REMIND_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 3.0
"""Seconds for the first connection before a warning is logged."""
READ_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 10.0


async def wait_at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, so many seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Brokers(Protocol):
    """A list of bootstrap addresses, HOST:PORT each; it may be unknown at first, and change."""

    changed: asyncio.Event
    """Set when the list has changed; the waiter clears it."""

    async def start(self) -> None:
        """Begin to find the addresses."""

    async def addresses(self) -> Sequence[str]:
        """Return the list, once there is one."""

    def refresh(self) -> None:
        """Find the addresses again, because none could be reached; returns at once."""

    async def stop(self) -> None:
        """Close all connections; safe without `start`, and twice."""


class FixedBrokers:
    """The addresses in the configuration; invalid ones are left out."""

    def __init__(self, addresses: Sequence[str], host: Host) -> None:
        self.changed = asyncio.Event()
        self._given = list(addresses)
        self._addresses = [text for text in addresses if is_address(text)]
        self._host = host

    async def start(self) -> None:
        """Do nothing."""

    async def addresses(self) -> Sequence[str]:
        """Return the configured list; without one, wait and repeat a warning."""
        while not self._addresses:
            self._host.log.error(
                "brokers names no broker (%s), so that events wait: write host:port and start again",
                ", ".join(self._given) or "it is empty",
            )
            await asyncio.sleep(REMIND_SECONDS)
        return self._addresses

    def refresh(self) -> None:
        """Do nothing: the list is fixed."""

    async def stop(self) -> None:
        """Do nothing."""


class ZooKeeperBrokers:
    """Brokers by their registrations under `zookeeper_path`.

    kazoo works in threads of its own and reconnects by itself; its callbacks are passed to the loop.

    Args:
        hosts: ZooKeeper's addresses, with a root node after a slash if there is one.
        path: the node whose children are the brokers.
        protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL: which of a broker's endpoints to take.
        host: the output's.
    """

    def __init__(self, hosts: str, path: str, protocol: str, host: Host) -> None:
        self.changed = asyncio.Event()
        self._hosts = hosts
        self._path = path
        self._protocol = protocol
        self._host = host
        self._addresses: list[str] = []
        self._known = asyncio.Event()
        self._stale = asyncio.Event()
        self._last_warning = ""
        self._client: Any = None

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        from kazoo.client import KazooClient  # noqa: PLC0415 - loaded only where ZooKeeper is used

        # kazoo warns at each attempt while ZooKeeper is away; this class warns once.
        logging.getLogger("kazoo").addHandler(logging.NullHandler())
        wake = _from_any_thread(asyncio.get_running_loop(), self._stale.set)
        self._client = KazooClient(
            self._hosts,
            connection_retry={"max_tries": -1, "max_delay": LONGEST_PAUSE},
            logger=logging.getLogger("kazoo"),
        )
        # Called at each change of the connection; a new session has none of the old one's watches.
        self._client.add_listener(wake)
        await self._host.in_thread(self._client.start_async)
        self._host.start_task(self._follow(wake), name="zookeeper")

    async def addresses(self) -> Sequence[str]:
        """Return the brokers, once some are known."""
        await self._known.wait()
        return self._addresses

    def refresh(self) -> None:
        """Read again."""
        self._stale.set()

    async def stop(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._host.in_thread(close, client)

    async def _follow(self, on_change: Callable[[object], None]) -> None:
        """Read the registrations whenever they may have changed; retry while that fails."""
        pause = FIRST_PAUSE
        await wait_at_most(
            CONNECT_SECONDS, self._stale
        )  # kazoo does not allow requests before; its listener ends the wait
        self._stale.set()
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                found_any = self._update(await self._host.in_thread(self._read, on_change))
            except Exception as error:  # noqa: BLE001 - kazoo's errors have no common base; each is tried again
                self._warn_once(f"can't read the brokers from ZooKeeper {self._hosts} {self._path}: {reason_of(error)}")
                found_any = False
            if found_any:
                pause = FIRST_PAUSE
            else:
                await wait_at_most(pause, self._stale)
                pause = min(LONGEST_PAUSE, pause * 2)
                self._stale.set()

    def _warn_once(self, text: str) -> None:
        """Log a problem, once while it lasts."""
        if text != self._last_warning:
            self._host.log.warning("%s", text)
            self._last_warning = text

    def _read(self, on_change: Any) -> dict[str, bytes]:
        """Return every registration by broker id; called in a thread."""
        client = self._client
        if client is None:
            return {}
        ids = client.get_children_async(self._path, watch=on_change).get(timeout=READ_SECONDS)
        pending = {name: client.get_async(f"{self._path}/{name}") for name in sorted(ids)}
        return {name: answer.get(timeout=READ_SECONDS)[0] for name, answer in pending.items()}

    def _update(self, nodes: dict[str, bytes]) -> bool:
        """Set the addresses from registrations; returns whether there are any."""
        found = []
        for name, data in nodes.items():
            try:
                found.append(address(orjson.loads(data), self._protocol))
            except ValueError as problem:
                self._host.log.warning("broker %s is left out: %s", name, problem)
        if not found:
            # compat: the message of out_kafka.rb
            self._warn_once("No brokers found on Zookeeper")
            return False
        self._last_warning = ""
        if found != self._addresses:
            # compat: the message of out_kafka.rb
            self._host.log.info("brokers has been refreshed via Zookeeper: %s", found)
            self._addresses = found
            self.changed.set()
        self._known.set()
        return True


def address(registration: Any, protocol: str) -> str:
    """Return the HOST:PORT of `protocol` in a broker's registration.

    A broker without a PLAINTEXT listener registers a null host and the port -1; its addresses are in `endpoints`.

    Raises:
        ValueError: it has none; the message lists what it has.
    """
    if not isinstance(registration, dict):
        raise ValueError(f"its registration is no object: {registration!r}")  # noqa: TRY004 - one kind of error
    endpoints = [text for text in registration.get("endpoints") or () if isinstance(text, str)]
    protocols = registration.get("listener_security_protocol_map") or {}
    for endpoint in endpoints:
        listener, _, place = endpoint.partition("://")
        if protocols.get(listener, listener) == protocol:
            parts = urlsplit(f"//{place}")
            if parts.hostname and parts.port:
                return _joined(parts.hostname, parts.port)
    host, port = registration.get("host"), registration.get("port")
    if protocol == "PLAINTEXT" and host and isinstance(port, int) and port > 0:
        return _joined(host, port)
    raise ValueError(f"no {protocol} endpoint found on Zookeeper, only {', '.join(endpoints) or 'none at all'}")


def _from_any_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> Callable[[object], None]:
    """Return a function for kazoo's threads that schedules `call` in the loop, if that still runs."""

    def hand_over(_event: object) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call)

    return hand_over


def reason_of(error: Exception) -> str:
    """Return the description of one of kazoo's errors, whose names are more informative than their texts."""
    name = type(error).__name__
    if "Timeout" in name:
        return f"no answer within {READ_SECONDS:.0f} seconds"
    return f"{name}: {error}" if str(error) else name


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def close(client: Any) -> None:
    """Close one of kazoo's clients; to be called in a thread."""
    client.stop()
    client.close()
