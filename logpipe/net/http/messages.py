"""What an HTTP server serves: requests in, replies out, and nothing of the library beneath."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, with its whole body."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str]
    """Decoded; of a name that is given twice, the first value."""
    headers: Mapping[str, str]
    """By names in any case; of a name that is given twice, the first value."""
    body: bytes
    """As it came: what Content-Encoding says is not undone."""
    peer: str
    """The client's address; empty where it came by a Unix socket."""
    user: str = ""
    """Who it is, where the server asks for it."""
    target: str = ""
    """Path and query as they were sent, nothing decoded."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    body: bytes = b""
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler: TypeAlias = Callable[[Request], Awaitable[Reply]]
"""What it raises is logged and answered with 500, and the log only says what it was."""


@dataclass(frozen=True, slots=True)
class Route:
    """What answers at one path."""

    handler: Handler
    methods: frozenset[str] = frozenset({"GET"})
    body_limit: int = 0
    """Bytes; a longer body is refused with 413. With 0 the body is not read, and its connection ends."""
    too_large: Reply | None = None
    """The answer to a longer body; None for one that says how long it may be."""


ANY: Final = "*"
"""The path of the route for all paths that have none."""


def problem(status: int, message: str, **headers: str) -> Reply:
    """Return an error as it is answered here: JSON with a message."""
    return Reply(
        json.dumps({"message": message}, ensure_ascii=False, separators=(",", ":")).encode(), JSON, status, headers
    )
