"""The HTTP server: GET only, small requests, few connections, and an end to each of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any, Final, cast

from aiohttp import web

from logpipe import LogpipeError
from logpipe.builtin.in_monitor_agent.answers import Answer, Page, message

MOST_CONNECTIONS: Final = 64
MOST_HEADER_BYTES: Final = 4096
"""Of the request line, and of each header."""
LONGEST_CONNECTION: Final = 30.0
"""Seconds in which a client must have sent its request and read the answer; there is one request a connection."""
CLOSE_SECONDS: Final = 1.0

Log = logging.Logger | logging.LoggerAdapter[Any]


class Server:
    """Answers requests at one port, on the loop that `listen` was called on."""

    def __init__(self, pages: Mapping[str, Page], log: Log) -> None:
        self._pages = pages
        self._log = log
        self._runner: web.ServerRunner | None = None

    async def listen(self, address: str, port: int) -> None:
        """Take the port.

        Raises:
            LogpipeError: it cannot be had.
        """
        self._runner = web.ServerRunner(_Limited(self._handle, log=self._log), shutdown_timeout=CLOSE_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, address, port).start()
        except OSError as problem:
            # loops write sentences of their own around what the system said
            reason = os.strerror(problem.errno).lower() if problem.errno and problem.errno > 0 else problem
            text = f"monitor_agent cannot listen at port {port} of {address}: {reason}: choose another"
            raise LogpipeError(text) from problem
        for host, own_port, *_ in self._runner.addresses:
            self._log.info("listening at http://%s:%d/api/plugins.json", f"[{host}]" if ":" in host else host, own_port)

    async def close(self) -> None:
        """Release the port and end all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return _response(self._answer(request))

    def _answer(self, request: web.BaseRequest) -> Answer:
        if request.method != "GET":
            return message(405, f"{request.method} is not possible here: use GET")
        try:
            page, query = self._pages.get(request.path), request.query
        except ValueError:
            return message(400, "Bad request")
        if page is None:
            return message(404, "Not found")
        try:
            return page(query)
        except Exception:  # noqa: BLE001 - a mistake in one answer is no reason to be silent in all
            self._log.exception("cannot answer %s", request.path)
            return message(500, "Internal error: the log says more")


class _Limited(web.Server):
    """Ends connections that are too many or take too long."""

    def __init__(self, handler: Any, *, log: Log) -> None:
        super().__init__(handler)
        self._log = log
        self._deadlines: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def __call__(self) -> web.RequestHandler:
        """Return what serves one connection."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            # the adapter has all of a logger's methods for writing messages
            logger=cast("logging.Logger", self._log),
            access_log=cast("logging.Logger", None),  # None is for no log of accesses
            lingering_time=0,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
            auto_decompress=False,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, for a while, or end it at once."""
        super().connection_made(handler, transport)
        if len(self._deadlines) >= MOST_CONNECTIONS:
            transport.abort()
        self._deadlines[handler] = asyncio.get_running_loop().call_later(LONGEST_CONNECTION, transport.abort)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection that has ended."""
        self._deadlines.pop(handler).cancel()
        super().connection_lost(handler, exc)


class _Connection(web.RequestHandler):
    """One connection; what is wrong with a request is told to its client, and to the log at level debug."""

    __slots__ = ()

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
        return _response(_BAD_REQUEST._replace(status=status))


_BAD_REQUEST: Final = message(400, "Bad request")


def _response(answer: Answer) -> web.Response:
    headers = {
        "Content-Type": answer.content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "logpipe",
    }
    if answer.status == 405:
        headers["Allow"] = "GET"
    response = web.Response(body=answer.body, status=answer.status, headers=headers)
    response.force_close()
    return response
