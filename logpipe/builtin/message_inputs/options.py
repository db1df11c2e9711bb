"""Settings that inputs of messages share: fluentd's plugin_helper/server.rb, in_syslog.rb, in_tcp.rb, in_udp.rb."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Literal

from logpipe import InvalidSetting, Options, Seconds, argument, param, section
from logpipe.net import TransportOptions

_HIGHEST_PORT = 65535


class MessageOptions(Options):
    """Settings of any of them."""

    tag: str = param("Tag of the events.")
    bind: str = param(
        "Address to listen on. Whoever reaches it can send events.",
        default="0.0.0.0",  # noqa: S104 - fluentd's, and `logpipe check` warns of it
    )
    source_hostname_key: str | None = param(
        "Field for the sender's host name, looked up by its address; the address where it has none, or none is found "
        "within a second.",
        default=None,
    )
    source_address_key: str | None = param("Field for the sender's address.", default=None)
    blocking_timeout: Seconds = param(
        "Accepted for compatibility.", default="0.5", no_effect="nothing is polled here, each message is read at once"
    )
    port: int

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a port that is none."""
        yield from super().check()
        if not 0 <= self.port <= _HIGHEST_PORT:
            yield InvalidSetting(f"port must be from 0 to {_HIGHEST_PORT}", param="port")


class UdpTransportOptions(TransportOptions):
    """`<transport PROTOCOL>` where udp is the default."""

    protocol: Literal["tcp", "udp", "tls"] = argument("udp, tcp, or tls.", default="udp")


class ClientOptions(Options):
    """Settings of `<client>`."""

    _refuses_unknown = True

    host: str | None = param("Address or name of a client.", default=None)
    network: str | None = param("Network of clients, such as 10.0.0.0/8; in the place of `host`.", default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what says nobody, or two things."""
        if self.host and self.network:
            yield InvalidSetting("both of 'host' and 'network' are specified for client: leave one", param="network")
        if not self.host and not self.network:
            yield "Either of 'host' and 'network' must be specified for client"
        if self.network:
            try:
                ipaddress.ip_network(self.network, strict=False)
            except ValueError:
                message = f"network '{self.network}' address format is invalid: write 10.0.0.0/8"
                yield InvalidSetting(message, param="network")


class SecurityOptions(Options):
    """Settings of `<security>`."""

    _refuses_unknown = True

    clients: list[ClientOptions] = section(
        "Who may send; others are disconnected.", name="client", many=True, required=True
    )


def check_delimiter(delimiter: str) -> Iterator[InvalidSetting]:
    """Yield a delimiter that cuts nothing."""
    if not delimiter:
        yield InvalidSetting(r'delimiter must not be empty: write "\n"', param="delimiter")
