"""Datagrams and connections to messages, each no faster than outputs take their events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

from logpipe import InputHost
from logpipe.builtin.message_inputs.complaints import Complaints
from logpipe.builtin.message_inputs.delivery import Delivery
from logpipe.builtin.message_inputs.framing import BrokenFrameError, Framing
from logpipe.builtin.peers import Networks, PeerNames
from logpipe.net import Connection, Datagrams, Endpoint, Limits, Listener, TransportOptions

LIMITS: Final = Limits(connections=4096, per_address=2048, idle=None)
"""Senders keep a connection for as long as they run, are silent by nature, and lose what they write to a closed one."""
FREE: Final = 64 * 1024
"""Bytes of an unfinished message that every connection may hold; they are not counted."""
ROOM: Final = 256 * 1024 * 1024
"""Bytes of unfinished messages beyond that which all connections of an input may hold together."""
MOST_WAITING: Final = 4096
"""Datagrams that wait for those before them; with more, the kernel keeps them."""
_HURRY: Final = 1.0
"""Seconds in which what has come must be on its way, when the worker stops."""

Fields: TypeAlias = dict[str, Any]
"""What a record says of who has sent it."""
TakeMessages: TypeAlias = Callable[[list[bytes], Fields | Sequence[Fields]], Awaitable[None]]
"""Makes events of messages, with the fields of their sender, or of each message's; returns when they are taken."""


class Senders:
    """What records say of who has sent them.

    Args:
        host: of the input.
        address_key: the field for the address.
        name_key: the field for the name.
    """

    def __init__(self, host: InputHost, *, address_key: str | None, name_key: str | None) -> None:
        self._address_key = address_key
        self._name_key = name_key
        self._names = PeerNames(host) if name_key is not None else None
        self.are_wanted = address_key is not None or name_key is not None

    async def of(self, address: str) -> Fields:
        """Return the fields of one."""
        return (await self.of_all([address]))[0] if self.are_wanted else {}

    async def of_all(self, addresses: list[str]) -> list[Fields]:
        """Return the fields of each; equal ones may be one object, which is not to be changed."""
        names = await self._names.of_all(addresses) if self._names is not None else {}
        fields = {address: self._fields(address, names.get(address, address)) for address in {*addresses}}
        return [fields[address] for address in addresses]

    def _fields(self, address: str, name: str) -> Fields:
        keys = (self._address_key, address), (self._name_key, name)
        return {key: value for key, value in keys if key is not None}


class DatagramReceiver:
    """Gives on what has come together; in the meantime more comes.

    Args:
        host: of the input.
        endpoint: where.
        take: makes events of messages.
        transport: `<transport>`.
        limit: bytes of a message; what is longer is cut off.
        chomps: whether a newline at a message's end is taken off.
        senders: what records say of them.
        delivery: what `take` sends events by.
        complaints: where trouble is said.
    """

    def __init__(
        self,
        host: InputHost,
        endpoint: Endpoint,
        take: TakeMessages,
        *,
        transport: TransportOptions,
        limit: int,
        chomps: bool,
        senders: Senders,
        delivery: Delivery,
        complaints: Complaints,
    ) -> None:
        self._host = host
        self._take = take
        self._limit = limit
        self._chomps = chomps
        self._senders = senders
        self._delivery = delivery
        self._complaints = complaints
        self._datagrams = Datagrams(endpoint, self._arrived, log=host.log, transport=transport, longest=limit + 1)
        self._waiting: list[tuple[bytes, Any]] = []
        self._has_some = asyncio.Event()
        self._is_idle = True
        self._is_quiet = False
        self._cut = host.counter("cut_messages", "Datagrams of which what is beyond the limit was cut off.")
        host.gauge("dropped_datagrams", self._datagrams.dropped)

    async def start(self) -> None:
        """Read."""
        await self._datagrams.start()

    async def run(self) -> None:
        """Make events of what has come, until cancelled."""
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            self._is_idle = False
            found, self._waiting = self._waiting, []
            if len(found) >= MOST_WAITING and not self._is_quiet:
                self._datagrams.resume()
            fields: Fields | Sequence[Fields] = {}
            if self._senders.are_wanted:
                fields = await self._senders.of_all([each[1][0] for each in found])
            try:
                await self._take(self._messages(found), fields)
            except MemoryError:
                self._waiting[:0] = found  # no message is to blame, and `run` is called again
                self._has_some.set()
                raise
            self._is_idle = True

    async def quiesce(self) -> None:
        """Read nothing new, and see that what has come is on its way."""
        self._is_quiet = True
        await self._datagrams.quiesce()
        self._delivery.begun.clear()
        if (self._waiting or not self._is_idle) and not self._delivery.is_sending:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HURRY):
                    await self._delivery.begun.wait()
        self._delivery.quiesce()

    async def stop(self) -> None:
        """Read no more."""
        await self._datagrams.stop()

    def _arrived(self, found: list[tuple[bytes, Any]]) -> None:
        self._waiting += found
        self._has_some.set()
        if len(self._waiting) >= MOST_WAITING:
            self._datagrams.pause()

    def _messages(self, found: list[tuple[bytes, Any]]) -> list[bytes]:
        limit = self._limit
        messages = [each[0] for each in found]
        if max(map(len, messages)) > limit:
            what = "a datagram is longer than message_length_limit, the rest is cut off"
            count = sum(len(each) > limit for each in messages)
            self._cut.add(count)
            if self._complaints.allowed(what):
                self._host.log.warning("%s: limit=%d", what, limit)
            messages = [each[:limit] for each in messages]
        # most have no newline: what is less than one in their last place is rare
        return [each if each[-1:] > b"\r" else chomp(each) for each in messages] if self._chomps else messages


