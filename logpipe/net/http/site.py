"""What a server serves: which request goes where, and which goes nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from logpipe.net.http.access import BasicAuth, Cors, HostNames
from logpipe.net.http.messages import ANY, Reply, Request, Route, problem


class Site:
    """Routes, and who may use them.

    Args:
        routes: by path; `ANY` is for all others.
        auth: who may come; None for everybody.
        cors: which pages of other origins may.
        hosts: by which names it may be called; None for any.
    """

    def __init__(
        self, routes: Mapping[str, Route], auth: BasicAuth | None, cors: Cors | None, hosts: HostNames | None
    ) -> None:
        self._routes = dict(routes)
        self._auth = auth
        self._cors = cors
        self._hosts = hosts

    def route(self, path: str) -> Route | None:
        """Return what answers at a path."""
        return self._routes.get(path) or self._routes.get(ANY)

    def refused(self, request: Request, route: Route | None) -> tuple[str, Reply | None]:
        """Return who sent a request, and the answer where it is not to be handled; the request has no body yet."""
        if self._hosts is not None and not self._hosts.allow(request.headers.get("Host", "")):
            return "", self._hosts.refusal
        if self._cors is not None and (preflight := self._cors.preflight(request, _methods(route))) is not None:
            return "", preflight
        user = ""
        if self._auth is not None:
            found = self._auth.user(request.headers.get("Authorization", ""))
            if found is None:
                return "", self._auth.refusal()
            user = found
        if route is None:
            return user, problem(404, "Not found")
        if request.method not in route.methods:
            allowed = ", ".join(sorted(route.methods))
            text = f"{request.method} is not possible here: use {' or '.join(sorted(route.methods))}"
            return user, problem(405, text, Allow=allowed)
        origin = request.headers.get("Origin", "")
        if self._cors is not None and origin and not self._cors.allows(origin):
            return user, problem(403, "Forbidden: pages of this origin may not use the server")  # compat: in_http.rb
        return user, None

    def marks(self, request: Request) -> dict[str, str]:
        """Return the headers about origins."""
        return {} if self._cors is None else self._cors.marks(request.headers.get("Origin", ""))


def _methods(route: Route | None) -> frozenset[str]:
    return frozenset() if route is None else route.methods
