"""One socket for several workers: their supervisor opens it, keeps it, and hands it to each that asks.

As in fluentd, whose workers get theirs from serverengine's socket manager: they accept on the same socket, and one that
dies leaves what waits there to the others, and to the one that takes its place. With SO_REUSEPORT each would have a
queue of its own, which dies with it.

A worker sends a JSON object in one packet and gets one back, with the socket's descriptor beside it.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from logpipe.sockets.address import Address
from logpipe.sockets.opening import Here, Place

SOCKETS_FD: Final = "LOGPIPE_SOCKETS_FD"
"""The variable that tells a worker the descriptor to ask through."""
PATIENCE: Final = 10.0
"""Seconds that a worker waits for its supervisor."""
_MOST: Final = 65536
"""Bytes of a packet."""


class Asked:
    """Has the supervisor open sockets.

    Args:
        channel: the worker's end.
    """

    def __init__(self, channel: socket.socket) -> None:
        channel.settimeout(PATIENCE)
        self._channel = channel
        self._numbers = itertools.count()

    @property
    def given(self) -> tuple[socket.socket, ...]:
        """None: they are the supervisor's."""
        return ()

    def open(self, address: Address, place: Place) -> socket.socket:
        """Return the supervisor's socket, opened if it is not yet."""
        answer, descriptors = self._ask({"open": asdict(address), "place": place})
        if not descriptors:
            raise OSError(answer.get("errno") or errno.EIO, answer.get("reason") or "the supervisor has no socket")
        return socket.socket(fileno=descriptors[0])

    def keep(self, addresses: Iterable[Address]) -> None:
        """Tell which sockets this worker uses."""
        with suppress(OSError):  # the supervisor has gone, and with it its sockets
            self._ask({"keep": [asdict(each) for each in addresses]})

    def _ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        number = next(self._numbers)
        self._channel.send(json.dumps({**question, "number": number}).encode())
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._channel, _MOST, 1)
            for each in descriptors:
                os.set_inheritable(each, False)
            if not data:
                raise OSError(errno.EPIPE, "the supervisor has gone")
            answer = json.loads(data)
            if answer["number"] == number:
                return answer, descriptors
            for each in descriptors:  # the answer to a question that nobody waits for any more
                os.close(each)


class Share:
    """The supervisor's side.

    Args:
        opener: opens sockets in this process.
    """

    def __init__(self, opener: Here) -> None:
        self._opener = opener
        self._open: dict[tuple[Address, str], socket.socket] = {}
        self._users: dict[int, set[Address]] = {}

    def answer(self, worker: int, channel: socket.socket) -> bool:
        """Answer one question of a worker; returns False where it has gone."""
        try:
            data = channel.recv(_MOST)
        except OSError:
            data = b""
        if not data:
            return False
        question = json.loads(data)
        answer, descriptors = self._do(worker, question)
        with suppress(OSError):  # it has gone meanwhile
            socket.send_fds(channel, [json.dumps({**answer, "number": question["number"]}).encode()], descriptors)
        return True

    def _do(self, worker: int, question: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        if "keep" in question:
            self._keep(worker, {Address(**each) for each in question["keep"]})
            return {}, []
        address = Address(**question["open"])
        family, where = question["place"]
        key = (address, json.dumps(question["place"]))
        if key not in self._open:
            try:
                place = (family, where if isinstance(where, str) else tuple(where))
                self._open[key] = self._opener.open(address, place)
            except OSError as problem:
                return {"errno": problem.errno, "reason": problem.strerror or str(problem)}, []
        self._users.setdefault(worker, set()).add(address)
        return {}, [self._open[key].fileno()]

    def _keep(self, worker: int, addresses: set[Address]) -> None:
        self._users[worker] = addresses
        wanted = set().union(*self._users.values())
        for key in [each for each in self._open if each[0] not in wanted]:
            self._open.pop(key).close()

    def settle(self) -> None:
        """Close what the program before has left and no worker has asked for; to be called when all have started."""
        self._opener.keep(())

    @property
    def sockets(self) -> list[socket.socket]:
        """All of them, with those that nobody has asked for yet."""
        return [*self._opener.given, *self._open.values()]


def opener(here: Here) -> Asked | Here:
    """Return what opens the sockets of this process: its supervisor where it has one that shares them.

    Args:
        here: opens them in this process.
    """
    descriptor = os.environ.pop(SOCKETS_FD, "")
    if not descriptor:
        return here
    os.set_inheritable(int(descriptor), False)
    return Asked(socket.socket(fileno=int(descriptor)))
