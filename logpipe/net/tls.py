"""TLS for listeners: what is offered comes from files, which are read again when they have changed."""

from __future__ import annotations

import logging
import os
import ssl
import warnings
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


class Contexts:
    """Gives the context for the next handshake.

    Files are looked at by identity, size and time. While they cannot be used, a certificate that is not its key's
    because one of them was written first say, what was read before goes on being offered.
    """

    def __init__(self, transport: TransportOptions, log: Log) -> None:
        self._transport = transport
        self._log = log
        self._state = self._look()
        self._current = make_context(transport)

    def current(self) -> ssl.SSLContext:
        """Return the context; reads the files if they have changed."""
        state = self._look()
        if state != self._state:
            self._state = state
            try:
                self._current = make_context(self._transport)
            except TlsError as problem:
                self._log.warning("%s: what was read before is offered until the files are right", problem)
            else:
                self._log.info("offering the certificate that is in %s now", self._transport.cert_path)
        return self._current

    def _look(self) -> _State:
        """Return what tells the files from later ones; nothing where one is missing."""
        transport = self._transport
        paths = filter(None, (transport.cert_path, transport.private_key_path, transport.ca_path))
        try:
            found = [os.stat(path) for path in paths]  # noqa: PTH116 - done at each handshake
        except OSError:
            return ()
        return tuple((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def make_context(transport: TransportOptions) -> ssl.SSLContext:
    """Return a context for servers.

    Raises:
        TlsError: a file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    oldest = transport.min_version or transport.version or "TLSv1_2"
    newest = transport.max_version or transport.version or "TLSv1_3"
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # whoever writes TLSv1_1 means it
        context.minimum_version, context.maximum_version = VERSIONS[oldest[-1]], VERSIONS[newest[-1]]
    try:
        context.set_ciphers(transport.ciphers)
    except ssl.SSLError:
        raise TlsError(f"ciphers {transport.ciphers}: OpenSSL has none of these: `openssl ciphers` lists all") from None
    _load_certificate(context, transport)
    if transport.client_cert_auth:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(transport.ca_path)
        except (OSError, ssl.SSLError) as problem:
            raise TlsError(f"ca_path {transport.ca_path}: {_reason(problem, 'holds no certificate')}") from problem
    return context


def _load_certificate(context: ssl.SSLContext, transport: TransportOptions) -> None:
    cert, key = transport.cert_path or "", transport.private_key_path
    for name, path in (("cert_path", cert), ("private_key_path", key or "")):
        try:
            with open(path, "rb"):  # noqa: PTH123 - whether it can be read: load_cert_chain does not say which cannot
                pass
        except OSError as problem:
            raise TlsError(f"{name} {path}: {_reason(problem, '')}") from problem
    try:
        # without a passphrase OpenSSL would read one from the terminal
        context.load_cert_chain(cert, key, transport.private_key_passphrase or "")
    except (OSError, ssl.SSLError, ValueError) as problem:
        text = "the certificate is not this key's" if "KEY_VALUES_MISMATCH" in str(problem) else ""
        text = text or "one of them is no PEM file, or private_key_passphrase is not the key's"
        raise TlsError(f"cert_path {cert} and private_key_path {key}: {text}") from problem


def _reason(problem: OSError, otherwise: str) -> str:
    if isinstance(problem, ssl.SSLError):
        return otherwise
    return (problem.strerror or str(problem)).lower()
