"""Who may send, by `<security>`."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from logpipe import InputHost
from logpipe.builtin.forward_protocol import Client, ServerHandshake
from logpipe.builtin.in_forward.options import ClientOptions, SecurityOptions
from logpipe.builtin.peers import Networks


class _Place(NamedTuple):
    """Where clients of one `<client>` are."""

    networks: Networks
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
        for networks, client in self._places:
            if address and address in networks:
                return client
        return self._anybody

    async def look_up(self, host: InputHost) -> None:
        """Look up the names of clients, once; what stands for nothing is left for `look_up_again`."""
        for place in self._places:
            await place.networks.look_up(host)

    async def look_up_again(self, host: InputHost) -> None:
        """Look up again what stood for nothing, until all do."""
        await asyncio.gather(*(place.networks.look_up_again(host) for place in self._places))

    def _client(self, option: ClientOptions | None) -> Client:
        options = self._options
        key = (option and option.shared_key) or options.shared_key
        allowed = option.users if option is not None else []
        users = [(each.username, each.password) for each in options.users if not allowed or each.username in allowed]
        return Client(key, users if options.user_auth else None)


def _networks(option: ClientOptions) -> Networks:
    return Networks(filter(None, [option.network]), filter(None, [option.host]))
