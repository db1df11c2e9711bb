"""Pages of other origins: what they may send, by `cors_allow_origins`."""

from __future__ import annotations

from typing import Final

from logpipe.net import Cors, Reply, Request

TEXT: Final = "text/plain"
_FORBIDDEN: Final = Reply(b"", TEXT, 403)


class Origins:
    """Answers browsers that ask, and says to them what pages may read, as in_http.rb does.

    Args:
        allowed: the setting; None where no page of another origin may be told anything.
        credentials: whether cookies and passwords may be sent along.
    """

    def __init__(self, allowed: list[str] | None, *, credentials: bool) -> None:
        self._cors = None
        if allowed is not None:
            self._cors = Cors(tuple(origin for origin in allowed if origin), credentials)

    def preflight(self, request: Request) -> Reply:
        """Return the answer to OPTIONS."""
        headers = request.headers
        origin = headers.get("Origin", "")
        if self._cors is None or headers.get("Access-Control-Request-Method") != "POST":
            return _FORBIDDEN
        if "*" not in self._cors.origins and not (origin and self._cors.allows(origin)):
            return _FORBIDDEN
        allowed = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": headers.get("Access-Control-Request-Headers", ""),
        }
        return Reply(b"", TEXT, headers=allowed | self.marks(request))

    def refuses(self, request: Request) -> bool:
        """Return whether a request is a page's that may send nothing; what names no origin is no browser."""
        origin = request.headers.get("Origin")
        return self._cors is not None and origin is not None and not self._cors.allows(origin)

    def marks(self, request: Request) -> dict[str, str]:
        """Return the headers that let a page read an answer."""
        if self._cors is None:
            return {}
        origin = request.headers.get("Origin", "")
        if "*" in self._cors.origins and not origin:
            return {"Access-Control-Allow-Origin": "*"}
        return self._cors.marks(origin)
