"""Outputs for these tests."""

from __future__ import annotations

from logpipe import Chunk, EventBatch, Host, Options, Output, param


class VaultOptions(Options):
    """A secret that the plugin declares."""

    pin: str = param("A number to keep.", secret=True, alias="code", default="")


class Vault(Output[VaultOptions], type="vault"):
    """Delivers nothing while `down`, else takes `seconds` to forget what it gets."""

    def __init__(self, options: VaultOptions, host: Host) -> None:
        super().__init__(options, host)
        self.down = False
        self.seconds = 0.0

    async def write(self, chunk: Chunk) -> None:  # noqa: ARG002 - it forgets what it gets
        if self.down:
            raise OSError("the vault is shut")
        await self.host.clock.sleep(self.seconds)

    async def process(self, batch: EventBatch) -> None:
        pass


class Broken(Output[Options], type="broken"):
    """Has a gauge that cannot be read."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        host.gauge("pressure", self._pressure)

    async def process(self, batch: EventBatch) -> None:
        pass

    @staticmethod
    def _pressure() -> float:
        raise LookupError("secret-detail")
