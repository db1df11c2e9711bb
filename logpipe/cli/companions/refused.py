"""Companions of fluentd's that have no meaning here: each says what there is instead."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import Final

WHY: Final = {
    "fluent-debug": "there is no Ruby console: send SIGCONT for the state of buffers and tasks in the log, "
    "ask monitor_agent, or try expressions with `logpipe eval`",
    "fluent-cap-ctl": "there is no Ruby to give capabilities to: give them to the service, with "
    "AmbientCapabilities=CAP_DAC_READ_SEARCH in its systemd unit, or to the container",
}


def main(program: str, arguments: list[str]) -> int:
    """Say it."""
    del arguments
    print(f"{program}: {WHY[PurePath(program).name]}", file=sys.stderr)
    return 2
