"""The forward output as it was before Fluentd's could speak TLS. Settings: fluent-plugin-secure-forward 0.4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from logpipe import InvalidSetting, Options, OutputHost, Seconds, Size, param, section
from logpipe.builtin.discovery.service_options import ServiceOptions
from logpipe.builtin.out_forward.options import ForwardOptions, SecurityOptions
from logpipe.builtin.out_forward.plugin import Forwarding

PORT: Final = 24284
_HOSTNAMES: Final = ("__HOSTNAME__", "${hostname}")
_PROXY: Final = "No proxy is spoken to; refused."
_READS: Final = "what has come is read when it comes"
_RECONNECTS: Final = "a connection is made when a chunk needs one"


class ServerOptions(Options):
    """`<server>`."""

    host: str = param("Address or name of the server.")
    hostlabel: str | None = param("Name that its certificate must be for, in the place of `host`.", default=None)
    port: int = param("Port of the server.", default=PORT)
    shared_key: str | None = param("Key of this server, in the place of that for all.", default=None, secret=True)
    username: str = param("Who comes, where the server asks for a user.", default="")
    password: str = param("The user's password.", default="", secret=True)
    standby: bool = param("Use it only in the place of others that are away.", default=False)
    proxy_uri: str | None = param(_PROXY, default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is not spoken."""
        yield from _refuse_proxy(self.proxy_uri)


class SecureForwardOptions(Options):
    """Settings of `<match> @type secure_forward`."""

    secure: bool = param("Whether a server must have a certificate of a CA that is trusted; false trusts anybody.")
    self_hostname: str = param(
        "Name of this client in the handshake; `${hostname}` and `__HOSTNAME__` stand for the machine's."
    )
    hostname: str | None = param("What these stand for; unset: the machine's name.", default=None)
    shared_key: str = param("Key that both sides have.", secret=True)
    servers: list[ServerOptions] = section("One server each.", name="server", many=True, required=True)
    ca_cert_path: str | None = param("The CA that servers have their certificates of, and no other.", default=None)
    enable_strict_verification: bool | None = param(
        "Whether a certificate must be for the server's name, too; then CAs of the system are trusted as well.",
        default=None,
    )
    ssl_version: Literal["TLSv1_1", "TLSv1_2", "TLSv1_3"] | None = param(
        "The one version of TLS that is spoken; unset: TLSv1_2 and TLSv1_3. The plugin's default is TLSv1_2 alone.",
        default=None,
    )
    ssl_ciphers: str = param("OpenSSL's list of ciphers.", default="ALL:!aNULL:!eNULL:!SSLv2")
    keepalive: Seconds | None = param(
        "How long a connection waits for another chunk; unset or 0: for as long as the server has it open.",
        default=None,
    )
    send_timeout: Seconds = param("How long a server may take nothing of what is sent.", default="60")
    established_timeout: Seconds = param("How long a connection and its handshake may take.", default="10")
    expire_dns_cache: Seconds = param("How long an address that was looked up is used; 0: once.", default="60")
    time_as_integer: bool = param("Send whole seconds, as the plugin does.", default=True)
    connection_hard_timeout: Seconds | None = param(
        "No effect.", default=None, no_effect="a connection that a server does not use any more is found by sending"
    )
    reconnect_interval: Seconds = param("No effect.", default="5", no_effect=_RECONNECTS)
    socket_interval_msec: int = param("No effect.", default=200, no_effect=_READS)
    read_length: Size = param("No effect.", default="512", no_effect=_READS)
    read_interval_msec: int = param("No effect.", default=50, no_effect=_READS)
    proxy_uri: str | None = param(_PROXY, default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot work, or is not safe."""
        yield from _refuse_proxy(self.proxy_uri)
        if self.secure and not self.ca_cert_path and not self.enable_strict_verification:
            yield InvalidSetting(
                "FQDN verification required for certificates issued from public CA: write enable_strict_verification "
                "true, or ca_cert_path",
                param="secure",
            )
        if not self.secure:
            message = "'insecure' mode has vulnerability for man-in-the-middle attacks: write secure true"
            yield InvalidSetting(message, param="secure", severity="warning")
        if self.send_timeout <= 0 or self.established_timeout <= 0:
            yield "send_timeout and established_timeout must be more than 0"

    def as_forward(self, hostname: str) -> ForwardOptions:
        """Return the settings of the forward output that do the same.

        Args:
            hostname: the machine's name.
        """
        own_name = self.self_hostname
        for placeholder in _HOSTNAMES:
            own_name = own_name.replace(placeholder, self.hostname or hostname)
        return ForwardOptions(
            transport="tls",
            heartbeat_type="none",
            security=SecurityOptions(self_hostname=own_name, shared_key=self.shared_key),
            servers=[_server(each) for each in self.servers],
            service_discovery=[],
            buffer=None,
            keepalive=True,
            keepalive_timeout=self.keepalive or None,
            send_timeout=self.send_timeout,
            hard_timeout=self.established_timeout,
            expire_dns_cache=self.expire_dns_cache,
            time_as_integer=self.time_as_integer,
            tls_version=self.ssl_version,
            tls_ciphers=self.ssl_ciphers,
            tls_insecure_mode=not self.secure,
            tls_verify_hostname=bool(self.enable_strict_verification),
            tls_ca_cert_path=[self.ca_cert_path] if self.ca_cert_path else None,
        )


class SecureForwardOutput(Forwarding[SecureForwardOptions], type="secure_forward"):
    """Sends chunks to servers over TLS, with a handshake: `forward` with `transport tls` and `<security>` does, too."""

    def __init__(self, options: SecureForwardOptions, host: OutputHost) -> None:
        settings = options.as_forward(host.hostname)
        # without the names of servers any certificate of a public CA would do
        tls = settings.client_tls(trusts_system=bool(options.enable_strict_verification))
        super().__init__(options, host, settings, tls=tls, is_named_first=True, has_options=False)


def _server(options: ServerOptions) -> ServiceOptions:
    return ServiceOptions(
        host=options.host,
        name=options.hostlabel,
        port=options.port,
        shared_key=options.shared_key,
        username=options.username,
        password=options.password,
        standby=options.standby,
    )


def _refuse_proxy(uri: str | None) -> Iterator[InvalidSetting]:
    if uri:
        message = "proxy_uri: no proxy is spoken to: name a server that can be reached without one"
        yield InvalidSetting(message, param="proxy_uri")
