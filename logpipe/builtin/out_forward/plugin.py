"""Sends events to other forwarders. Settings and rules: fluentd's plugin/out_forward.rb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar, Final, Generic, TypeVar

from logpipe import Chunk, EventBatch, InvalidSetting, Options, Output, OutputHost, PermanentError
from logpipe.builtin.chunk_payloads import compressed_of, pieces_of
from logpipe.builtin.discovery.static import StaticDiscovery, StaticOptions
from logpipe.builtin.forward_protocol import ProtocolError, pack_events
from logpipe.builtin.out_forward.heartbeats import Heartbeats
from logpipe.builtin.out_forward.message import message_of
from logpipe.builtin.out_forward.node import Means, Node, SendError, reason_of
from logpipe.builtin.out_forward.nodes import Nodes
from logpipe.builtin.out_forward.options import ForwardOptions
from logpipe.codec import Payloads
from logpipe.discovery import Peer, Services
from logpipe.net import ClientContexts, ClientTls, Dialer, Pool

PURGE_SECONDS: Final = 5.0
"""Between two looks for connections that have waited too long."""

O = TypeVar("O", bound=Options)  # noqa: E741 - the one letter that reads as "options"


class NoNodesError(ConnectionError):
    """No server is there now."""


class Forwarding(Output[O], Generic[O]):
    """What sends chunks by the forward protocol; the outputs of that kind differ in their settings.

    Args:
        options: the output's.
        host: the output's.
        settings: what they mean.
        tls: whom it trusts; as `settings` say without it.
        is_named_first: whether a server's name, where it has one, counts for TLS though its host is a name.
        has_options: whether messages have options.
    """

    compat: ClassVar = frozenset({"buffer"})
    buffer_argument = "tag"

    def __init__(
        self,
        options: O,
        host: OutputHost,
        settings: ForwardOptions,
        *,
        tls: ClientTls | None = None,
        is_named_first: bool = False,
        has_options: bool = True,
    ) -> None:
        super().__init__(options, host)
        if host.is_secondary and "tag" not in host.chunk_keys:
            raise InvalidSetting("buffer chunk key must include 'tag' for forward output: write <buffer tag>")
        self._settings = settings
        self._has_options = has_options
        self._content = _content_function(settings, self.encode)
        static = StaticOptions(service=settings.all_servers())
        discoveries = [StaticDiscovery(static, host), *map(host.discovery, settings.service_discovery)]
        self._pool = pool = (
            Pool(host.clock.monotonic, idle_seconds=settings.keepalive_timeout) if settings.keepalive else None
        )
        speaks_tls = settings.transport == "tls"
        self._contexts = ClientContexts(tls or settings.client_tls(), host.log) if speaks_tls else None
        dialer = Dialer(
            contexts=self._contexts,
            connect_seconds=settings.hard_timeout if settings.connect_timeout is None else settings.connect_timeout,
            write_seconds=settings.send_timeout,
            keepalive=settings.send_keepalive_packet,
            deadline=host.clock.timeout,
        )
        self._nodes = Nodes(Means(settings, host, dialer, pool, is_named_first=is_named_first))
        self._services = Services(discoveries, host, self._nodes.become)
        self._heartbeats: Heartbeats | None = None
        host.gauge("healthy_nodes_count", lambda: self._nodes.healthy)
        host.gauge("registered_nodes_count", lambda: len(self._nodes))

    async def start(self) -> None:
        """Find the servers, and begin to ask whether they are there.

        Raises:
            OSError, TlsError: a server's name or a certificate is wrong, or a server cannot be reached where the
                settings ask for that.
        """
        settings, host = self._settings, self.host
        if self._contexts is not None:
            self._contexts.current()
        await self._services.start()
        await self._look_up_names()
        if settings.verify_connection_at_startup:
            for node in self._nodes:
                try:
                    await node.probe()
                except (OSError, ProtocolError) as problem:
                    message = f"forward's connection setting error: {node.title}: {reason_of(problem)}"
                    raise ConnectionError(message) from problem
        if settings.heartbeat_type != "none":
            over_udp = settings.heartbeat_type == "udp"
            self._heartbeats = Heartbeats(self._nodes, host, settings.heartbeat_interval, over_udp=over_udp)
            host.start_task(self._heartbeats.run(), name="heartbeats")
        if self._pool is not None:
            host.start_task(self._purge(self._pool), name="connections")

    async def peers(self) -> list[Peer]:
        """Return the servers, of which each is shaken hands with.

        Raises:
            TlsError: a file of TLS cannot be used.
        """
        if self._contexts is not None:
            self._contexts.current()
        await self._services.start()
        return [Peer(node.title, partial(self._try, node)) for node in self._nodes]

    async def _try(self, node: Node) -> str:
        try:
            await node.probe()
        except (OSError, ProtocolError) as problem:
            raise ConnectionError(reason_of(problem)) from problem
        return ""

    async def _look_up_names(self) -> None:
        if self._settings.heartbeat_type == "none":
            return
        for node in self._nodes:
            try:
                await node.address()
            except OSError as problem:
                if not self._settings.ignore_network_errors_at_startup:
                    message = f"server {node.title}: {reason_of(problem)}: name one that can be looked up"
                    raise ConnectionError(f"{message}, or write ignore_network_errors_at_startup true") from problem
                self.host.log.warning(
                    "failed to resolve node name when configured: %s: %s", node.title, reason_of(problem)
                )
                node.disable()
        self._nodes.rebalance()

    async def _purge(self, pool: Pool) -> None:
        while True:
            await self.host.clock.sleep(PURGE_SECONDS)
            pool.purge()

    def encode(self, batch: EventBatch) -> Payloads:
        """Return each event as it stands in a message."""
        return pack_events(batch, whole_seconds=self._settings.time_as_integer)

    async def write(self, chunk: Chunk) -> None:
        """Send a chunk to a server; to the next one where that has not got it.

        Raises:
            PermanentError: it is larger than a message can be.
            SendError: none has got it.
            NoNodesError: none is there.
        """
        if not len(chunk):
            return
        settings = self._settings
        try:
            message = await message_of(
                chunk,
                chunk.key.tag or "",
                partial(self._content, chunk),
                self.host,
                compressed=None if settings.compress == "text" else settings.compress,
                with_chunk=settings.require_ack_response,
                has_options=self._has_options,
            )
        except ProtocolError as problem:
            raise PermanentError(str(problem)) from problem
        last: SendError | None = None
        for node in self._nodes.for_chunk():
            try:
                await node.send(message)
            except SendError as problem:
                if last is not None:
                    self.host.log.warning("%s; the next server is tried", last)
                last = problem
                self._nodes.rebalance()  # a standby may have to take its place
            else:
                return
        raise last or NoNodesError("no nodes are available")

    async def stop(self) -> None:
        """Close all connections."""
        await self._services.stop()
        if self._heartbeats is not None:
            self._heartbeats.close()
        if self._pool is not None:
            self._pool.close()


class ForwardOutput(Forwarding[ForwardOptions], type="forward"):
    """Sends chunks to other forwarders, Fluentd's, Fluent Bit's, or logpipe's.

    A server that is away is passed over, and used again when it is back; what none takes waits in the buffer. With
    `require_ack_response` nothing is lost, and what is not answered may come twice.
    """

    def __init__(self, options: ForwardOptions, host: OutputHost) -> None:
        super().__init__(options, host, options)


def _content_function(
    options: ForwardOptions, encode: Callable[[EventBatch], Payloads]
) -> Callable[[Chunk], Iterator[bytes]]:
    """Return what yields the bytes of a chunk's events."""
    compression = options.compress
    if compression == "text":
        return lambda chunk: pieces_of(chunk, encode)
    return lambda chunk: compressed_of(chunk, encode, compression)
