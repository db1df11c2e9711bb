"""Where others can be reached: what `<service_discovery>` finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Service:
    """One peer. Two that are equal are the same one, whatever has found them."""

    host: str
    """A name or an address."""
    port: int
    name: str = ""
    """What it is called in the log, and by TLS where `host` is an address."""
    weight: int = 60
    """Its share of the work; 0 for none."""
    standby: bool = False
    """Whether it is used only in the place of others."""
    username: str = ""
    password: str = field(default="", repr=False)
    shared_key: str | None = field(default=None, repr=False)


class Discovery(Protocol):
    """A `ServiceDiscovery`, to the stage whose `<service_discovery>` section it is of."""

    async def start(self) -> None:
        """Touch the world; see `Plugin.start`."""
        ...

    async def stop(self) -> None:
        """Let go of everything."""
        ...

    async def find(self) -> Sequence[Service]:
        """Return who is there now; see `ServiceDiscovery.find`."""
        ...

    async def changed(self) -> None:
        """Return when it is time to look again."""
        ...
