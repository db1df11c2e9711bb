"""Who may use a server: a user's name and password, and pages of other origins."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from logpipe.net.http.messages import Reply, Request, problem


class BasicAuth:
    """Users with passwords, as RFC 7617 has them. To be used with TLS, or on this machine alone.

    Args:
        users: passwords by name.
        realm: what clients call the place.
    """

    def __init__(self, users: Mapping[str, str], realm: str = "logpipe") -> None:
        self._users = {name.encode(): password.encode() for name, password in users.items()}
        self._realm = realm

    def user(self, authorization: str) -> str | None:
        """Return who an Authorization header says it is; None where that is not so.

        It takes as long for a name that there is as for one that there is not.
        """
        scheme, _, text = authorization.partition(" ")
        try:
            name, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return None
        is_right = hmac.compare_digest(self._users.get(name, b"\0"), password)
        if scheme.lower() != "basic" or not colon or name not in self._users or not is_right:
            return None
        return name.decode("utf-8", "replace")

    def refusal(self) -> Reply:
        """Return the answer to who is not known."""
        challenge = f'Basic realm="{self._realm}", charset="UTF-8"'
        return problem(401, "Unauthorized: give a user's name and password", **{"WWW-Authenticate": challenge})


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins a browser lets use the server: fluentd's in_http.rb.

    Without it the server says nothing of origins, and browsers keep other pages' scripts from reading answers.
    """

    origins: tuple[str, ...]
    """`https://example.com`, `https://*.example.com`, or `*` for all."""
    credentials: bool = False
    """Whether browsers send cookies and passwords along."""
    headers: tuple[str, ...] = field(default=("Content-Type", "Authorization"))
    """Headers that a page may send."""

    def allows(self, origin: str) -> bool:
        """Return whether a page of that origin may use the server."""
        return any(_matches(pattern, origin) for pattern in self.origins)

    def preflight(self, request: Request, methods: frozenset[str]) -> Reply | None:
        """Return the answer to a browser that looks before it sends; None where the request is none of these."""
        origin = request.headers.get("Origin")
        if request.method != "OPTIONS" or not origin or "Access-Control-Request-Method" not in request.headers:
            return None
        if not self.allows(origin):
            return problem(403, "Forbidden: pages of this origin may not use the server")
        allowed = {
            "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
            "Access-Control-Allow-Headers": ", ".join(self.headers),
        }
        return Reply(b"", status=200, headers=allowed | self.marks(origin))

    def marks(self, origin: str) -> dict[str, str]:
        """Return the headers that let a page read an answer."""
        if not origin or not self.allows(origin):
            return {}
        # compat: in_http.rb; browsers take no * where credentials are sent
        shown = "*" if "*" in self.origins and not self.credentials else origin
        marks = {"Access-Control-Allow-Origin": shown, "Vary": "Origin"}
        return marks | ({"Access-Control-Allow-Credentials": "true"} if self.credentials else {})


def _matches(pattern: str, origin: str) -> bool:
    start, star, end = pattern.partition("*")
    if not star:
        return pattern == origin
    return len(origin) >= len(start) + len(end) and origin.startswith(start) and origin.endswith(end)
