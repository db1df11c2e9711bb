"""Sockets that systemd has opened: sd_listen_fds(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

FIRST: Final = 3
"""The first descriptor that is passed."""


def inherited(environment: MutableMapping[str, str] | None = None) -> list[socket.socket]:
    """Return the sockets that this process was started with, once: the variables that say so are removed.

    To be called before the process has forked: they are for one process id only.
    """
    environment = os.environ if environment is None else environment
    pid, count = (environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS"))
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = []
    for descriptor in range(FIRST, FIRST + int(count)):
        with suppress(OSError):  # it is no socket: a FIFO may be passed as well
            os.set_inheritable(descriptor, False)
            found.append(socket.socket(fileno=descriptor))
    return found
