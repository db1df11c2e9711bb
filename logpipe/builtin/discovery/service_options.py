"""The settings of one service, as `<service>` of `static` and `<server>` of the forward output have them."""

from __future__ import annotations

from collections.abc import Iterator

from logpipe import InvalidSetting, Options, param
from logpipe.discovery import Service

PORT = 24224
MOST_WEIGHT = 100_000
HIGHEST_PORT = 65_535


class ServiceOptions(Options):
    """`<service>`."""

    host: str = param("Address or name of the server.")
    name: str | None = param("What the log calls it; TLS too, where `host` is an address.", default=None)
    port: int = param("Port of the server.", default=PORT)
    shared_key: str | None = param(
        "What both sides have, where it is another than in `<security>`.", default=None, secret=True
    )
    username: str = param("Who comes, where the server asks for a user.", default="")
    password: str = param("The user's password.", default="", secret=True)
    standby: bool = param("Use it only in the place of others that are away.", default=False)
    weight: int = param("Share of the load; 0 for none.", default=60)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield numbers that cannot be."""
        for name, most in (("port", HIGHEST_PORT), ("weight", MOST_WEIGHT)):
            if not 0 <= getattr(self, name) <= most:
                yield InvalidSetting(f"{name} {getattr(self, name)}: 0 to {most} are possible", param=name)

    def service(self) -> Service:
        """Return it as discoveries do."""
        return Service(
            self.host,
            self.port,
            self.name or "",
            self.weight,
            self.standby,
            self.username,
            self.password,
            self.shared_key,
        )
