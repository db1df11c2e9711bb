"""`<service_discovery> @type srv`: services in SRV records of the DNS. Settings: fluentd's plugin/sd_srv.rb."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from logpipe import Host, InvalidSetting, Options, param
from logpipe.discovery import Service, ServiceDiscovery
from logpipe.net import DnsError, Resolver, Srv

PORT: Final = 53
HIGHEST_PORT: Final = 65_535


class SrvOptions(Options):
    """Settings of `@type srv`."""

    service: str = param("Name of the service, without its underscore.")
    proto: str = param("Its protocol, without the underscore.", default="tcp")
    hostname: str = param("Domain that has the records.")
    dns_server_host: str | None = param(
        "The server that is asked, with `:PORT` where it is not 53; unset: those of /etc/resolv.conf.",
        default=None,
    )
    interval: int = param("Seconds between two look-ups.", default=60)
    dns_lookup: bool = param("Look up the addresses of the services' hosts, too, and use the first.", default=True)
    shared_key: str | None = param("The `shared_key` of every service.", default=None, secret=True)
    username: str = param("The user for every service.", default="")
    password: str = param("The user's password.", default="", secret=True)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be asked."""
        if self.interval < 1:
            yield InvalidSetting("interval must be 1 at least", param="interval")
        if self.dns_server_host:
            try:
                _server(self.dns_server_host)
            except ValueError:
                message = f"dns_server_host {self.dns_server_host} is no server: write HOST or HOST:PORT"
                yield InvalidSetting(message, param="dns_server_host")


class SrvDiscovery(ServiceDiscovery[SrvOptions], type="srv"):
    """Finds the services that DNS has records of.

    compat: as in fluentd all of them are used, by their weights; their priorities only order them. A weight of 0, for
    which fluentd sends nothing, is a small one by RFC 2782.
    """

    def __init__(self, options: SrvOptions, host: Host) -> None:
        super().__init__(options, host)
        self._name = f"_{options.service}._{options.proto}.{options.hostname}"
        self._resolver = Resolver([_server(options.dns_server_host)] if options.dns_server_host else [])

    async def find(self) -> Sequence[Service]:
        """Ask for the records, and for the addresses of their hosts.

        Raises:
            DnsError: there is no answer, or none with a service in it: fluentd, too, uses the last ones then.
        """
        records = await self._resolver.services(self._name)
        if not records:
            raise DnsError(f"{self._name} has no SRV record")
        hosts = await asyncio.gather(*map(self._host_of, records)) if self.options.dns_lookup else []
        return [
            Service(
                host,
                record.port,
                record.target,
                max(record.weight, 1),
                username=self.options.username,
                password=self.options.password,
                shared_key=self.options.shared_key,
            )
            for record, host in zip(records, hosts or [record.target for record in records], strict=True)
        ]

    async def changed(self) -> None:
        """Wait for the next look-up."""
        await self.host.clock.sleep(self.options.interval)

    async def _host_of(self, record: Srv) -> str:
        found = await self._resolver.addresses(f"{record.target}.")
        if not found:
            raise DnsError(f"{record.target}, which {self._name} names, has no address")
        return found[0]


def _server(text: str) -> tuple[str, int]:
    """Return host and port of a name server.

    Raises:
        ValueError: it is none.
    """
    host, port = text, PORT
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = int(rest[1:]) if rest else PORT
    elif text.count(":") == 1:
        host, _, rest = text.partition(":")
        port = int(rest)
    if not host or not 0 < port <= HIGHEST_PORT:
        raise ValueError(text)
    return host, port
