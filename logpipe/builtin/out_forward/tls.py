"""`tls_*`: how the forward output speaks TLS. Names: fluentd's plugin/out_forward.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from logpipe import InvalidSetting, Options, param
from logpipe.net import ClientTls

_WINDOWS: Final = "It is for Windows, where logpipe does not run"


class TlsOptions(Options):
    """The part of an output's settings that is about TLS."""

    tls_version: Literal["TLSv1_1", "TLSv1_2", "TLSv1_3", "TLS1_1", "TLS1_2", "TLS1_3"] | None = param(
        "The one version of TLS that is spoken; unset: TLSv1_2 and TLSv1_3. Fluentd's default is TLSv1_2 alone.",
        default=None,
    )
    tls_ciphers: str = param("OpenSSL's list of ciphers.", default="ALL:!aNULL:!eNULL:!SSLv2")
    tls_insecure_mode: bool = param("Trust anybody, whatever certificate is shown.", default=False)
    tls_allow_self_signed_cert: bool = param(
        "Have OpenSSL check the signature of a certificate that signed itself. As in Fluentd, such a one is trusted "
        "when it is in `tls_ca_cert_path`, and not without.",
        default=False,
    )
    tls_verify_hostname: bool = param("Whether a certificate must be for the server's name.", default=True)
    tls_ca_cert_path: list[str] | None = param(
        "Files of CAs, or of servers' own certificates, that are trusted beside those of the system. They are read "
        "again when they have changed.",
        default=None,
    )
    tls_cert_path: list[str] | None = param(
        "The old name of `tls_ca_cert_path`, in whose place it is used.", default=None
    )
    tls_client_cert_path: str | None = param("The certificate that is shown to servers that ask for one.", default=None)
    tls_client_private_key_path: str | None = param("Its key; unset: it is in the same file.", default=None)
    tls_client_private_key_passphrase: str | None = param("What the key is encrypted with.", default=None, secret=True)
    tls_cert_thumbprint: str | None = param(f"{_WINDOWS}: refused.", default=None, secret=True)
    tls_cert_logical_store_name: str | None = param(f"{_WINDOWS}: refused.", default=None)
    tls_cert_use_enterprise_store: bool = param(f"{_WINDOWS}.", default=True, no_effect=_WINDOWS.lower())

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used here."""
        for name in ("tls_cert_thumbprint", "tls_cert_logical_store_name"):
            if getattr(self, name):
                yield InvalidSetting(f"{name} is for Windows only: write tls_ca_cert_path", param=name)

    def client_tls(self, *, trusts_system: bool = True) -> ClientTls:
        """Return it as connections are made by it.

        Args:
            trusts_system: whether the system's CAs are trusted, too.
        """
        return ClientTls(
            tuple(self.tls_cert_path or self.tls_ca_cert_path or ()),
            trusts_system=trusts_system,
            verify=not self.tls_insecure_mode,
            verify_hostname=self.tls_verify_hostname,
            check_self_signed=self.tls_allow_self_signed_cert,
            cert_path=self.tls_client_cert_path,
            private_key_path=self.tls_client_private_key_path,
            private_key_passphrase=self.tls_client_private_key_passphrase,
            min_version=self.tls_version or "TLSv1_2",
            max_version=self.tls_version or "TLSv1_3",
            ciphers=self.tls_ciphers,
        )
