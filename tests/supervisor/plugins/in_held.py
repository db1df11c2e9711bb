"""An input, for tests of reloads, that listens and accepts nobody."""

from __future__ import annotations

from logpipe import Input, InputHost, Options, param
from logpipe.net import Address


class HeldOptions(Options):
    """Where it listens."""

    port: int = param("Port.")


class Held(Input[HeldOptions], type="held"):
    """Leaves everybody in the kernel's queue."""

    def __init__(self, options: HeldOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self._endpoint = host.endpoint(Address.tcp("127.0.0.1", options.port))

    async def start(self) -> None:
        await self._endpoint.open()

    async def run(self) -> None:
        pass
