"""Sockets that this process was started with: systemd's, by sd_listen_fds(3), and those of the program before it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Final

from logpipe.sockets.opening import Here

FIRST: Final = 3
"""The first descriptor that is passed."""
HANDED: Final = "LOGPIPE_HANDED"
"""The variable with the process id, and the descriptors that the program before has left in this process."""


def inherited(environment: MutableMapping[str, str] | None = None) -> Here:
    """Return what gives the sockets that this process was started with, once: the variables that say so are removed.

    To be called before the process has forked: they are for one process id only.
    """
    environment = os.environ if environment is None else environment
    pid, *descriptors = environment.pop(HANDED, "").split() or [""]
    if pid == str(os.getpid()):
        return Here(_sockets(map(int, descriptors)), is_handed=True)
    pid, count = (environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS"))
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return Here()
    return Here(_sockets(range(FIRST, FIRST + int(count))))


def _sockets(descriptors: Iterable[int]) -> list[socket.socket]:
    found = []
    for descriptor in descriptors:
        with suppress(OSError):  # it is no socket: a FIFO may be passed as well
            os.set_inheritable(descriptor, False)
            found.append(socket.socket(fileno=descriptor))
    return found


def hand_over(sockets: Iterable[socket.socket]) -> dict[str, str]:
    """Keep sockets open over an exec, and return what has to be added to the environment for `inherited`."""
    descriptors = [each.fileno() for each in sockets]
    for each in descriptors:
        os.set_inheritable(each, True)
    return {HANDED: " ".join(map(str, (os.getpid(), *descriptors)))}
