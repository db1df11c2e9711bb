"""What clients meet: connections that are held to their limits, and go on from one server to the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final, cast

from aiohttp import web

from logpipe.net.accepting import HURRY, Acceptor, Log
from logpipe.net.http.connection import Connection, Phase
from logpipe.net.http.messages import Reply, Request, Route, problem
from logpipe.net.http.responses import response
from logpipe.net.http.site import Site
from logpipe.net.limits import HttpLimits
from logpipe.sockets.handed import HandedConnection

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Front(web.Server):
    """Serves the site that was set last; requests wait while there is none.

    Args:
        limits: of the connections.
        terms: what connections were made under; who has others cannot go on with them.
    """

    def __init__(self, limits: HttpLimits, terms: object) -> None:
        super().__init__(self._serve)
        self.terms = terms
        self.limits = limits
        self.log: Log = logging.getLogger("logpipe")
        self._site: Site | None = None
        self._acceptor: Acceptor | None = None
        self._changed = asyncio.Event()
        self._is_closed = False
        self._is_resting = False
        """Whether connections are to come to rest between two requests."""
        self._moved = asyncio.Event()
        """Set where one has come to rest, has come or has gone."""
        self._all: dict[Connection, None] = {}
        self._served: dict[Connection, asyncio.Timeout] = {}
        """Requests that a site has, and what ends them."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._held = 0

    def __call__(self) -> Connection:
        """Return what serves one connection."""
        return Connection(self, self)

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._all)

    def serve(self, site: Site, log: Log, acceptor: Acceptor) -> None:
        """Serve a site from now on; `acceptor` is called for each connection that ends, or could make room."""
        self._site, self.log, self._acceptor = site, log, acceptor
        self._is_resting = False
        for each in self._all:
            each.logger = cast("logging.Logger", log)
            each.go_on()
        self._changed.set()

    async def adopt(self, connections: Iterable[HandedConnection]) -> None:
        """Serve connections that another program has left in this process."""
        for each in connections:
            with suppress(OSError):  # it has ended
                _, made = await asyncio.get_running_loop().connect_accepted_socket(self, each.sock)
                made.enter(Phase.IDLE)

    async def quiesce(self) -> None:
        """Have new requests wait in the kernel, for the next site, and wait a while for those that have come."""
        if self._site is None:
            return
        self._is_resting = True
        try:
            async with asyncio.timeout(min(HURRY, self.limits.stop)):
                while sum(not each.rest() for each in self._all):  # each is told
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass
        finally:
            self._site = None
            self._changed.clear()

    async def pause(self) -> None:
        """Have new requests wait, and wait for those that are being served; what takes too long is refused."""
        self._acceptor = None
        try:
            async with asyncio.timeout(self.limits.stop):
                await self.quiesce()
                await self._idle.wait()
        except TimeoutError:
            pass
        finally:  # also where there is less time
            for scope in self._served.values():
                if not scope.expired():
                    scope.reschedule(0.0)

    async def close(self) -> None:
        """End all connections, each behind what it is being answered."""
        self._is_closed = True
        self._changed.set()
        for each in list(self._all):
            if each.is_at_rest and each.is_on_its_way:
                each.go_on()  # it is told that we go
            else:
                each.leave()
        await self.shutdown(self.limits.stop)

    def hand_over(self) -> Iterator[HandedConnection]:
        """Let go of the connections that another program can go on with, for good."""
        for each in list(self._all):
            if (sock := each.hand_over()) is not None:
                yield HandedConnection(sock, b"", repr(self.terms))

    def made(self, connection: Connection) -> None:
        """Hear of a connection."""
        self._all[connection] = None
        self._moved.set()

    def lost(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        if connection in self._all:
            del self._all[connection]
            self._moved.set()
            if self._acceptor is not None:
                self._acceptor.ended()

    def rested(self, connection: Connection) -> None:
        """Called when a connection waits for another request: it may make room."""
        if self._is_resting:
            connection.rest()
            self._moved.set()
        if self._acceptor is not None:
            self._acceptor.try_again()

    def make_room(self) -> bool:
        """Close the connection that has waited longest: between two requests, else for the rest of one.

        One that has just begun is not closed, nor one whose bytes have come and are not read yet.

        Returns:
            Whether there was one; a connection that is served is not closed.
        """
        for phase in (Phase.IDLE, Phase.HEAD, Phase.BODY):
            if phase is Phase.BODY and self._site is None:
                break
            waiting = [each for each in self._all if each.phase is phase and not each.is_leaving]
            for slowest in sorted(waiting, key=lambda each: each.since):
                if slowest.is_on_its_way:
                    continue
                slowest.is_leaving = True
                slowest.abort() if phase is Phase.BODY else slowest.leave()
                return True
        return False

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        connection.enter(Phase.BODY)
        while self._site is None and not self._is_closed:
            await self._changed.wait()
        site = self._site
        if site is None:
            return response(problem(503, "Going down", **{"Retry-After": "1"}), {}, close=True)
        scope = asyncio.timeout(None)
        self._served[connection] = scope
        self._idle.clear()
        try:
            async with scope:
                return await self._answer(site, request, connection)
        except TimeoutError:
            return response(problem(503, "Stopped meanwhile: come back", **{"Retry-After": "1"}), {}, close=True)
        finally:
            del self._served[connection]
            if not self._served:
                self._idle.set()

    async def _answer(self, site: Site, raw: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        try:
            request = Request(raw.method, raw.path, raw.query, raw.headers, b"", raw.remote or "", target=raw.raw_path)
        except ValueError:
            return response(problem(400, "Bad request"), {}, close=True)
        marks = site.marks(request)
        route = site.route(request.path)
        user, reply = site.refused(request, route)
        if reply is None:
            assert route is not None  # noqa: S101 - else it was refused
            reply = await self._handled(route, replace(request, user=user), raw, connection)
        # what was not read would be taken for the next request
        return response(reply, marks, close=self._is_closed or not raw.content.is_eof())

    async def _handled(self, route: Route, request: Request, raw: web.BaseRequest, connection: Connection) -> Reply:
        body = bytearray()
        try:
            if route.body_limit:
                refusal = await self._read(body, route, raw)
                if refusal is not None:
                    return refusal
                request = replace(request, body=bytes(body))
            connection.enter(Phase.SERVED)
            try:
                return await route.handler(request)
            except Exception:  # a mistake in one answer is no reason to be silent in all
                self.log.exception("cannot answer %s", request.path)
                return problem(500, "Internal error: the log says more")
        finally:
            self._held -= len(body)

    async def _read(self, body: bytearray, route: Route, raw: web.BaseRequest) -> Reply | None:
        """Read a request's body; returns the answer to one that is not taken."""
        limit = route.body_limit
        too_large = route.too_large or problem(413, f"The body is larger than {limit} bytes")
        if raw.content_length is not None and raw.content_length > limit:
            return too_large
        if raw.headers.get("Expect", "").lower() == "100-continue":
            await raw.writer.write(_CONTINUE)
            raw.writer.output_size = 0
        try:
            async with asyncio.timeout(self.limits.body):
                while chunk := await raw.content.readany():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > limit:
                        return too_large
                    if self._held > self.limits.held_bytes:
                        return problem(503, "Too much at a time: come back", **{"Retry-After": "1"})
        except TimeoutError:
            return problem(408, f"The body took longer than {self.limits.body:g} seconds")
        except web.RequestPayloadError:
            return problem(400, "Bad request")
        return None
