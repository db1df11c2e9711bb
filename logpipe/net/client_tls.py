"""TLS for stages that connect: whom they trust, and what they show of themselves."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final

from logpipe.net.tls import Log, TlsError, WatchedFiles, load_authorities, load_own, new_context

SELF_SIGNED_CHECK: Final = 0x4000
"""OpenSSL's X509_V_FLAG_CHECK_SS_SIGNATURE, which `ssl` has no name for."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a stage speaks TLS to its peers. Nobody is trusted who is in none of its stores, unless it says so."""

    ca_paths: tuple[str, ...] = ()
    """CAs, or certificates of their own, that are trusted."""
    trusts_system: bool = True
    """Whether the system's CAs are trusted, too; False: those of `ca_paths` in their place."""
    verify: bool = True
    """False trusts anybody, whatever certificate is shown."""
    verify_hostname: bool = True
    """Whether the certificate must be the peer's, and not just a trusted one."""
    check_self_signed: bool = False
    """Whether the signature of a trusted certificate that signs itself is checked, too."""
    cert_path: str | None = None
    """What is shown to a peer that asks for a certificate."""
    private_key_path: str | None = None
    """Its key; unset: it is in `cert_path`."""
    private_key_passphrase: str | None = field(default=None, repr=False)
    min_version: str = "TLSv1_2"
    max_version: str = "TLSv1_3"
    ciphers: str | None = None
    """OpenSSL's list, up to TLS 1.2; None for Python's."""


class ClientContexts:
    """Gives the context for the next connection; the files are read again when they have changed.

    While they cannot be used, what was read before goes on being used. To make one touches no file.
    """

    def __init__(self, tls: ClientTls, log: Log) -> None:
        self._tls = tls
        self._log = log
        self._files: WatchedFiles | None = None
        self._current: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext:
        """Return the context.

        Raises:
            TlsError: it is the first time, and a file cannot be read, or is not what it should be.
        """
        if self._files is None or self._current is None:
            tls = self._tls
            self._files = WatchedFiles((*tls.ca_paths, tls.cert_path, tls.private_key_path))
            self._current = client_context(tls)
        elif self._files.have_changed():
            try:
                self._current = client_context(self._tls)
            except TlsError as problem:
                self._log.warning("%s: what was read before is used until the files are right", problem)
            else:
                self._log.info("certificates were read again, since their files have changed")
        return self._current


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return a context for clients.

    Raises:
        TlsError: a file cannot be read, or is not what it should be.
    """
    context = new_context(ssl.PROTOCOL_TLS_CLIENT, tls.min_version, tls.max_version, tls.ciphers)
    context.check_hostname = tls.verify and tls.verify_hostname
    context.verify_mode = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
    if tls.verify:
        if tls.trusts_system:
            context.load_default_certs()
        if tls.check_self_signed:
            context.verify_flags |= SELF_SIGNED_CHECK
    for path in tls.ca_paths:
        load_authorities(context, "CA certificate", path)
    if tls.cert_path:
        key = tls.private_key_path or tls.cert_path
        load_own(context, ("client certificate", tls.cert_path), ("its key", key), tls.private_key_passphrase)
    return context
