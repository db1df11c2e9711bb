"""Settings that say where the cluster is, and who asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Literal, TypeAlias

from logpipe import InvalidSetting, Options, Seconds, param
from logpipe.net import check_header
from logpipe_elasticsearch.nodes import LAST_PORT, Node, nodes_of

Version: TypeAlias = Literal["SSLv23", "TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"]

KEPT: Final = "connections are made anew when they break, and names looked up at each; the nodes are those of `hosts`"
RUBY: Final = "logpipe has one HTTP client of its own"
_OURS: Final = frozenset({"connection", "content-length", "content-encoding", "transfer-encoding", "host"})
"""Headers that follow from the request."""


def text_or_none(text: str) -> str | None:
    """Return None for a text that is empty, as `"#{ENV['X']}"` often is."""
    return text or None


class ConnectionOptions(Options):
    """Where requests go, and what they show."""

    product: ClassVar[str] = "Elasticsearch"

    host: str = param(
        "Name or address of the server. With placeholders it becomes one of `allowed_hosts`, or the event is refused.",
        default="localhost",
    )
    port: int = param("Its port.", default=9200)
    hosts: str | None = param(
        "Servers in place of `host` and `port`, `host1:port1,host2:port2` or URLs: requests take them in turn, and one "
        "that fails is passed over at once.",
        default=None,
        convert=text_or_none,
    )
    allowed_hosts: list[str] = param("The hosts that placeholders in `host` or `hosts` may become.", default=[])
    scheme: Literal["https", "http"] = param("How servers are spoken to that have no URL.", default="http")
    path: str | None = param("What the paths of all requests begin with.", default=None, convert=text_or_none)
    user: str | None = param(
        "Name for Basic authentication; `%{name}` for one with odd characters.", default=None, convert=text_or_none
    )
    password: str | None = param(
        "The user's password; `%{password}` for one with odd characters.",
        default=None,
        secret=True,
        convert=text_or_none,
    )
    custom_headers: dict[str, str] = param("More headers of each request.", default={})
    request_timeout: Seconds = param(
        "Seconds for a connection, and to wait for more of an answer or for the server to take more of a request.",
        default="5",
    )
    ssl_verify: bool = param(
        "Whether the server's certificate must be for its name, by a trusted CA; false takes anybody's.", default=True
    )
    ca_file: str | None = param(
        "CAs to trust in place of the system's. The files of TLS are read again when they have changed.",
        default=None,
        convert=text_or_none,
    )
    client_cert: str | None = param("The certificate to show.", default=None, convert=text_or_none)
    client_key: str | None = param("The certificate's key.", default=None, convert=text_or_none)
    client_key_pass: str | None = param(
        "What the key is encrypted with.", default=None, secret=True, convert=text_or_none
    )
    ssl_version: Version = param(
        "Accepted for compatibility; like today's plugin, without `ssl_min_version` and `ssl_max_version` TLSv1_2 and "
        "TLSv1_3 are spoken.",
        default="TLSv1_2",
    )
    ssl_min_version: Version | None = param("Lowest version of TLS, together with `ssl_max_version`.", default=None)
    ssl_max_version: Version | None = param("Highest version of TLS, together with `ssl_min_version`.", default=None)
    compression_level: Literal["no_compression", "best_speed", "best_compression", "default_compression"] = param(
        "Whether and how requests are compressed with gzip.", default="no_compression"
    )
    resurrect_after: Seconds = param("Seconds for which one of several servers that failed is left out.", default="60")
    reload_connections: bool = param(f"Accepted for compatibility; {KEPT}.", default=True)
    reload_on_failure: bool = param(f"Accepted for compatibility; {KEPT}.", default=False)
    reload_after: int = param(f"Accepted for compatibility; {KEPT}.", default=-1)
    reconnect_on_error: bool = param(f"Accepted for compatibility; {KEPT}.", default=False)
    sniffer_class_name: str | None = param(f"Accepted for compatibility; {KEPT}.", default=None, convert=text_or_none)
    selector_class_name: str | None = param(
        "Accepted for compatibility; servers are taken in turn.", default=None, convert=text_or_none
    )
    http_backend: Literal["excon", "typhoeus"] = param(f"Accepted for compatibility; {RUBY}.", default="excon")
    http_backend_excon_nonblock: bool = param(f"Accepted for compatibility; {RUBY}.", default=True)
    validate_client_version: bool = param(f"Accepted for compatibility; {RUBY}.", default=False)
    prefer_oj_serializer: bool = param("Accepted for compatibility; JSON is written by orjson.", default=False)
    with_transporter_log: bool = param(
        "Write each request into the log: method, address, status and milliseconds.", default=False
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        yield from super().check()
        if self.user is not None and self.password is None:
            yield InvalidSetting("`password` must be present if `user` is present", param="user")  # compat
        if (self.ssl_min_version is None) != (self.ssl_max_version is None):
            given, missing = ("ssl_min_version", "ssl_max_version")[:: 1 if self.ssl_min_version else -1]
            message = f"When you set '{given}', must set '{missing}' together."  # compat
            yield InvalidSetting(message, param=given)
        # compat: 0, which a variable of the environment that is not set gives, fails with the first connection
        if not 0 <= self.port <= LAST_PORT:
            yield InvalidSetting(f"port is {LAST_PORT} at most", param="port")
        if self.request_timeout <= 0:
            yield InvalidSetting("request_timeout must be more than 0", param="request_timeout")
        for name, value in self.custom_headers.items():
            yield from _check_header(name, value)
        yield from self._check_hosts()
        yield from self._check_trust()

    def _check_hosts(self) -> Iterator[InvalidSetting]:
        name = "host" if self.hosts is None else "hosts"
        text: str = getattr(self, name)
        if has_placeholder(text):
            if not self.allowed_hosts:
                yield InvalidSetting(
                    "a host with placeholders lets whoever writes a log line choose where events go, so that all are "
                    "refused: write the hosts that it may become in allowed_hosts",
                    param=name,
                    severity="warning",
                )
            return
        try:
            nodes_of(text, self.node())
        except ValueError as problem:
            # the plugin looks at it when it connects; a variable of the environment may be set there and not here
            yield InvalidSetting(str(problem), param=name, severity="warning")

    def _check_trust(self) -> Iterator[InvalidSetting]:
        if not self.ssl_verify and (self.scheme == "https" or "https:" in (self.hosts or "")):
            yield InvalidSetting(
                "with ssl_verify false whoever is between logpipe and the server can read and answer: write ca_file",
                param="ssl_verify",
                severity="warning",
            )

    def node(self) -> Node:
        """Return what nodes have where they have none of their own."""
        path = (self.path or "").strip("/")
        return Node(
            self.scheme, "localhost", self.port, f"/{path}" if path else "", plain(self.user), plain(self.password)
        )

    def versions(self) -> tuple[str, str]:
        """Return the lowest and the highest version of TLS."""
        if self.ssl_min_version is None or self.ssl_max_version is None:
            return "TLSv1_2", "TLSv1_3"
        return self.ssl_min_version, self.ssl_max_version


def _check_header(name: str, value: Any) -> Iterator[InvalidSetting]:
    try:
        check_header(name, str(value))
    except ValueError as problem:
        yield InvalidSetting(str(problem), param="custom_headers")
    if name.lower() in _OURS:
        yield InvalidSetting(f"{name} follows from the request: leave it out", param="custom_headers")


def has_placeholder(text: str) -> bool:
    """Return whether a text depends on what events say."""
    return "${" in text


def plain(text: str | None) -> str | None:
    """Return a user or a password without the braces that Ruby's client needs around odd characters."""
    found = None if text is None else re.fullmatch(r"%\{(.*)\}", text)
    return text if found is None else found[1]
