"""Who may send, by `<security>`."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, NamedTuple, TypeAlias

from logpipe import InputHost
from logpipe.builtin.forward_protocol import Client, ServerHandshake
from logpipe.builtin.in_forward.options import ClientOptions, SecurityOptions

PAUSE: Final = 30.0
"""Seconds until a client's name that stands for nothing is looked up again."""

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Place(NamedTuple):
    """Where clients of one `<client>` are."""

    networks: list[_Network]
    client: Client


class Gate:
    """Says what a client of an address has to prove.

    Args:
        options: `<security>`.
        keepalive: whether a connection may be used for several messages.
    """

    def __init__(self, options: SecurityOptions, *, keepalive: bool) -> None:
        self._options = options
        self._keepalive = keepalive
        self._places = [_Place(_networks(each), self._client(each)) for each in options.clients]
        self._anybody = self._client(None) if options.allow_anonymous_source else None

    def handshake(self) -> ServerHandshake:
        """Return the server's side of a connection's handshake."""
        options = self._options
        return ServerHandshake(options.self_hostname, user_auth=options.user_auth, keepalive=self._keepalive)

    def client(self, address: str) -> Client | None:
        """Return what a client of an address has to prove; None where it is not let in."""
        try:
            where = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return self._anybody
        if isinstance(where, ipaddress.IPv6Address) and where.ipv4_mapped is not None:
            where = where.ipv4_mapped
        for networks, client in self._places:
            if any(where in network for network in networks):
                return client
        return self._anybody

    async def look_up(self, host: InputHost) -> None:
        """Look up the names of clients, once; what stands for nothing is left for `look_up_again`."""
        for option, place in zip(self._options.clients, self._places, strict=True):
            if option.host and not place.networks:
                place.networks.extend(await host.in_thread(_addresses, option.host))
                if not place.networks:
                    host.log.warning("host '%s' of <client> cannot be resolved: trying again", option.host)

    async def look_up_again(self, host: InputHost) -> None:
        """Look up again what stood for nothing, until all do."""
        while any(not place.networks for place in self._places):
            await host.clock.sleep(PAUSE)
            await self.look_up(host)

    def _client(self, option: ClientOptions | None) -> Client:
        options = self._options
        key = (option and option.shared_key) or options.shared_key
        allowed = option.users if option is not None else []
        users = [(each.username, each.password) for each in options.users if not allowed or each.username in allowed]
        return Client(key, users if options.user_auth else None)


def _networks(option: ClientOptions) -> list[_Network]:
    """Return the networks of a client that are known without looking up a name."""
    try:
        return [ipaddress.ip_network(option.network or option.host or "", strict=False)]
    except ValueError:
        return []


def _addresses(name: str) -> list[_Network]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_network(str(each[4][0]).partition("%")[0]) for each in found]
