"""0.12's plugin for the forward protocol over TLS: the forward input under other names.

Settings: fluent-plugin-secure-forward's lib/fluent/plugin/in_secure_forward.rb.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from logpipe import InputHost, InvalidSetting, Options, param, section
from logpipe.builtin.in_forward.options import ClientOptions, ForwardOptions, SecurityOptions, UserOptions
from logpipe.builtin.in_forward.plugin import Forward
from logpipe.net import TransportOptions

_GENERATED = "only with a generated certificate, and none is generated"
_HOSTNAMES = ("${hostname}", "__HOSTNAME__")
_TIMING = "nothing here is asked for so"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


class SecureClientOptions(Options):
    """`<client>`."""

    _refuses_unknown = True

    host: str | None = param("Address or name of a client; a name is looked up at the start.", default=None)
    network: str | None = param("Network of clients, such as 10.0.0.0/8; in the place of `host`.", default=None)
    shared_key: str | None = param("Key of these clients, in the place of that for all.", default=None, secret=True)
    users: list[str] = param(
        "Users that may come from there, with commas; all where it is empty.", default=[], convert=_names
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what makes no place."""
        yield from self.plain().check()

    def plain(self) -> ClientOptions:
        """Return the same of the forward input."""
        return ClientOptions(host=self.host, network=self.network, shared_key=self.shared_key, users=self.users)


class SecureForwardOptions(Options):
    """Settings of `<source> @type secure_forward`."""

    secure: bool = param("Whether the certificate can be verified; false needs one here, too.")
    self_hostname: str = param(
        "Name of this server in the handshake, in which ${hostname} and __HOSTNAME__ stand for `hostname`."
    )
    hostname: str | None = param("What these stand for; unset: the machine's name.", default=None)
    shared_key: str = param("Key that clients must have.", secret=True)
    bind: str = param(
        "Address to listen on.",
        default="0.0.0.0",  # noqa: S104 - the plugin's; nobody gets in without the key
    )
    port: int = param("Port to listen on. 0 takes any free one.", default=24284)
    allow_keepalive: bool = param(
        "Let a connection be used for several messages; false closes it behind the first.", default=True
    )
    allow_anonymous_source: bool = param(
        "Let clients in from anywhere; false lets in those alone whose address is in a `<client>`.", default=True
    )
    authentication: bool = param("Ask clients for a user's name and password, too.", default=False)
    ssl_version: Literal["TLSv1_1", "TLSv1_2", "TLSv1_3"] = param(
        "The oldest version of TLS; newer ones are spoken, too.", default="TLSv1_2"
    )
    ssl_ciphers: str | None = param("OpenSSL's list of ciphers.", default=None)
    cert_path: str | None = param("The server's certificate, and those between it and its CA.", default=None)
    private_key_path: str | None = param("The certificate's key.", default=None)
    private_key_passphrase: str | None = param("What the key is encrypted with.", default=None, secret=True)
    ca_cert_path: str | None = param("A CA to make a certificate by; refused: write `cert_path`.", default=None)
    ca_private_key_path: str | None = param(f"The CA's key: {_GENERATED}.", default=None)
    ca_private_key_passphrase: str | None = param(
        f"What the CA's key is encrypted with: {_GENERATED}.", default=None, secret=True
    )
    generate_private_key_length: int = param(f"Effective {_GENERATED}.", default=2048)
    generate_cert_country: str = param(f"Effective {_GENERATED}.", default="US")
    generate_cert_state: str = param(f"Effective {_GENERATED}.", default="CA")
    generate_cert_locality: str = param(f"Effective {_GENERATED}.", default="Mountain View")
    generate_cert_common_name: str | None = param(f"Effective {_GENERATED}.", default=None)
    read_length: str = param("How much is read at a time.", default="8m", no_effect=_TIMING)
    read_interval_msec: int = param("How often a connection is looked at.", default=50, no_effect=_TIMING)
    socket_interval_msec: int = param("How often new connections are looked for.", default=200, no_effect=_TIMING)
    users: list[UserOptions] = section("A user, for `authentication`.", name="user", many=True)
    clients: list[SecureClientOptions] = section("Clients of one address or network.", name="client", many=True)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what contradicts itself, or cannot be."""
        yield from self._transport().check()
        yield from self._security().check()

    def forward(self) -> ForwardOptions:
        """Return the settings of the forward input that does the same."""
        return ForwardOptions(
            bind=self.bind,
            port=self.port,
            deny_keepalive=not self.allow_keepalive,
            security=self._security(),
            transport=self._transport(),
        )

    def _security(self) -> SecurityOptions:
        name = self.self_hostname
        for placeholder in _HOSTNAMES:
            if placeholder in name:
                name = name.replace(placeholder, self.hostname or socket.gethostname())
        return SecurityOptions(
            self_hostname=name,
            shared_key=self.shared_key,
            user_auth=self.authentication,
            allow_anonymous_source=self.allow_anonymous_source,
            users=self.users,
            clients=[client.plain() for client in self.clients],
        )

    def _transport(self) -> TransportOptions:
        given: dict[str, Any] = {"ciphers": self.ssl_ciphers} if self.ssl_ciphers else {}
        return TransportOptions(
            protocol="tls",
            min_version=self.ssl_version,
            max_version="TLSv1_3",
            cert_path=self.cert_path,
            private_key_path=self.private_key_path,
            private_key_passphrase=self.private_key_passphrase,
            ca_cert_path=self.ca_cert_path,
            **given,
        )


class SecureForward(Forward, type="secure_forward"):
    """Takes what the forward input takes, over TLS, from clients that have the key.

    `secure false` made a certificate at each start, which nobody can verify: it needs one here, which clients with
    `secure false` take as well.
    """

    protected_by: ClassVar = {"shared_key": "shared_key"}
    options_class = SecureForwardOptions

    def __init__(self, options: Any, host: InputHost) -> None:
        super().__init__(options.forward(), host)
