"""What depends on the server's version: types, and the name of the routing. Rules: out_elasticsearch.rb."""

from __future__ import annotations

import asyncio
import re
from typing import Final, NamedTuple

from logpipe import DeliveryError, Host
from logpipe_elasticsearch.cluster.cluster import TELLS_NOT, Cluster, ClusterError
from logpipe_elasticsearch.documents.documents import Server

NEWEST: Final = 9
_WITHOUT_TYPES: Final = 8
_ONE_TYPE: Final = 7


class Version(NamedTuple):
    """A server's version."""

    major: int
    has_types: bool = True

    def server(self, *, suppress_type_name: bool) -> Server:
        """Return what depends on it."""
        major = self.major
        routing = "routing" if major >= _ONE_TYPE else "_routing"
        if not self.has_types or major >= _WITHOUT_TYPES or (suppress_type_name and major >= _ONE_TYPE):
            return Server(routing=routing)
        if major == _ONE_TYPE:
            return Server(lambda _: "_doc", routing)
        return Server(lambda name: name, routing)


class Versions:
    """Asks each cluster for its version, once.

    Args:
        host: the output's.
        asks: whether it is asked at all.
        default: the version where it is not, or does not say.
        most: failures after which the default is taken; None to ask until it says.
    """

    def __init__(self, host: Host, *, asks: bool, default: int, most: int | None) -> None:
        self._host = host
        self._default = Version(default)
        self._most = most
        self._asks = asks
        self._failures: dict[Cluster, int] = {}
        self._found: dict[Cluster, Version] = {}
        self._turn = asyncio.Lock()

    async def of(self, cluster: Cluster) -> Version:
        """Return the version.

        Raises:
            DeliveryError: it is not known yet.
        """
        if not self._asks:
            return self._default
        async with self._turn:
            found = self._found.get(cluster)
            if found is None:
                found = self._found[cluster] = await self._ask(cluster)
            return found

    async def _ask(self, cluster: Cluster) -> Version:
        try:
            return self._read(await cluster.ask("GET", "/"))
        except ClusterError as error:
            if error.status not in TELLS_NOT:
                raise
            self._host.log.warning("the server does not tell its version, so it is taken for a new one: %s", error)
            return Version(NEWEST)
        except DeliveryError as error:
            failures = self._failures[cluster] = self._failures.get(cluster, 0) + 1
            if self._most is None or failures <= self._most:
                raise
            self._host.log.warning(
                "the server does not tell its version: %s is assumed: %s", self._default.major, error
            )
            return self._default

    def _read(self, said: object) -> Version:
        about = said.get("version") if isinstance(said, dict) else None
        number = about.get("number") if isinstance(about, dict) else None
        found = re.match(r"\d{1,4}", number) if isinstance(number, str) else None
        if found is None or not isinstance(about, dict):
            self._host.log.warning("%s is assumed: the server's answer has no version", self._default.major)
            return self._default
        return Version(int(found[0]), has_types=about.get("distribution") != "opensearch")
