"""TLS: certificates come from files, which are read again when they have changed; what listeners offer.

What stages that connect trust and show is in client_tls.py.
"""

from __future__ import annotations

import logging
import os
import ssl
import warnings
from collections.abc import Iterable
from typing import Any, Final

from logpipe.errors import LogpipeError
from logpipe.net.transport import TransportOptions

VERSIONS: Final = {
    "1": ssl.TLSVersion.TLSv1_1,
    "2": ssl.TLSVersion.TLSv1_2,
    "3": ssl.TLSVersion.TLSv1_3,
}
"""By the last character of fluentd's names, `TLSv1_2` and `TLS1_2`."""

_State = tuple[tuple[int, int, int, int], ...]
Log = logging.Logger | logging.LoggerAdapter[Any]


class TlsError(LogpipeError):
    """A certificate, a key or a CA cannot be used."""


class WatchedFiles:
    """Certificates in files, which are looked at by identity, size and time."""

    def __init__(self, paths: Iterable[str | None]) -> None:
        self._paths = tuple(filter(None, paths))
        self._state = self._look()

    def have_changed(self) -> bool:
        """Return whether they are others than at the last look."""
        before, self._state = self._state, self._look()
        return self._state != before

    def _look(self) -> _State:
        """Return what tells the files from later ones; nothing where one is missing."""
        try:
            found = [os.stat(path) for path in self._paths]  # noqa: PTH116 - done at each handshake
        except OSError:
            return ()
        return tuple((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


class Contexts:
    """Gives the context for the next handshake.

    While the files cannot be used, a certificate that is not its key's because one of them was written first say, what
    was read before goes on being offered.
    """

    def __init__(self, transport: TransportOptions, log: Log) -> None:
        self._transport = transport
        self._log = log
        self._files = WatchedFiles((transport.cert_path, transport.private_key_path, transport.ca_path))
        self._current = make_context(transport)

    def current(self) -> ssl.SSLContext:
        """Return the context; reads the files if they have changed."""
        if self._files.have_changed():
            try:
                self._current = make_context(self._transport)
            except TlsError as problem:
                self._log.warning("%s: what was read before is offered until the files are right", problem)
            else:
                self._log.info("offering the certificate that is in %s now", self._transport.cert_path)
        return self._current


def make_context(transport: TransportOptions) -> ssl.SSLContext:
    """Return a context for servers.

    Raises:
        TlsError: a file cannot be read, or is not what it should be.
    """
    oldest = transport.min_version or transport.version or "TLSv1_2"
    newest = transport.max_version or transport.version or "TLSv1_3"
    context = new_context(ssl.PROTOCOL_TLS_SERVER, oldest, newest, transport.ciphers)
    cert, key = transport.cert_path or "", transport.private_key_path or ""
    load_own(context, ("cert_path", cert), ("private_key_path", key), transport.private_key_passphrase)
    if transport.client_cert_auth:
        context.verify_mode = ssl.CERT_REQUIRED
        load_authorities(context, "ca_path", transport.ca_path or "")
    return context


def new_context(protocol: int, oldest: str, newest: str, ciphers: str | None) -> ssl.SSLContext:
    """Return a context that has no certificates yet.

    Args:
        protocol: `ssl.PROTOCOL_TLS_SERVER` or `ssl.PROTOCOL_TLS_CLIENT`.
        oldest: fluentd's name of the oldest version; `newest` likewise.
        newest: of the newest.
        ciphers: OpenSSL's list of those up to TLS 1.2; None for Python's.

    Raises:
        TlsError: OpenSSL has none of the ciphers.
    """
    context = ssl.SSLContext(protocol)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # whoever writes TLSv1_1 means it
        context.minimum_version, context.maximum_version = VERSIONS[oldest[-1]], VERSIONS[newest[-1]]
    if ciphers is not None:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise TlsError(f"ciphers {ciphers}: OpenSSL has none of these: `openssl ciphers` lists all") from None
    return context


def load_authorities(context: ssl.SSLContext, name: str, path: str) -> None:
    """Have a context trust the CAs of a file, which errors call `name`.

    Raises:
        TlsError: it cannot be read, or holds none.
    """
    can_be_read(name, path)
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as problem:
        raise TlsError(f"{name} {path}: {reason_of(problem, 'holds no certificate')}") from problem


def load_own(context: ssl.SSLContext, cert: tuple[str, str], key: tuple[str, str], passphrase: str | None) -> None:
    """Have a context show a certificate.

    Args:
        context: which.
        cert: what errors call the certificate, and its path.
        key: the same of its key, which may be in the same file.
        passphrase: what the key is encrypted with.

    Raises:
        TlsError: a file cannot be read, or they do not fit each other.
    """
    can_be_read(*cert)
    can_be_read(*key)
    try:
        # without a passphrase OpenSSL would read one from the terminal
        context.load_cert_chain(cert[1], key[1], passphrase or "")
    except (OSError, ssl.SSLError, ValueError) as problem:
        text = "the certificate is not this key's" if "KEY_VALUES_MISMATCH" in str(problem) else ""
        text = text or "one of them is no PEM file, or the passphrase is not the key's"
        raise TlsError(f"{' '.join(cert)} and {' '.join(key)}: {text}") from problem


def can_be_read(name: str, path: str) -> None:
    """Look whether a file can be read: `load_cert_chain` does not say which cannot.

    Raises:
        TlsError: it cannot.
    """
    try:
        with open(path, "rb"):  # noqa: PTH123 - nothing but that
            pass
    except OSError as problem:
        raise TlsError(f"{name} {path}: {reason_of(problem, '')}") from problem


def reason_of(problem: OSError, otherwise: str) -> str:
    """Return why a file cannot be used; `otherwise` where OpenSSL has no words for it."""
    if isinstance(problem, ssl.SSLError):
        return otherwise
    return (problem.strerror or str(problem)).lower()
