"""The settings of out_http."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

from logpipe import InvalidSetting, Options, PluginConf, param, plugin_section, section
from logpipe.builtin.out_http.endpoint import EndpointTemplate
from logpipe.net import check_header

Version: TypeAlias = Literal["TLSv1_1", "TLSv1_2", "TLSv1_3", "TLS1_1", "TLS1_2", "TLS1_3"]

CONTENT_TYPES: Final[Mapping[str, str]] = {
    "json": "application/x-ndjson",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "ltsv": "text/tab-separated-values",
    "msgpack": "application/x-msgpack",
    "out_file": "text/plain",
    "single_value": "text/plain",
    "stdout": "text/plain",
    "hash": "text/plain",
}
"""By formatter, as in fluentd."""

_OURS: Final = frozenset({"connection", "content-length", "content-encoding", "transfer-encoding"})
"""Headers that follow from the request."""


class AuthOptions(Options):
    """`<auth>`."""

    method: Literal["basic", "aws_sigv4"] = param("How requests say who sends them.", default="basic")
    username: str | None = param("The user's name, for `basic`.", default=None)
    password: str | None = param("The user's password.", default=None, secret=True)
    aws_service: str | None = param("The service's name in signatures, `es` or `aps` say.", default=None)
    aws_region: str | None = param("The service's region, `eu-west-1` say.", default=None)
    aws_role_arn: str | None = param("A role to assume.", default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is missing."""
        if self.method == "basic":
            if self.username is None:
                yield InvalidSetting("basic needs a name: add username", param="method")
            return
        for name in ("aws_service", "aws_region"):
            if not getattr(self, name):
                yield InvalidSetting(f"{name} is required for aws_sigv4 auth: add it", param="method")


class HttpOptions(Options):
    """Settings of `<match> @type http`."""

    endpoint: str = param(
        "The URL that chunks are sent to. `${tag}`, `${key}` and `%Y%m%d` in path and query are filled in, values "
        "percent-encoded; in the host only with `allowed_hosts`.",
        placeholders=True,
    )
    allowed_hosts: list[str] = param("The hosts that placeholders in the endpoint's host may become.", default=[])
    http_method: Literal["post", "put"] = param("The method of the requests.", default="post")
    proxy: str | None = param(
        "The proxy's URL, `http://user:password@host:port`; unset: $HTTP_PROXY or $http_proxy, but for hosts in "
        "$no_proxy; empty for none.",
        default=None,
    )
    content_type: str | None = param("The Content-Type; unset: by the formatter.", default=None)
    json_array: bool = param("Send a chunk as one JSON array; with `<format> @type json` only.", default=False)
    headers: dict[str, str] | None = param('Headers, `{"name":"value"}` or `name:value,name:value`.', default=None)
    headers_from_placeholders: dict[str, str] | None = param(
        "Headers whose values have placeholders.", default=None, placeholders=True
    )
    compress: Literal["text", "gzip"] = param("Compression of the requests.", default="text")
    open_timeout: int | None = param(
        "Seconds for a connection; unset: 60, where fluentd waits as long as the kernel does.", default=None
    )
    read_timeout: int | None = param(
        "Seconds to wait for more of an answer, and for the server to take more of a request; unset: 60.", default=None
    )
    ssl_timeout: int | None = param("Seconds for the TLS handshake; unset: as `open_timeout`.", default=None)
    reuse_connections: bool = param("Send more than one request over a connection.", default=False)
    tls_ca_cert_path: str | None = param(
        "CAs to trust, in place of the system's. The files of TLS are read again when they have changed.", default=None
    )
    tls_client_cert_path: str | None = param("The certificate to show, with those between it and its CA.", default=None)
    tls_private_key_path: str | None = param("The certificate's key.", default=None)
    tls_private_key_passphrase: str | None = param("What the key is encrypted with.", default=None, secret=True)
    tls_verify_mode: Literal["none", "peer"] = param(
        "Whether the server's certificate must be for its name, by a trusted CA; `none` takes anybody's.",
        default="peer",
    )
    tls_version: Version | None = param(
        "The one version of TLS that is spoken; unset: TLSv1_2 and TLSv1_3. Fluentd's default is TLSv1_2 alone.",
        default=None,
    )
    tls_ciphers: str = param("OpenSSL's list of ciphers.", default="ALL:!aNULL:!eNULL:!SSLv2")
    error_response_as_unrecoverable: bool = param(
        "Give a chunk up whose answer is neither a success nor in `retryable_response_codes`: its records go to "
        "`<secondary>`, `@ERROR` or the dead letters. With `false` it is logged and thrown away.",
        default=True,
    )
    retryable_response_codes: list[int] | None = param(
        "Statuses after which a chunk is sent again; unset: 429, 502, 503 and 504. Fluentd's default is 503 alone.",
        default=None,
    )
    format: PluginConf = plugin_section("How an event is written.", kind="formatter", default_type="json")
    auth: AuthOptions | None = section("How requests say who sends them.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be sent."""
        try:
            EndpointTemplate(self.endpoint, self.allowed_hosts)
        except ValueError as problem:
            yield InvalidSetting(str(problem), param="endpoint")
        if self.json_array and self.format.type != "json":
            # compat: the message of out_http.rb
            message = "json_array option could be used with json formatter only"
            yield InvalidSetting(message, param="json_array")
        if self.content_type is None and self.format.type not in CONTENT_TYPES:
            yield f"no Content-Type is known for the formatter {self.format.type}: add content_type"
        for name in ("open_timeout", "read_timeout", "ssl_timeout"):
            if (seconds := getattr(self, name)) is not None and seconds <= 0:
                yield InvalidSetting(f"{name} must be more than 0", param=name)
        yield from self._check_headers()
        yield from self._check_tls()

    def _check_headers(self) -> Iterator[InvalidSetting]:
        for setting in ("headers", "headers_from_placeholders"):
            for name, value in (getattr(self, setting) or {}).items():
                try:
                    check_header(name, value)
                except ValueError as problem:
                    yield InvalidSetting(str(problem), param=setting)
                if name.lower() in _OURS:
                    yield InvalidSetting(f"{name} follows from the request: leave it out", param=setting)
        for name in self.headers_from_placeholders or {}:
            if name.lower() == "host":
                message = "a Host with placeholders lets events choose the server: write it in headers"
                yield InvalidSetting(message, param="headers_from_placeholders")
        try:
            check_header("Content-Type", self.content_type or "")
        except ValueError as problem:
            yield InvalidSetting(str(problem), param="content_type")

    def _check_tls(self) -> Iterator[InvalidSetting]:
        if self.tls_private_key_path is not None and self.tls_client_cert_path is None:
            message = "tls_private_key_path needs its certificate: add tls_client_cert_path"
            yield InvalidSetting(message, param="tls_private_key_path")
        if self.tls_verify_mode == "none" and self.endpoint.startswith("https"):
            yield InvalidSetting(
                "with tls_verify_mode none whoever is between logpipe and the server can read and answer: write "
                "tls_ca_cert_path",
                param="tls_verify_mode",
                severity="warning",
            )
