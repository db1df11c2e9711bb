"""The settings of splunk_hec: fluent-plugin-splunk-hec 1.3.3, out_splunk.rb and out_splunk_hec.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import urlsplit

from logpipe import InvalidSetting, Options, PluginConf, argument, param, plugin_section, raw_section
from logpipe.net import check_header
from logpipe.tree import Element, compile_pattern

KEYS: Final = ("host", "source", "sourcetype", "index")


class FormatOwner(Options):
    """What of `<format PATTERN>` is not the formatter's."""

    pattern: str = argument("Tags that it is for, as in `<match>`.", default="**")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a pattern that is none."""
        for text in self.pattern.split():
            try:
                compile_pattern(text)
            except ValueError as problem:
                yield f"<format {self.pattern}>: {problem}"


class SplunkHecOptions(Options):
    """Settings of `<match> @type splunk_hec`."""

    protocol: Literal["http", "https"] = param("How the collector is spoken to.", default="https")
    hec_host: str = param("Name or address of the collector, or of what balances its load.", default="")
    hec_port: int = param("Its port.", default=8088)
    hec_endpoint: str = param("The path of the URL.", default="services/collector")
    full_url: str = param("The URL that `hec_endpoint` comes behind, in place of the three above.", default="")
    hec_token: str = param("The collector's token.", secret=True)
    idle_timeout: int | None = param("Seconds for which a connection is kept that nobody uses.", default=5)
    read_timeout: int | None = param(
        "Seconds to wait for more of an answer, and for the server to take more of a request; unset: 60.", default=None
    )
    open_timeout: int | None = param("Seconds for a connection; unset: 60.", default=None)
    client_cert: str | None = param("The certificate to show.", default=None)
    client_key: str | None = param("The certificate's key.", default=None)
    ca_file: str | None = param(
        "CAs to trust in place of the system's. The files of TLS are read again when they have changed.", default=None
    )
    ca_path: str | None = param("A folder with files of CAs, likewise; it is looked into at the start.", default=None)
    ssl_ciphers: list[str] | None = param("OpenSSL's names of ciphers.", default=None)
    require_ssl_min_version: bool = param(
        "Whether TLS is TLSv1_2 at least, where the plugin asks for TLSv1_1; false: TLSv1.", default=True
    )
    insecure_ssl: bool = param(
        "Whether anybody's certificate is taken; else it must be for its name, by a trusted CA.", default=False
    )
    data_type: Literal["event", "metric"] = param("What is sent: events, or metrics.", default="event")
    metrics_from_event: bool = param(
        "Whether each field of an event is a metric; not where there is a `metric_name_key`.", default=True
    )
    metric_name_key: str | None = param("Field that holds a metric's name.", default=None)
    metric_value_key: str | None = param("Field that holds a metric's value.", default=None)
    host: str | None = param("Host of events; `${tag}` is filled in. Unset: this machine's name.", default=None)
    host_key: str | None = param("Field that holds it, `a.b` for one within another.", default=None)
    source: str | None = param("Source of events, likewise; unset: the collector's own.", default=None)
    source_key: str | None = param("Field that holds it.", default=None)
    sourcetype: str | None = param("Type of the source, likewise.", default=None)
    sourcetype_key: str | None = param("Field that holds it.", default=None)
    index: str | None = param("Index of events, likewise.", default=None)
    index_key: str | None = param("Field that holds it.", default=None)
    time_key: str | None = param("Field that holds the time; unset, or not there: that of the event.", default=None)
    keep_keys: bool = param("Whether fields that the settings `…_key` name stay in the event, too.", default=False)
    gzip_compression: bool = param("Whether requests are compressed.", default=False)
    app_name: str = param("The header __splunk_app_name.", default="hec_plugin_gem")
    app_version: str = param("The header __splunk_app_version.", default="1.3.3")
    custom_headers: dict[str, str] = param("More headers of each request.", default={})
    consume_chunk_on_4xx_errors: bool = param(
        "Whether an event for which the collector refuses a request is given up, alone; false tries it again.",
        default=True,
    )
    coerce_to_utf8: bool = param("Whether what is not UTF-8 is replaced; else such an event is an error.", default=True)
    non_utf8_replacement_string: str = param("By what.", default=" ")
    fields: list[Element] = raw_section(
        "Fields that are sent beside the event, or the dimensions of metrics: a name, or a name and the field for it."
    )
    format: list[PluginConf] = plugin_section(
        "How an event is written whose tag matches the argument; the first that does. Without any: json.",
        kind="formatter",
        default_type="json",
        many=True,
        defaults={"add_newline": "false"},
        owned=FormatOwner,
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        if not self.hec_host and not self.full_url:
            yield "One of `hec_host` or `full_url` is required."  # compat: out_splunk_hec.rb
        else:
            try:
                parts = urlsplit(self.url)
                is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
            except ValueError:
                is_url = False
            if not is_url or "$" in self.url or not self.url.isascii() or " " in self.url:
                name = "full_url" if self.full_url else "hec_host"
                yield InvalidSetting(f"{self.url!r} is no URL to send to", param=name)
        for name in KEYS:
            if getattr(self, name) and getattr(self, f"{name}_key"):
                yield InvalidSetting(f"Can not set {name} and {name}_key at the same time.", param=name)
        if self.data_type == "metric" and not (self.metrics_from_event and self.metric_name_key is None):
            if self.metric_name_key is None:
                yield "`metric_name_key` is required when `metrics_from_event` is `false`."
            elif self.metric_value_key is None:
                yield "`metric_value_key` is required when `metric_name_key` is set."
        for name in ("idle_timeout", "read_timeout", "open_timeout"):
            if (seconds := getattr(self, name)) is not None and seconds <= 0:
                yield InvalidSetting(f"{name} must be more than 0", param=name)
        own = {"hec_token": self.hec_token, "app_name": self.app_name, "app_version": self.app_version}
        for name, value in (*own.items(), *self.custom_headers.items()):
            try:
                check_header(name, str(value))
            except ValueError as problem:
                message = f"{name} cannot stand in a header" if name == "hec_token" else str(problem)
                yield InvalidSetting(message, param=name if name in own else "custom_headers")
        if self.insecure_ssl:
            yield InvalidSetting(
                "with insecure_ssl whoever is between logpipe and Splunk can read the token: write ca_file",
                param="insecure_ssl",
                severity="warning",
            )

    @property
    def url(self) -> str:
        """Where requests go."""
        base = (
            self.full_url.removesuffix("/") if self.full_url else f"{self.protocol}://{self.hec_host}:{self.hec_port}"
        )
        return f"{base}/{self.hec_endpoint.removeprefix('/')}"
