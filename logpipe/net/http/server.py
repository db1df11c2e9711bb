"""An HTTP server as a stage holds it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from logpipe.net.accepting import Acceptor, Log, TaskStarter
from logpipe.net.http.access import BasicAuth, Cors, HostNames
from logpipe.net.http.messages import Route
from logpipe.net.http.site import Site
from logpipe.net.limits import HttpLimits
from logpipe.net.tls import Contexts
from logpipe.net.transport import TransportOptions

if TYPE_CHECKING:
    from logpipe.net.http.front import Front
from logpipe.sockets.address import in_url
from logpipe.sockets.endpoint import Endpoint
from logpipe.sockets.handed import Handed
from logpipe.sockets.opening import is_local


class HttpServer:
    """Serves routes at an endpoint, from `start` to `stop`.

    Connections outlive it: when a configuration is read again, what serves the same endpoint goes on with them, and
    requests that come in between wait. At the end of the process they are closed behind what is being answered.

    Args:
        endpoint: where, `host.endpoint(…)`.
        routes: by path; `ANY` is for all others.
        log: where trouble is said.
        start_task: `host.start_task`.
        transport: `<transport>`.
        limits: what clients can take.
        auth: who may come; None for everybody.
        cors: which pages of other origins may.
        backlog: how many connections may wait to be accepted; None for as many as all listeners have.

    On loopback addresses alone, without `auth` and TLS, a request for another host's name is refused: a page of a
    stranger could read it, whose name has been made to stand for this machine (DNS rebinding).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        routes: Mapping[str, Route],
        *,
        log: Log,
        start_task: TaskStarter,
        transport: TransportOptions | None = None,
        limits: HttpLimits | None = None,
        auth: BasicAuth | None = None,
        cors: Cors | None = None,
        backlog: int | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._routes = routes
        self._auth = auth
        self._cors = cors
        self._log = log
        self._start_task = start_task
        self._backlog = backlog
        self._transport = transport or TransportOptions()
        self._limits = limits or HttpLimits()
        self._front: Front | None = None
        self._acceptor: Acceptor | None = None

    async def start(self) -> None:
        """Serve.

        Raises:
            ListenError: the endpoint cannot be had.
            TlsError: a certificate, a key or a CA cannot be used.
        """
        from logpipe.net.http.front import Front  # noqa: PLC0415 - aiohttp takes 0.3 s to import

        contexts = Contexts(self._transport, self._log) if self._transport.protocol == "tls" else None
        sockets = await self._endpoint.open()
        if self._backlog is not None:
            for each in sockets:
                each.listen(self._backlog)  # of a socket that listens already this changes the number
        terms = (vars(self._transport), self._limits)
        before = self._endpoint.found()
        if isinstance(before, Front) and before.terms == terms:
            front = before
        else:
            if before is not None and not isinstance(before, Handed):
                await before.close()
            front = Front(self._limits, terms)
        self._acceptor = acceptor = Acceptor(
            front,
            transport=self._transport,
            contexts=contexts,
            limits=self._limits,
            log=self._log,
            start_task=self._start_task,
            make_room=front.make_room,
        )
        self._front = front
        if isinstance(before, Handed):
            await front.adopt(before.under(repr(terms)))
        front.serve(self._site(sockets), self._log, acceptor)
        acceptor.start(sockets, front.count)

    def _site(self, sockets: list[socket.socket]) -> Site:
        hosts = None
        # where TLS is spoken a browser has compared the name with the certificate
        is_open = self._auth is None and self._transport.protocol != "tls"
        address = self._endpoint.address
        if is_open and not address.is_file and all(map(is_local, sockets)):
            hosts = HostNames(address.host)
        return Site(self._routes, self._auth, self._cors, hosts)

    def urls(self) -> list[str]:
        """Return where it is: `http://127.0.0.1:24220`; of a Unix socket, its path."""
        scheme = "https" if self._transport.protocol == "tls" else "http"
        return [f"{scheme}://{in_url(host, port)}" if port else host for host, port in self._endpoint.names()]

    async def quiesce(self) -> None:
        """Take no more requests: those that come wait, for the next graph. For `Input.quiesce`, of who makes events.

        Those that have come are answered, if that takes no longer than a second.
        """
        if self._acceptor is not None and self._front is not None:
            await self._acceptor.stop()  # who was accepted is served
            await self._front.quiesce()

    async def stop(self) -> None:
        """Take no more requests, and wait a while for those that are being answered; safe to call twice."""
        acceptor, front, self._acceptor, self._front = self._acceptor, self._front, None, None
        if acceptor is None or front is None:
            return
        try:
            await acceptor.stop()
            await front.pause()
        finally:
            self._endpoint.leave(front)
