"""The settings of the forward output. Names and rules: fluentd's plugin/out_forward.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from logpipe import InvalidSetting, Options, PluginConf, Seconds, Size, argument, param, plugin_section, section
from logpipe.builtin.discovery.service_options import PORT, ServiceOptions
from logpipe.builtin.out_forward.tls import TlsOptions

_READS = "what has come is read when it comes"


class SecurityOptions(Options):
    """`<security>`."""

    self_hostname: str = param("Name of this client in the handshake; no server may have the same.")
    shared_key: str = param("Key that both sides have.", secret=True)


class BufferPart(Options):
    """The settings of `<buffer>` that the output compares with its own; the engine reads the rest."""

    _extra: ClassVar = re.compile(".*")

    chunk_keys: list[str] = argument("What the events of a chunk have in common.", default=["tag"])
    compress: Literal["text", "gzip", "zstd"] = param("Compression of chunks.", default="text")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield that messages would have no tag."""
        if "tag" not in self.chunk_keys:
            yield "buffer chunk key must include 'tag' for forward output: write <buffer tag>"


class ForwardOptions(TlsOptions):
    """Settings of `<match> @type forward`."""

    servers: list[ServiceOptions] = section("One server each.", name="server", many=True)
    service_discovery: list[PluginConf] = plugin_section(
        "What finds servers, beside those of `<server>`.", kind="service_discovery", many=True
    )
    security: SecurityOptions | None = section("The handshake that servers with a `<security>` ask for.")
    transport: Literal["tcp", "tls"] = param("tcp, or tls.", default="tcp")
    require_ack_response: bool = param(
        "Keep a chunk until its server has said that it has it; what is not answered is sent again. Without, what the "
        "kernel has taken counts as delivered, and is lost with a connection that breaks.",
        default=False,
    )
    ack_response_timeout: Seconds = param("How long that answer may take.", default="190")
    send_timeout: Seconds = param("How long a server may take nothing of what is sent.", default="60")
    connect_timeout: Seconds | None = param(
        "How long a connection may take, with TLS; unset: `hard_timeout`. Fluentd leaves it to the kernel then, about "
        "two minutes.",
        default=None,
    )
    heartbeat_type: Literal["transport", "tcp", "udp", "none"] = param(
        "How servers are asked whether they are there: by a connection (transport; tcp is its old name), by a datagram "
        "to the same port (udp), or not at all (none): then each is always tried.",
        default="transport",
    )
    heartbeat_interval: Seconds = param("Time between two questions.", default="1")
    recover_wait: Seconds = param("How long a server must answer again until it is used again.", default="10")
    hard_timeout: Seconds = param(
        "After how long a silence a server is not used any more; also the time that a handshake has.", default="60"
    )
    phi_threshold: int = param(
        "How unlikely a server's silence may be (phi) until it is not used any more.", default=16
    )
    phi_failure_detector: bool = param("Whether `phi_threshold` is looked at.", default=True)
    expire_dns_cache: Seconds | None = param(
        "How long an address that was looked up is used; 0: for one connection; unset: until the server is away.",
        default=None,
    )
    dns_round_robin: bool = param("Take any of a name's addresses, in the place of the first.", default=False)
    ignore_network_errors_at_startup: bool = param(
        "Start though a server's name cannot be looked up; it is used when it can be reached.", default=False
    )
    verify_connection_at_startup: bool = param(
        "Connect to each server at the start, with its handshake, and do not start without.", default=False
    )
    keepalive: bool = param("Use connections for more than one chunk.", default=False)
    keepalive_timeout: Seconds | None = param(
        "How long a connection waits for another chunk; unset: for as long as the server has it open.", default=None
    )
    send_keepalive_packet: bool = param(
        "Let the kernel ask whether a silent server is still there; with `keepalive`.", default=False
    )
    compress: Literal["text", "gzip", "zstd"] = param(
        "Compression of what is sent; chunks that `<buffer>` has compressed the same way are sent as they are.",
        default="text",
    )
    time_as_integer: bool = param("Send whole seconds, as servers before 0.14 want it.", default=False)
    read_interval_msec: int = param("No effect.", default=50, no_effect=_READS)
    read_length: Size = param("No effect.", default="512", no_effect=_READS)
    host: str | None = param("0.12's way to write a single server.", default=None, deprecated="write <server> host …")
    port: int = param("The port of `host`.", default=PORT, deprecated="write <server> port …")
    buffer: BufferPart | None = section("How chunks are cut: by tag, whatever else there is.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot work, in fluentd's words where it has any."""
        yield from super().check()
        if not self.all_servers() and not self.service_discovery:
            yield (
                "forward output plugin requires at least one node is required. Add <server> or <service_discovery>: "
                "<server> host HOST </server>"
            )
        if self.heartbeat_type == "tcp":
            yield InvalidSetting(
                "'heartbeat_type tcp' is deprecated. use 'transport' instead.",
                param="heartbeat_type",
                severity="warning",
            )
        if self.dns_round_robin and self.heartbeat_type == "udp":
            yield InvalidSetting(
                "forward output heartbeat type must be 'transport' or 'none' to use dns_round_robin option",
                param="dns_round_robin",
            )
        for name in ("heartbeat_interval", "hard_timeout", "send_timeout"):
            if getattr(self, name) <= 0:
                yield InvalidSetting(f"{name} must be more than 0", param=name)
        if self.ack_response_timeout < 1:
            yield InvalidSetting("ack_response_timeout must be a positive integer", param="ack_response_timeout")
        if self.keepalive_timeout is not None and not self.keepalive:
            yield InvalidSetting(
                "keepalive_timeout is ignored without keepalive: add keepalive true",
                param="keepalive_timeout",
                severity="warning",
            )
        if self.send_keepalive_packet and not self.keepalive:
            yield InvalidSetting(
                "'send_keepalive_packet' is enabled but 'keepalive' is not. Enable 'keepalive' to use TCP keepalive.",
                param="send_keepalive_packet",
            )
        if self.transport == "tls" and self.tls_insecure_mode:
            message = "TLS transport is configured in insecure way: anybody in between can read and change what is sent"
            yield InvalidSetting(message, param="tls_insecure_mode", severity="warning")
        stored = self.buffer.compress if self.buffer is not None else "text"
        if "text" not in {stored, self.compress} and stored != self.compress:
            yield InvalidSetting(
                "You cannot specify different compression formats for Buffer "
                f"(Buffer: {stored}, Self: {self.compress}): leave one of them out",
                param="compress",
            )

    def all_servers(self) -> list[ServiceOptions]:
        """Return the servers of the configuration, 0.12's single one too."""
        return [*self.servers, *([ServiceOptions(host=self.host, port=self.port)] if self.host else [])]
