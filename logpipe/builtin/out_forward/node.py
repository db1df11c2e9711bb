"""One server: where it is, whether it is there, and the connections to it. Rules: Node in fluentd's out_forward.rb."""

from __future__ import annotations

import ipaddress
import random
from typing import Final, NamedTuple

from logpipe import Host
from logpipe.builtin.forward_protocol import ClientHandshake, ProtocolError
from logpipe.builtin.out_forward.failure_detector import FailureDetector
from logpipe.builtin.out_forward.message import Message
from logpipe.builtin.out_forward.options import ForwardOptions
from logpipe.builtin.out_forward.session import look_for_questions, shake_hands, wait_for_ack
from logpipe.discovery import Service
from logpipe.net import Address, ClientStream, Dialer, Pool, resolve

FOR_EVER: Final = float("inf")
QUESTION_SECONDS: Final = 0.5
"""How long a server has to ask who we are, on the first connection to it: what is sent without an answer is lost."""


class Means(NamedTuple):
    """What all nodes of an output have in common."""

    options: ForwardOptions
    host: Host
    dialer: Dialer
    pool: Pool | None
    """None where a connection is for one chunk."""
    is_named_first: bool = False
    """Whether a server's name, where it has one, counts for TLS though its host is a name."""


class SendError(ConnectionError):
    """A server has not got a chunk, or has not said that it has."""


def reason_of(problem: Exception) -> str:
    """Return why a server cannot be reached, as a person says it."""
    return (isinstance(problem, OSError) and problem.strerror) or str(problem)


class Node:
    """A server."""

    def __init__(self, service: Service, means: Means) -> None:
        self.service = service
        self.weight = service.weight
        self.standby = service.standby
        self.title = service.name or f"{service.host}:{service.port}"
        self.is_beating = False
        """Whether a heartbeat is on its way."""
        self._means = means
        self._options = means.options
        self._clock = means.host.clock
        self._log = means.host.log
        self._is_available = True
        options = means.options
        self._detector = FailureDetector(options.heartbeat_interval, options.hard_timeout, self._clock.monotonic())
        self._recovers_at = options.recover_wait / options.heartbeat_interval
        self._address = ""
        self._looked_up = 0.0
        self._asks_nothing = options.require_ack_response
        """Whether the server is known to have no `<security>`, or would be found out otherwise."""

    @property
    def is_available(self) -> bool:
        """Whether it is used; always, where nobody asks whether it is there."""
        return self._is_available or self._options.heartbeat_type == "none"

    def disable(self) -> None:
        """Use it no more until heartbeats say that it is there."""
        self._is_available = False

    async def send(self, message: Message) -> None:
        """Send a message; with acknowledgements wait for the server's.

        Raises:
            SendError: it has not got it, or this is not known.
        """
        stream = None
        try:
            stream, can_stay = await self._connected()
            async for piece in message.pieces():
                await stream.write(piece)
            if self._options.require_ack_response:
                await wait_for_ack(stream, message.chunk, self._options.ack_response_timeout)
            else:
                await look_for_questions(stream)
        except (OSError, ProtocolError) as problem:
            if stream is not None:
                stream.abort()
                if self._options.require_ack_response:
                    self.disable()
            self._address = ""
            raise SendError(f"{self.title}: {reason_of(problem)}") from problem
        except BaseException:  # cancelled in the middle of a message, which nothing can follow
            if stream is not None:
                stream.abort()
            raise
        self._put_back(stream, can_stay=can_stay)
        self.beat()

    async def probe(self) -> None:
        """Connect, with the handshake, and close again; that is a heartbeat.

        Raises:
            OSError, ProtocolError: the server is not there, or does not let us in.
        """
        stream = await self._means.dialer.connect(await self.address(), server_name=self._server_name)
        try:
            await self._established(stream)
        finally:
            stream.close()

    def beat(self, *, recovers: bool = False) -> bool:
        """Take a sign of life; returns whether the server is used again by it.

        Args:
            recovers: whether enough of them have it used again.
        """
        self._detector.add(self._clock.monotonic())
        if not recovers or self._is_available or self._detector.samples <= self._recovers_at:
            return False
        self._is_available = True
        self._log.warning("recovered forwarding server '%s'", self.title)
        return True

    def tick(self) -> bool:
        """Judge its silence; returns whether it is not used any more by it."""
        now = self._clock.monotonic()
        is_silent = self._detector.is_silent(now)
        if not self._is_available:
            if is_silent:
                self._detector.clear(now)
            return False
        phi = self._detector.phi(now) if self._options.phi_failure_detector else 0.0
        if not is_silent and phi <= self._options.phi_threshold:
            return False
        reason = f"silent for {self._options.hard_timeout:g} seconds" if is_silent else f"phi {phi:.1f}"
        self._log.warning("detached forwarding server '%s': %s", self.title, reason)
        self.disable()
        self._address = ""
        self._detector.clear(now)
        return True

    def close(self) -> None:
        """Close the connections that wait: it is not there any more."""
        if self._means.pool is not None:
            self._means.pool.close(self.service)

    async def address(self) -> Address:
        """Return its address, looked up if it has to be.

        Raises:
            OSError: its name has none.
        """
        lifetime = self._options.expire_dns_cache
        age = self._clock.monotonic() - self._looked_up
        if not self._address or age >= (FOR_EVER if lifetime is None else lifetime):
            found = await resolve(self.service.host, self.service.port)
            if not found:
                raise OSError(f"{self.service.host} has no address")
            self._address = random.choice(found) if self._options.dns_round_robin else found[0]
            self._looked_up = self._clock.monotonic()
        return Address.tcp(self._address, self.service.port)

    @property
    def _server_name(self) -> str:
        """Who must answer, by TLS: the host's name, and where it is an address the name that it is given."""
        if self._means.is_named_first and self.service.name:
            return self.service.name
        try:
            ipaddress.ip_address(self.service.host)
        except ValueError:
            return self.service.host
        return self.service.name or self.service.host

    async def _connected(self) -> tuple[ClientStream, bool]:
        """Return a connection on which the server waits for messages, and whether it takes more than one."""
        pool = self._means.pool
        waiting = pool.take(self.service) if pool is not None else None
        if waiting is not None:
            return waiting, True
        stream = await self._means.dialer.connect(await self.address(), server_name=self._server_name)
        try:
            return stream, await self._established(stream)
        except BaseException as problem:
            stream.abort()
            if isinstance(problem, (OSError, ProtocolError)):
                self.disable()
            raise

    async def _established(self, stream: ClientStream) -> bool:
        """Shake hands where that is asked for; returns whether the server takes more than one message."""
        security = self._options.security
        if security is None:
            if not self._asks_nothing:
                await look_for_questions(stream, QUESTION_SECONDS)
                self._asks_nothing = True
            return True
        service = self.service
        handshake = ClientHandshake(
            security.self_hostname,
            service.shared_key or security.shared_key,
            username=service.username,
            password=service.password,
        )
        await shake_hands(stream, handshake, self._options.hard_timeout)
        return handshake.keepalive

    def _put_back(self, stream: ClientStream, *, can_stay: bool) -> None:
        if self._means.pool is not None and can_stay:
            self._means.pool.give(self.service, stream)
        else:
            stream.close()
