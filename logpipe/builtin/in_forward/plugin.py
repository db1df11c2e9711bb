"""Takes events from other forwarders and from loggers. Settings: fluentd's plugin/in_forward.rb.

options.py      settings
plugin.py       the input: where it listens
session.py      one connection: handshake, messages, acknowledgements
gate.py         who may send
intake.py       messages to batches, and what is done where they are not taken
room.py         how much of large messages is held

The protocol itself is in `builtin/forward_protocol`; `builtin/in_unix.py` serves the same over a Unix socket, and
`secure_forward.py` is 0.12's plugin of that name.
"""

from __future__ import annotations

import copy
import ipaddress
from typing import Any, ClassVar, Final

from logpipe import Input, InputHost
from logpipe.builtin.forward_protocol import FrameLimits
from logpipe.builtin.in_forward.gate import Gate
from logpipe.builtin.in_forward.intake import Intake
from logpipe.builtin.in_forward.options import ForwardOptions
from logpipe.builtin.in_forward.room import Room
from logpipe.builtin.in_forward.session import Sessions, Terms
from logpipe.builtin.peers import PeerNames
from logpipe.net import Address, Datagrams, Limits, Listener, TransportOptions

LIMITS: Final = Limits(connections=4096, idle=None)
"""Senders keep a connection for as long as they run, and lose events that they write to one which was closed."""
ROOM: Final = 512 * 1024 * 1024
"""Bytes of large messages that are held at a time, over all connections."""
_HEARTBEAT: Final = b"\0"


class Forward(Input[ForwardOptions], type="forward"):
    """Takes messages of one event, of several, or of packed ones, compressed or not, and JSON in their place.

    A sender that asks for it is told when its events are safe: in a file, or delivered. Where no output takes events,
    connections are not read, and senders wait. Heartbeats by UDP are answered at the same port.
    """

    several_workers = True
    listens = "send events"
    protected_by: ClassVar = {
        "security": "<security> with a shared_key",
        "transport": "<transport tls> with client_cert_auth true",
    }

    def __init__(self, options: ForwardOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self._gate = Gate(options.security, keepalive=not options.deny_keepalive) if options.security else None
        wants_names = options.resolve_hostname or bool(options.source_hostname_key)
        terms = Terms(
            limits=FrameLimits(
                frame=options.chunk_size_limit or FrameLimits().frame, inflated=options.decompression_size_limit
            ),
            warn_above=options.chunk_size_warn_limit,
            gate=self._gate,
            names=PeerNames(host) if wants_names else None,
            is_single=options.deny_keepalive,
            is_probed=options.send_keepalive_packet,
        )
        intake = Intake(
            host,
            tag=options.tag,
            prefix=options.add_tag_prefix,
            address_key=options.source_address_key,
            name_key=options.source_hostname_key,
        )
        self._sessions = Sessions(host, terms, intake, Room(ROOM))
        self._endpoint = host.endpoint(Address.tcp(options.bind, options.port))
        transport = _transport(options)
        self._is_plain = transport.protocol == "tcp"
        can_go_on = self._is_plain and self._gate is None and not options.deny_keepalive
        self._listener = Listener(
            self._endpoint,
            self._sessions.serve,
            log=host.log,
            start_task=host.start_task,
            transport=transport,
            limits=LIMITS,
            backlog=options.backlog,
            terms=("forward", terms.limits) if can_go_on else None,
        )
        self._can_go_on = can_go_on
        self._heartbeats = Datagrams(
            host.endpoint(Address.udp(options.bind, options.port)), self._beat, log=host.log, longest=128
        )
        host.gauge("connections", lambda: self._listener.connections)

    async def start(self) -> None:
        """Listen.

        Raises:
            LogpipeError: the address cannot be had, or a file of `<transport>` cannot be used.
        """
        if self._gate is not None:
            await self._gate.look_up(self.host)
            self.host.start_task(self._gate.look_up_again(self.host), name="look up clients")
        await self._listener.start()
        await self._heartbeats.start()
        if self._gate is not None and self._is_plain and not all(map(_is_local, self._endpoint.names())):
            self.host.log.warning(
                "<security> without <transport tls>: whoever can listen on the way reads all events, and can try keys"
            )
        for address, port in self._endpoint.names():
            self.host.log.info("listening port port=%d bind=%s", port, address)

    async def run(self) -> None:
        """Do nothing: each connection has a task."""

    async def quiesce(self) -> None:
        """Read nothing new; what is under way is emitted, and acknowledged.

        Where another graph listens here next, connections wait for it, where they can; the others come to an end.
        """
        self._listener.accept_no_more()
        await self._sessions.quiesce(leaves=self._can_go_on and self._endpoint.goes_on)
        await self._listener.quiesce()
        await self._heartbeats.quiesce()

    async def stop(self) -> None:
        """Close all connections."""
        await self._heartbeats.stop()
        await self._listener.stop()

    def _beat(self, found: list[tuple[bytes, Any]]) -> None:
        for _, address in found:
            self._heartbeats.answer(_HEARTBEAT, address)


def _is_local(name: tuple[str, int]) -> bool:
    return ipaddress.ip_address(name[0].partition("%")[0]).is_loopback


def _transport(options: ForwardOptions) -> TransportOptions:
    """Return the settings of the listener, with the one that may stand outside of its section."""
    if options.linger_timeout is None or options.transport.linger_timeout is not None:
        return options.transport
    transport = copy.copy(options.transport)
    object.__setattr__(transport, "linger_timeout", options.linger_timeout)
    return transport