def chomp(message: bytes) -> bytes:
    r"""Return a message without the `\n`, `\r\n` or `\r` at its end: Ruby's chomp."""
    if message.endswith(b"\n"):
        return message[:-2] if message.endswith(b"\r\n") else message[:-1]
    return message[:-1] if message.endswith(b"\r") else message


class StreamReceiver:
    """Reads connections, each in turn with the events of what it has brought.

    Args:
        host: of the input.
        endpoint: where.
        take: makes events of messages.
        transport: `<transport>`.
        framing: makes what cuts the bytes of a connection.
        is_probed: whether the kernel is to find out that a peer has gone.
        allowed: who may send; None for everybody.
        senders: what records say of them.
        delivery: what `take` sends events by.
        complaints: where trouble is said.
    """

    def __init__(
        self,
        host: InputHost,
        endpoint: Endpoint,
        take: TakeMessages,
        *,
        transport: TransportOptions,
        framing: Callable[[], Framing],
        is_probed: bool,
        allowed: Networks | None = None,
        senders: Senders,
        delivery: Delivery,
        complaints: Complaints,
    ) -> None:
        self._host = host
        self._take = take
        self._framing = framing
        self._is_probed = is_probed
        self._allowed = allowed
        self._senders = senders
        self._delivery = delivery
        self._complaints = complaints
        self._held = 0
        self._listener = Listener(
            endpoint,
            self._serve,
            log=host.log,
            start_task=host.start_task,
            transport=transport,
            limits=LIMITS,
            terms=(getattr(framing, "func", framing), getattr(framing, "args", ())),
        )
        self._oversized = host.counter("oversized_messages", "Messages that were left out for their size.")
        self._unfinished = host.counter("unfinished_messages", "Messages whose connection has ended before they did.")
        self._broken = host.counter("broken_connections", "Connections that were closed for what came over them.")
        self._denied = host.counter("denied_connections", "Connections of those that may not send.")
        host.gauge("connections", lambda: self._listener.connections)

    async def start(self) -> None:
        """Accept connections."""
        if self._allowed is not None:
            await self._allowed.look_up(self._host)
            self._host.start_task(self._allowed.look_up_again(self._host), name="look up clients")
        await self._listener.start()

    async def run(self) -> None:
        """Do nothing: each connection has a task."""

    async def quiesce(self) -> None:
        """Read nothing new: connections wait for the next graph, where it cuts messages in the same way."""
        await self._listener.quiesce()
        self._delivery.quiesce()

    async def stop(self) -> None:
        """Leave the connections to the next graph."""
        await self._listener.stop()

    async def _serve(self, connection: Connection) -> None:
        peer = connection.peer
        if self._allowed is not None and peer not in self._allowed:
            self._denied.add(1)
            if self._complaints.allowed("anonymous client denied"):
                self._host.log.warning("anonymous client '%s' denied", peer)
            return
        if self._is_probed:
            connection.probe()
        fields = await self._senders.of(peer)
        framing = cast("Framing", connection.rest) if connection.rest is not None else self._framing()
        connection.rest = framing
        try:
            await self._read(connection, framing, fields)
        except BrokenFrameError as problem:
            self._broken.add(1)
            if self._complaints.allowed("a connection is closed for what came over it"):
                self._host.log.warning("%s: its connection is closed: %s", peer, problem)
        finally:
            if framing.held and not connection.is_let_go:
                self._unfinished.add(1)
                self._host.log.debug("%s has ended its connection within a message", peer)

    async def _read(self, connection: Connection, framing: Framing, fields: Fields) -> None:
        counted = 0
        try:
            while data := await connection.read():
                messages = framing.feed(data)
                if framing.too_long:
                    self._report_too_long(framing)
                if messages:
                    await self._take(messages, fields)
                more = max(0, framing.held - FREE) - counted
                counted += more
                self._held += more
                if more > 0 and self._held > ROOM:
                    raise BrokenFrameError(f"unfinished messages take {self._held} bytes, and this is one of them")
        finally:
            self._held -= counted

    def _report_too_long(self, framing: Framing) -> None:
        self._oversized.add(len(framing.too_long))
        what = "a message is longer than message_length_limit, it is left out"
        for each in framing.too_long[: self._complaints.allowed(what, len(framing.too_long))]:
            self._host.log.warning("%s: size=%d head=%r", what, each.size, each.head)
        framing.too_long.clear()
