"""TLS for clients: what is trusted and shown comes from files, which are read again when they have changed."""

from __future__ import annotations

import os
import ssl
import warnings

from logpipe.net.client.settings import HttpClientTls
from logpipe.net.tls import VERSIONS, TlsError

_State = tuple[tuple[int, int, int, int], ...]


class ClientContexts:
    """Gives the context for the next connection.

    While changed files cannot be used, what was read before goes on being used: a certificate and its key are
    written one after the other.
    """

    def __init__(self, settings: HttpClientTls) -> None:
        self._settings = settings
        self._state: _State = ()
        self._current: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext:
        """Return the context; reads the files if they have changed.

        Raises:
            TlsError: a file cannot be used, and there is none from before.
        """
        state = self._look()
        if self._current is None or state != self._state:
            try:
                self._current, self._state = make_client_context(self._settings), state
            except TlsError:
                if self._current is None:
                    raise
        return self._current

    def _look(self) -> _State:
        """Return what tells the files from later ones; nothing where one is missing."""
        settings = self._settings
        paths = filter(None, (settings.ca_path, settings.cert_path, settings.key_path))
        try:
            found = [os.stat(path) for path in paths]  # noqa: PTH116 - done at each request
        except OSError:
            return ()
        return tuple((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def make_client_context(settings: HttpClientTls) -> ssl.SSLContext:
    """Return a context for clients.

    Raises:
        TlsError: a file cannot be read, or is not what it should be; or OpenSSL has none of the ciphers.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # whoever writes TLSv1_1 means it
        context.minimum_version = VERSIONS[settings.min_version[-1]]
        context.maximum_version = VERSIONS[settings.max_version[-1]]
    if settings.ciphers is not None:
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            message = f"ciphers {settings.ciphers}: OpenSSL has none of these: `openssl ciphers` lists all"
            raise TlsError(message) from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_path is None:
        context.load_default_certs()
    if settings.ca_path is not None:
        try:
            context.load_verify_locations(settings.ca_path)
        except (OSError, ssl.SSLError) as problem:
            raise TlsError(f"CA {settings.ca_path}: {_reason(problem, 'holds no certificate')}") from problem
    if settings.cert_path is not None:
        _load_certificate(context, settings.cert_path, settings.key_path, settings.passphrase)
    return context


def _load_certificate(context: ssl.SSLContext, cert: str, key: str | None, passphrase: str | None) -> None:
    for path in filter(None, (cert, key)):
        try:
            with open(path, "rb"):  # noqa: PTH123 - whether it can be read: load_cert_chain does not say which cannot
                pass
        except OSError as problem:
            raise TlsError(f"{path}: {_reason(problem, '')}") from problem
    try:
        # without a passphrase OpenSSL would read one from the terminal
        context.load_cert_chain(cert, key, passphrase or "")
    except (OSError, ssl.SSLError, ValueError) as problem:
        text = "the certificate is not this key's" if "KEY_VALUES_MISMATCH" in str(problem) else ""
        text = text or "no certificate and key in PEM, or the passphrase is not the key's"
        raise TlsError(f"{cert}{f' and {key}' if key else ''}: {text}") from problem


def _reason(problem: OSError, otherwise: str) -> str:
    return otherwise if isinstance(problem, ssl.SSLError) else (problem.strerror or str(problem)).lower()
