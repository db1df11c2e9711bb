"""Fluentd's door for dRuby, which is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from logpipe import Input, InvalidSetting, Options, param

_REFUSED: Final = "Accepted for compatibility: the stage itself is refused."


class DebugAgentOptions(Options):
    """Settings of `<source> @type debug_agent`."""

    address: str = param(_REFUSED, default="127.0.0.1", name="bind")
    number: int = param(_REFUSED, default=24230, name="port")
    unix_path: str | None = param(_REFUSED, default=None)
    object: str = param(_REFUSED, default="Fluent::Engine")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield why it is refused."""
        yield (
            "debug_agent runs the Ruby code of whoever connects, and there is no Ruby here: remove it, and use "
            "monitor_agent to look at plugins and buffers, or SIGCONT, which logs what each task waits for"
        )


class DebugAgent(Input[DebugAgentOptions], type="debug_agent"):
    """Is refused: it would run the code of whoever connects. `monitor_agent` and SIGCONT show what goes on."""

    async def run(self) -> None:
        """Never be called."""
