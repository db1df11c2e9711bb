"""Where a chunk goes: a URL in which the path and the query may depend on its events, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import quote, unquote

from logpipe import Chunk, OutputHost, PermanentError

_PLACEHOLDER: Final = re.compile(r"[$%]\{[^}]*\}")
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?:(?P<user>[^/?#@]*)@)?(?P<host>\[[^\]/?#@]*\]|[^/?#@:\[\]]*)(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.IGNORECASE,
)
_FORBIDDEN: Final = re.compile(r"[^\w\-.~:/?#\[\]@!$&'()*+,;=%\0]", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]")
_HIGHEST_PORT: Final = 65535


class EndpointTemplate:
    """The setting `endpoint`, taken apart.

    Values are percent-encoded for the part that they are in, so that none adds a query, a parameter or a fragment.

    Args:
        text: the setting.
        allowed_hosts: those that a host with placeholders may become.

    Raises:
        ValueError: it is no URL that can be used.
    """

    def __init__(self, text: str, allowed_hosts: Collection[str] = ()) -> None:
        found = _URL.fullmatch(hidden := _hidden(text))
        if found is None:
            raise ValueError(f"{_shown(text)} is no URL: write http://HOST/PATH or https://HOST:PORT/PATH")
        if (odd := _FORBIDDEN.search(hidden)) is not None:
            raise ValueError(f"{odd[0]!r} must not stand in a URL: write {quote(odd[0])}")
        port = found["port"]
        if port and not 0 < int(port) <= _HIGHEST_PORT:
            raise ValueError(f"port {port} must be from 1 to {_HIGHEST_PORT}")
        self._parts = iter(_PLACEHOLDER.findall(text))
        self.scheme = found["scheme"].lower()
        self.user = self._own("user's name", found["user"])
        self._host = self._filled_in(found["host"])
        self._port = f":{port}" if port else ""
        self._path = self._filled_in(found["path"] or "/")
        query = found["query"]
        self._query = None if query is None else self._filled_in(query)
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        if not self._host:
            raise ValueError(f"{_shown(text)} has no host: write http://HOST/PATH")
        self._is_fixed = "{" not in self._host and "%" not in self._host
        if self._is_fixed and not _HOST.fullmatch(self._host):
            raise ValueError(f"{self._host!r} is no host")
        if not self._is_fixed and not self._allowed:
            # fluentd refuses each chunk, CVE-2026-44161
            raise ValueError(
                f"a host with placeholders, {self._host}, lets whoever writes a log line choose where events go: "
                "write the hosts that it may become in allowed_hosts"
            )

    def _own(self, what: str, text: str | None) -> tuple[str, str] | None:
        if text is None:
            return None
        if "\0" in text:
            raise ValueError(f"the {what} in the URL must not have placeholders")
        name, _, password = text.partition(":")
        return unquote(name), unquote(password)

    def _filled_in(self, text: str) -> str:
        """Return a part of the URL with its placeholders as they were written."""
        return "".join(next(self._parts) if char == "\0" else char for char in text)

    @property
    def places(self) -> list[str]:
        """The URLs of the server, or of those that it may be, without path and query."""
        names = [self._host] if self._is_fixed else sorted(self._allowed)
        return [f"{self.scheme}://{name}{self._port}/" for name in names]

    def url(self, chunk: Chunk, host: OutputHost) -> str:
        """Return the URL of a chunk.

        Raises:
            PermanentError: its events name a host that is not allowed, or a path that leaves its place.
        """
        name = self._host if self._is_fixed else self._allowed_host(host.expand(self._host, chunk))
        path = host.expand(self._path, chunk, quote=_in_path)
        query = "" if self._query is None else f"?{host.expand(self._query, chunk, quote=_in_query)}"
        return f"{self.scheme}://{name}{self._port}{path}{query}"

    def _allowed_host(self, name: str) -> str:
        if name.lower() not in self._allowed or not _HOST.fullmatch(name):
            raise PermanentError(f"Not allowed host: {name[:100]!r}")  # compat: out_http.rb
        return name


def _in_path(value: str) -> str:
    return quote(value, safe="/:@!$&'()*+,;=~", errors="surrogateescape")


def _in_query(value: str) -> str:
    return quote(value, safe="/:@!$'()*,~", errors="surrogateescape")


def _hidden(text: str) -> str:
    """Return a template with each placeholder as one character that stands in no setting."""
    return _PLACEHOLDER.sub("\0", text.replace("\0", ""))


def _shown(text: str) -> str:
    """Return it for a message, without what may be secret."""
    return repr(re.sub(r"(?<=://)[^/?#@]*@", "", text).partition("?")[0])
