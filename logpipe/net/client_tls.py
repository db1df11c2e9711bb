"""TLS for stages that connect: whom they trust, and what they show of themselves."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from typing import Final

from logpipe.net.tls import VERSIONS, Log, TlsError, WatchedFiles, can_be_read, reason_of

SELF_SIGNED_CHECK: Final = 0x4000
"""OpenSSL's X509_V_FLAG_CHECK_SS_SIGNATURE, which `ssl` has no name for."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a stage speaks TLS to its peers. Nobody is trusted who is in none of its stores, unless it says so."""

    ca_paths: tuple[str, ...] = ()
    """CAs, or certificates of their own, that are trusted."""
    trusts_system: bool = True
    """Whether the system's CAs are trusted, too."""
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
    private_key_passphrase: str | None = None
    version: str | None = None
    """The one version, TLSv1_2 say; None: 1.2 and 1.3."""
    ciphers: str = "ALL:!aNULL:!eNULL:!SSLv2"

    def __repr__(self) -> str:
        return f"ClientTls(ca_paths={self.ca_paths}, verify={self.verify}, cert_path={self.cert_path})"


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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    oldest, newest = tls.version or "TLSv1_2", tls.version or "TLSv1_3"
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # whoever writes TLSv1_1 means it
        context.minimum_version, context.maximum_version = VERSIONS[oldest[-1]], VERSIONS[newest[-1]]
    try:
        context.set_ciphers(tls.ciphers)
    except ssl.SSLError:
        raise TlsError(f"ciphers {tls.ciphers}: OpenSSL has none of these: `openssl ciphers` lists all") from None
    context.check_hostname = tls.verify and tls.verify_hostname
    context.verify_mode = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
    if tls.verify:
        if tls.trusts_system:
            context.load_default_certs()
        if tls.check_self_signed:
            context.verify_flags |= SELF_SIGNED_CHECK
    for path in tls.ca_paths:
        can_be_read("CA certificate", path)
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as problem:
            raise TlsError(f"CA certificate {path}: {reason_of(problem, 'holds no certificate')}") from problem
    if tls.cert_path:
        _load_own(context, tls)
    return context


def _load_own(context: ssl.SSLContext, tls: ClientTls) -> None:
    cert, key = tls.cert_path or "", tls.private_key_path
    can_be_read("client certificate", cert)
    if key:
        can_be_read("private key", key)
    try:
        # without a passphrase OpenSSL would read one from the terminal
        context.load_cert_chain(cert, key, tls.private_key_passphrase or "")
    except (OSError, ssl.SSLError, ValueError) as problem:
        text = "the certificate is not this key's" if "KEY_VALUES_MISMATCH" in str(problem) else ""
        text = text or "one of them is no PEM file, or the passphrase is not the key's"
        raise TlsError(f"client certificate {cert} and its key {key or cert}: {text}") from problem
