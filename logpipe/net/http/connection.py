"""One HTTP connection: each of its phases has an end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol, cast

from aiohttp import web

from logpipe.net.accepting import CHANCE, Log, has_unread
from logpipe.net.http.messages import problem
from logpipe.net.http.responses import response
from logpipe.net.limits import HttpLimits
from logpipe.sockets.handed import duplicate

LINGER: Final = 1.0
"""Seconds in which the rest of a body that nobody wants is thrown away: closed before, the answer might be lost."""
MOST_PIPELINED: Final = 64
"""Requests that a client may send ahead of the answers."""


class Phase(Enum):
    """What a connection is at."""

    HEAD = auto()
    """A request's line and headers have begun to come, or the connection has just been made."""
    BODY = auto()
    """Its body comes, or it waits for a server."""
    SERVED = auto()
    """It is handled."""
    ANSWERED = auto()
    """The answer is written."""
    IDLE = auto()
    """The client has not begun another request."""


class Owner(Protocol):
    """What a connection belongs to."""

    limits: HttpLimits
    log: Log

    def made(self, connection: Connection) -> None:
        """Note a new connection."""
        ...

    def lost(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        ...

    def rested(self, connection: Connection) -> None:
        """Called when one waits for another request."""
        ...


class Connection(web.RequestHandler):
    """Serves one client; what is wrong with its requests is told to it, and to the log at level debug."""

    __slots__ = (
        "_answered",
        "_at_end",
        "_end",
        "_head_bytes",
        "_owner",
        "_timer",
        "_wakes",
        "_wire",
        "is_at_rest",
        "is_leaving",
        "phase",
        "since",
    )

    def __init__(self, manager: web.Server, owner: Owner) -> None:
        limits = owner.limits
        loop = asyncio.get_running_loop()
        super().__init__(
            manager,
            loop=loop,
            # the adapter has all of a logger's methods for writing messages
            logger=cast("logging.Logger", owner.log),
            access_log=cast("logging.Logger", None),  # None is for no log of accesses
            lingering_time=LINGER,
            keepalive_timeout=limits.idle + limits.answer + limits.head,  # ours comes before
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            auto_decompress=False,
        )
        self._owner = owner
        self._head_bytes = 0
        self._answered = 0
        """Requests, of those that have come."""
        self._end = 0.0
        self._at_end: Callable[[], None] | None = None
        self._timer: asyncio.Handle | None = None
        """Calls `_ended` at `_end` or before: it is set anew where it would come too late, not at each phase."""
        self._wakes = 0.0
        """When it does; a handle of uvloop whose time has come does not know."""
        self._wire: asyncio.Transport | None = None
        self.phase = Phase.HEAD
        self.since = loop.time()
        """When the phase began."""
        self.is_leaving = False
        """Whether it is to end before another request."""
        self.is_at_rest = False
        """Whether what comes waits in the kernel."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._wire = cast("asyncio.Transport", transport)
        self._owner.made(self)
        self.enter(Phase.HEAD)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        self._at_end = self._timer = self._wire = None
        super().connection_lost(exc)
        self._owner.lost(self)

    def enter(self, phase: Phase) -> None:
        """Be at another phase, which ends within its time."""
        self.phase = phase
        self.since = now = asyncio.get_running_loop().time()
        limits = self._owner.limits
        match phase:
            case Phase.HEAD:
                self._head_bytes = 0
                self._end_at(now + limits.head, self.leave)
            case Phase.ANSWERED:
                self._end_at(now + limits.answer, self.abort)
            case Phase.IDLE:
                self._end_at(now + limits.idle, self.leave)
            case Phase.BODY | Phase.SERVED:
                self._at_end = None  # whoever reads a body has a time for it, and an answer waits for outputs

    def _end_at(self, end: float, at_end: Callable[[], None]) -> None:
        self._end, self._at_end = end, at_end
        if self._timer is not None:
            if self._wakes <= end:
                return
            self._timer.cancel()
        self._wakes = end
        self._timer = asyncio.get_running_loop().call_at(end, self._ended)

    def _ended(self) -> None:
        """End the phase, if it is the one whose time is over."""
        self._timer = None
        if self._at_end is None:
            return
        if self._end <= self._wakes:
            self._at_end()
        else:
            self._end_at(self._end, self._at_end)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self.phase is Phase.IDLE and self._request_count == self._answered:
            self.enter(Phase.HEAD)
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            if self.phase is Phase.HEAD:
                self.enter(Phase.BODY)
            if len(self._messages) > MOST_PIPELINED:
                self.abort()
        elif self.phase is Phase.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self._owner.limits.head_bytes:
                self.leave()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer, as long as the client takes it."""
        self.enter(Phase.ANSWERED)
        if self.is_leaving:
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answered += 1
            if self._wire is not None:
                self.enter(Phase.IDLE)
                self._owner.rested(self)

    @property
    def is_on_its_way(self) -> bool:
        """Whether a request or a part of it has come that was not read, or there was no time yet for what is next."""
        if self._wire is None or self._messages:
            return True
        if self.phase is Phase.BODY and (self._current_request is None or self._current_request.content.is_eof()):
            return True
        is_new = asyncio.get_running_loop().time() - self.since < CHANCE
        if is_new and (self.phase is not Phase.IDLE or self._wire.get_write_buffer_size()):
            return True
        return has_unread(self._wire.get_extra_info("socket"))

    def rest(self) -> bool:
        """Read nothing more until `go_on`, where it is between two requests; returns whether it is, or has ended."""
        if self._wire is None or self.is_leaving or self.is_at_rest:
            return True
        is_between = self.phase is Phase.IDLE or (self.phase is Phase.HEAD and not self._head_bytes)
        if not is_between or self._request_count != self._answered:
            return False
        self.is_at_rest, self._at_end = True, None
        self._wire.pause_reading()
        return True

    def go_on(self) -> None:
        """Read on."""
        if self.is_at_rest and self._wire is not None:
            self.is_at_rest = False
            self._wire.resume_reading()
            self.enter(Phase.IDLE)

    def hand_over(self) -> socket.socket | None:
        """Let go of it for good where it is at rest, for another program; returns a descriptor of it, or None."""
        wire = self._wire
        if wire is None or not self.is_at_rest or wire.get_write_buffer_size() or wire.get_extra_info("ssl_object"):
            return None
        found = duplicate(wire.get_extra_info("socket"))
        wire.abort()
        return found

    def leave(self) -> None:
        """Close the connection: at once where nothing is being answered, else behind that."""
        self.is_leaving = True
        if self.phase not in {Phase.HEAD, Phase.IDLE}:
            return
        if self._wire is not None and self._wire.get_write_buffer_size():
            self.abort()  # the client does not take its answer
        else:
            self.force_close()

    def abort(self) -> None:
        """Break the connection off."""
        if self._wire is not None:
            self._wire.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that could not be read."""
        del message  # it repeats what the client has sent
        self.logger.debug("bad request from %s: %r", request.remote, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        return response(problem(status, "Bad request"), {}, close=True)
