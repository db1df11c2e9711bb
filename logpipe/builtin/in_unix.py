"""Takes events over a Unix socket, in the forward protocol. Settings: fluentd's plugin/in_unix.rb."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from logpipe import Input, InputHost, InvalidSetting, Options, param
from logpipe.builtin.forward_protocol import FrameLimits
from logpipe.builtin.in_forward.intake import Intake
from logpipe.builtin.in_forward.plugin import LIMITS, ROOM
from logpipe.builtin.in_forward.room import Room
from logpipe.builtin.in_forward.session import Sessions, Terms
from logpipe.net import Address, Listener

DEFAULT: Final = "/var/run/fluent/fluent.sock"


class UnixOptions(Options):
    """Settings of `<source> @type unix`."""

    path: str | None = param(
        f"Path of the socket; unset: what the variable FLUENT_SOCKET says, else {DEFAULT}.", default=None
    )
    backlog: int | None = param("How many connections may wait to be accepted; unset: 1024.", default=None)
    tag: str | None = param("Tag of all events, in the place of theirs.", default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be."""
        if self.path == "":
            yield InvalidSetting(f"path is empty: leave it out for {DEFAULT}, or write one", param="path")
        if self.backlog is not None and self.backlog <= 0:
            yield InvalidSetting("backlog must be more than 0", param="backlog")


class Unix(Input[UnixOptions], type="unix"):
    """Takes what the forward input takes, from processes of this machine; who may is up to the modes of the folder.

    Folders that are missing are made. A socket that a process left behind is replaced, one at which somebody listens is
    not.
    """

    def __init__(self, options: UnixOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self._path = options.path or os.environ.get("FLUENT_SOCKET") or DEFAULT
        self._sessions = Sessions(host, Terms(FrameLimits()), Intake(host, tag=options.tag), Room(ROOM))
        self._endpoint = host.endpoint(Address.unix(self._path))
        self._listener = Listener(
            self._endpoint,
            self._sessions.serve,
            log=host.log,
            start_task=host.start_task,
            limits=LIMITS,
            backlog=options.backlog,
            terms="forward",
        )
        host.gauge("connections", lambda: self._listener.connections)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the folder cannot be made.
            ListenError: the socket cannot be had.
        """
        await self.host.in_thread(self._make_folder)
        await self._listener.start()
        self.host.log.info("listening fluent socket on %s", self._path)

    def _make_folder(self) -> None:
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)  # noqa: PTH103, PTH120 - the socket's own path

    async def run(self) -> None:
        """Do nothing: each connection has a task."""

    async def quiesce(self) -> None:
        """Read nothing new; what is under way is emitted, and acknowledged."""
        self._listener.accept_no_more()
        await self._sessions.quiesce(leaves=self._endpoint.goes_on)
        await self._listener.quiesce()

    async def stop(self) -> None:
        """Close all connections."""
        await self._listener.stop()
