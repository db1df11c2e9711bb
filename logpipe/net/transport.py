"""`<transport>`: the settings of a listener. Names and rules: fluentd's plugin_helper/server.rb, cert_option.rb."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

from logpipe.config.conversion import Size
from logpipe.config.declare import InvalidSetting, argument, param
from logpipe.config.options import Options

Version: TypeAlias = Literal["TLSv1_1", "TLSv1_2", "TLSv1_3", "TLS1_1", "TLS1_2", "TLS1_3"]

_CERTIFICATE: Final = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj /CN=HOST -addext subjectAltName=DNS:HOST "
    "-keyout key.pem -out cert.pem"
)
_GENERATED: Final = "only with a generated certificate, and none is generated"


class TransportOptions(Options):
    """`<transport PROTOCOL>`; what fluentd does not have there is refused."""

    _refuses_unknown = True

    protocol: Literal["tcp", "udp", "tls"] = argument("tcp, udp, or tls.", default="tcp")
    receive_buffer_size: Size | None = param("Size of the kernel's buffer for what comes (SO_RCVBUF).", default=None)
    linger_timeout: int | None = param(
        "How many seconds a connection that is closed may wait for its last bytes to be taken (SO_LINGER); unset: the "
        "kernel sees to it. Fluentd sets 0, which throws them away.",
        default=None,
    )
    version: Version | None = param(
        "The one version of TLS that is spoken; unset: TLSv1_2 and TLSv1_3. Fluentd's default is TLSv1_2 alone.",
        default=None,
    )
    min_version: Version | None = param("The oldest version of TLS; with `max_version`.", default=None)
    max_version: Version | None = param("The newest version of TLS; with `min_version`.", default=None)
    ciphers: str = param("OpenSSL's list of ciphers.", default="ALL:!aNULL:!eNULL:!SSLv2")
    insecure: bool = param("Make a certificate that nobody can verify; refused: write `cert_path`.", default=False)
    ensure_fips: bool = param("Start in OpenSSL's FIPS mode only; refused, Python cannot tell.", default=False)
    cert_path: str | None = param(
        "The server's certificate, and those between it and its CA. It is read again when its file has changed.",
        default=None,
    )
    private_key_path: str | None = param("The certificate's key.", default=None)
    private_key_passphrase: str | None = param("What the key is encrypted with.", default=None, secret=True)
    client_cert_auth: bool = param("Let in only who has a certificate by a CA of `ca_path`.", default=False)
    ca_path: str | None = param("CAs of clients. They are read again when their file has changed.", default=None)
    ca_cert_path: str | None = param("A CA to make a certificate by; refused: write `cert_path`.", default=None)
    ca_private_key_path: str | None = param(f"The CA's key: {_GENERATED}.", default=None)
    ca_private_key_passphrase: str | None = param(
        f"What the CA's key is encrypted with: {_GENERATED}.", default=None, secret=True
    )
    cert_verifier: str | None = param("A file with Ruby code; refused: use `client_cert_auth`.", default=None)
    generate_private_key_length: int = param(f"Effective {_GENERATED}.", default=2048)
    generate_cert_country: str = param(f"Effective {_GENERATED}.", default="US")
    generate_cert_state: str = param(f"Effective {_GENERATED}.", default="CA")
    generate_cert_locality: str = param(f"Effective {_GENERATED}.", default="Mountain View")
    generate_cert_common_name: str | None = param(f"Effective {_GENERATED}.", default=None)
    generate_cert_expiration: int = param(f"Effective {_GENERATED}.", default=315360000)
    generate_cert_digest: Literal["sha1", "sha256", "sha384", "sha512"] = param(
        f"Effective {_GENERATED}.", default="sha256"
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be offered, or is not."""
        if self.linger_timeout is not None and self.linger_timeout < 0:
            yield InvalidSetting("linger_timeout must be 0 at least", param="linger_timeout")
        if self.protocol != "tls":
            return
        for oldest, newest in (("min_version", "max_version"), ("max_version", "min_version")):
            if getattr(self, oldest) and not getattr(self, newest):
                # as in fluentd, tls.rb says so
                yield InvalidSetting(f"{oldest} needs {newest} beside it: add {newest} TLSv1_3", param=oldest)
        if self.insecure and not self.cert_path:
            yield InvalidSetting(
                f"insecure makes no certificate here: write cert_path: {_CERTIFICATE}", param="insecure"
            )
        if self.ca_cert_path:
            message = "ca_cert_path makes no certificate here: sign one by that CA, and write cert_path"
            yield InvalidSetting(message, param="ca_cert_path")
        if self.cert_verifier:
            message = "cert_verifier runs Ruby code, which logpipe does not: write client_cert_auth true and ca_path"
            yield InvalidSetting(message, param="cert_verifier")
        if self.ensure_fips:
            yield InvalidSetting(
                "ensure_fips: Python cannot tell: leave it to OpenSSL's own settings", param="ensure_fips"
            )
        yield from self._check_files()

    def _check_files(self) -> Iterator[str | InvalidSetting]:
        if not (self.cert_path or self.insecure or self.ca_cert_path):
            yield f"tls needs a certificate: write cert_path and private_key_path: {_CERTIFICATE}"
        if self.cert_path and not self.private_key_path:
            yield InvalidSetting("cert_path needs its key: add private_key_path", param="cert_path")
        if self.client_cert_auth and not self.ca_path:
            message = "client_cert_auth needs ca_path: without it whoever any public CA has certified would be let in"
            yield InvalidSetting(message, param="client_cert_auth")

    def set_up(self, sock: socket.socket) -> None:
        """Set on a socket what is asked for."""
        if self.receive_buffer_size is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer_size)
        if self.linger_timeout is not None and sock.type == socket.SOCK_STREAM and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, self.linger_timeout))


def refuse_others(transport: TransportOptions, allowed: Iterable[str]) -> Iterator[InvalidSetting]:
    """Yield a protocol that a stage does not speak, for its `Options.check`."""
    names = tuple(allowed)
    if transport.protocol not in names:
        yield InvalidSetting(f"<transport {transport.protocol}> is not spoken here: write {' or '.join(names)}")
