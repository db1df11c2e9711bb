"""An output that shows what its `<service_discovery>` sections find."""

from __future__ import annotations

from collections.abc import Sequence

from logpipe import EventBatch, Options, Output, OutputHost, PluginConf, plugin_section
from logpipe.discovery import Service, Services


class FindingOptions(Options):
    """Its sections."""

    service_discovery: list[PluginConf] = plugin_section("Who is there.", kind="service_discovery", many=True)


class Finding(Output[FindingOptions], type="finding"):
    """Keeps what is found."""

    def __init__(self, options: FindingOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self.found: list[Sequence[Service]] = []
        self._services = Services(list(map(host.discovery, options.service_discovery)), host, self.found.append)

    async def start(self) -> None:
        await self._services.start()

    async def process(self, batch: EventBatch) -> None:
        """Take it."""

    async def stop(self) -> None:
        await self._services.stop()


def section(kind: str, body: str = "") -> str:
    """Return a section."""
    return f"<service_discovery>\n@type {kind}\n{body}\n</service_discovery>\n"
