"""`<service_discovery> @type static`: services in the configuration. Settings: fluentd's plugin/sd_static.rb."""

from __future__ import annotations

from collections.abc import Sequence

from logpipe import Options, section
from logpipe.builtin.discovery.service_options import ServiceOptions
from logpipe.discovery import Service, ServiceDiscovery


class StaticOptions(Options):
    """Settings of `@type static`."""

    service: list[ServiceOptions] = section("One service each.", many=True)


class StaticDiscovery(ServiceDiscovery[StaticOptions], type="static"):
    """Finds the services that it is given."""

    async def find(self) -> Sequence[Service]:
        """Return them."""
        return [each.service() for each in self.options.service]
