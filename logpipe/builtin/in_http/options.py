"""The settings of in_http, and of its own parser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from logpipe import (
    InvalidSetting,
    Options,
    Parser,
    PluginConf,
    Record,
    Seconds,
    Size,
    Time,
    param,
    plugin_section,
    section,
)
from logpipe.codec import ParseOptions
from logpipe.net import TransportOptions, refuse_others

_HIGHEST_PORT = 65535
_NOT_APPLIED = "in_http reads JSON and MessagePack as they are, in fluentd too: write <parse> with another @type"


class InHttpParseOptions(ParseOptions):
    """Settings of `<parse> @type in_http`."""

    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")
    types: dict[str, str] = param("Types of fields.", default={}, no_effect=_NOT_APPLIED)
    null_empty_string: bool = param("Empty texts become null.", default=False, no_effect=_NOT_APPLIED)
    estimate_current_event: bool = param(
        "Accepted for compatibility: events without a time have the current one.", default=True
    )


class InHttpParser(Parser[InHttpParseOptions], type="in_http"):
    """What in_http reads by itself: JSON, lines of JSON, or MessagePack, by Content-Type; a line of a file is none."""

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return nothing: the settings are all that in_http takes of it, as in fluentd."""
        del line
        return []


class HttpOptions(Options):
    """Settings of `<source> @type http`."""

    bind: str = param(
        "Address to listen on. Anybody who reaches it can send events: write 127.0.0.1 unless others must.",
        default="0.0.0.0",  # noqa: S104 - fluentd's, and `logpipe check` warns of it
    )
    port: int = param("Port to listen on; 0 takes any free one.", default=9880)
    body_size_limit: Size = param("The largest body; a larger one is answered with 413.", default="32m")
    decompression_size_limit: Size = param(
        "The largest body decompressed, where its Content-Encoding is gzip or deflate; else 400.", default="256m"
    )
    keepalive_timeout: Seconds = param("How long a connection stays open between two requests.", default="10s")
    backlog: int | None = param("How many connections may wait to be accepted; unset: 1024.", default=None)
    add_http_headers: bool = param("Add the headers to each record, as HTTP_NAME.", default=False)
    add_remote_addr: bool = param(
        "Add the client's address to each record as REMOTE_ADDR; X-Forwarded-For goes before, which anybody can send.",
        default=False,
    )
    add_query_params: bool = param("Add the URL's parameters to each record, as QUERY_NAME.", default=False)
    add_tag_prefix: str | None = param("Put before tags, with a dot.", default=None)
    blocking_timeout: Seconds = param(
        "How long fluentd's loop waits for events of the network.",
        default=0.5,
        no_effect="nothing here waits so: what comes is read at once",
    )
    cors_allow_origins: list[str] | None = param(
        "Pages of which origins may send events: `https://example.com`, `https://*.example.com`, or `*`.", default=None
    )
    cors_allow_credentials: bool = param("Whether browsers may send cookies and passwords along.", default=False)
    respond_with_empty_img: bool = param("Answer with a GIF of one pixel.", default=False)
    use_204_response: bool = param("Answer with 204 in place of 200.", default=False)
    dump_error_log: bool = param("Log what is wrong with requests, and what outputs do not take.", default=True)
    answer_when: Literal["accepted", "settled"] = param(
        "When a request is answered: when outputs or their buffers have its events, as in fluentd, or when these are "
        "past a kill -9: in a buffer's file, or delivered. What is not answered with 2xx the client sends again.",
        default="accepted",
    )
    parse: PluginConf = plugin_section(
        "How bodies are read; with another type than in_http each body is one text for that parser.",
        kind="parser",
        default_type="in_http",
    )
    transport: TransportOptions = section("Whether TLS is spoken, and who is let in.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be served."""
        if not 0 <= self.port <= _HIGHEST_PORT:
            yield InvalidSetting(f"port must be from 0 to {_HIGHEST_PORT}", param="port")
        for name in ("body_size_limit", "decompression_size_limit", "keepalive_timeout"):
            if getattr(self, name) <= 0:
                yield InvalidSetting(f"{name} must be more than 0", param=name)
        if self.backlog is not None and self.backlog < 1:
            yield InvalidSetting("backlog must be 1 at least", param="backlog")
        if self.cors_allow_credentials and (not self.cors_allow_origins or "*" in self.cors_allow_origins):
            # compat: the message of in_http.rb
            message = "Cannot enable cors_allow_credentials without specific origins"
            yield InvalidSetting(message, param="cors_allow_credentials")
        if self.add_tag_prefix == "":
            message = "'add_tag_prefix' parameter must not be empty: leave it out, or write one"
            yield InvalidSetting(message, param="add_tag_prefix")
        yield from refuse_others(self.transport, ("tcp", "tls"))
