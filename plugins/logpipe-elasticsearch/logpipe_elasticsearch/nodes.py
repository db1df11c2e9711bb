"""Where a cluster's nodes are: `host`, `hosts`, `cloud_id`. Rules: out_elasticsearch.rb, get_connection_options."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote, urlsplit

_PLAIN: Final = re.compile(r"[^:]+(?::\d+)?")
_HIDDEN: Final = re.compile(r"(.*)%\{(.*)\}:%\{(.*)\}(@.*)")
"""A user and a password with characters that a URL cannot hold, as its writers write them."""
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_SCHEMES: Final = ("http", "https")
_PORTS: Final = {"http": 80, "https": 443}
LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Node:
    """One server."""

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its address, with what its paths begin with, and no slash behind."""
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"

    def __str__(self) -> str:
        """Return its address, for messages."""
        return self.url


def nodes_of(text: str, defaults: Node) -> list[Node]:
    """Return the nodes that `hosts` or `host` names.

    Args:
        text: `host`, `host:port`, an IPv6 address or a URL, or several with commas between them.
        defaults: its scheme, port, path and user are those of nodes that have none of their own.

    Raises:
        ValueError: one of them is no node.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ValueError("there is no host: write its name")
    found = []
    for number, part in enumerate(parts, 1):
        try:
            found.append(_node(part, defaults))
        except ValueError as problem:
            # where there are passwords any part may be a piece of one: they may hold commas
            shown = repr(part[:100]) if "@" not in text else f"host {number} of {len(parts)}"
            raise ValueError(f"{shown} {problem}") from None
    return found


def _node(text: str, defaults: Node) -> Node:
    if _is_ipv6(text):
        return replace(defaults, host=f"[{text}]")
    if _PLAIN.fullmatch(text):
        name, _, port = text.partition(":")
        return replace(defaults, host=_checked(name), port=_port(port) if port else defaults.port)
    if (hidden := _HIDDEN.fullmatch(text)) is None:
        return _of_url(text, defaults, None)
    return _of_url(hidden[1] + hidden[4].removeprefix("@"), defaults, (hidden[2], hidden[3]))


def _of_url(text: str, defaults: Node, user: tuple[str, str] | None) -> Node:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its message may hold a part of the password
        raise ValueError("is no URL: write http://NAME:PORT/PATH, with odd characters as %XX") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("is no host: write NAME, NAME:PORT, or http://NAME:PORT/PATH")
    name = parts.netloc.rpartition("@")[2]
    name = name[: name.index("]") + 1] if name.startswith("[") else name.partition(":")[0]
    path = parts.path.rstrip("/")
    if user is None and parts.username:
        user = (unquote(parts.username), unquote(parts.password or ""))
    node = replace(
        defaults,
        scheme=parts.scheme,
        host=_checked(name),
        port=port or _PORTS[parts.scheme],
        path=path or defaults.path,
    )
    return node if user is None else replace(node, user=user[0], password=user[1])


def _checked(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise ValueError("is no name of a host")
    return name


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port <= LAST_PORT:
        raise ValueError(f"has a port that is none: write one from 1 to {LAST_PORT}")
    return port


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def cloud_node(cloud_id: str, defaults: Node) -> Node:
    """Return the node that a `cloud_id` stands for: NAME:BASE64 of `host$uuid$kibana`.

    Raises:
        ValueError: it is none.
    """
    try:
        said = base64.b64decode(cloud_id.rpartition(":")[2], validate=True).decode()
        host, cluster = said.split("$")[:2]
        name, _, port = host.partition(":")
        name, number = _checked(f"{cluster}.{name}"), _port(port or "443")
    except (binascii.Error, ValueError):
        raise ValueError("this is no cloud_id: copy it from the deployment's page, NAME:LETTERS") from None
    return replace(defaults, scheme="https", host=name, port=number, path="")


class Rota:
    """Takes the nodes in turn; one that has failed is left out for a while, unless all have.

    Args:
        nodes: at least one.
        clock: returns seconds.
        rest: seconds for which a node that has failed is left out, `resurrect_after`.
    """

    def __init__(self, nodes: list[Node], clock: Callable[[], float], rest: float) -> None:
        self._nodes = nodes
        self._clock = clock
        self._rest = rest
        self._turn = 0
        self._until: dict[Node, float] = {}

    def turn(self) -> list[Node]:
        """Return all nodes, in the order in which one request tries them."""
        nodes, now = self._nodes, self._clock()
        start = self._turn % len(nodes)
        self._turn += 1
        order = nodes[start:] + nodes[:start]
        return sorted(order, key=lambda node: self._until.get(node, now) > now)

    def failed(self, node: Node) -> None:
        """Leave a node out for a while."""
        self._until[node] = self._clock() + self._rest

    def worked(self, node: Node) -> None:
        """Leave it out no longer."""
        self._until.pop(node, None)
