"""Who may use a server: a user's name and password, pages of other origins, and by which names it may be called."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

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


class HostNames:
    """By which names requests may call a server that this machine alone can reach.

    A page of another origin whose name is made to stand for 127.0.0.1 (DNS rebinding) may read what is answered, as
    its browser takes the server for its own; the `Host` header still has that name. An address as such cannot be
    rebound, and names of `localhost` are not resolved outside. What sends no header is no browser.

    Args:
        bind: a name that is allowed beside these.
    """

    def __init__(self, bind: str) -> None:
        self._bind = bind.lower()
        self.refusal: Final = problem(
            421, "Misdirected: this server is for this machine alone: call it by its address, or localhost"
        )

    def allow(self, host: str) -> bool:
        """Return whether a `Host` header, which may be empty, names this machine."""
        name = _without_port(host).lower().removesuffix(".")
        is_named = name in {self._bind, "localhost.localdomain"} or name.split(".")[-1] == "localhost"
        return not host or is_named or _is_address(name)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


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
