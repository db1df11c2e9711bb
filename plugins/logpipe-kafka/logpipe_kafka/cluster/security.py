"""TLS and SASL: makes aiokafka's arguments from the settings."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from logpipe import InvalidSetting
from logpipe_kafka.cluster_options import ConnectionOptions


def arguments(options: ConnectionOptions) -> dict[str, Any]:
    """Return aiokafka's arguments; reads the files that the settings name.

    Raises:
        InvalidSetting: a file can't be read, or has the wrong content.
    """
    found: dict[str, Any] = {"security_protocol": options.protocol}
    if options.uses_tls:
        found["ssl_context"] = _tls_context(options)
    if name := options.sasl_mechanism:
        found["sasl_mechanism"] = name
    if options.username:
        found["sasl_plain_username"] = options.username
        found["sasl_plain_password"] = options.password
    if options.principal:
        found["sasl_kerberos_service_name"] = options.service_name or "kafka"
        if options.keytab:
            # The only way to configure MIT Kerberos from within, for the whole process.
            os.environ["KRB5_CLIENT_KTNAME"] = options.keytab
    return found


def _tls_context(options: ConnectionOptions) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = options.ssl_verify_hostname
    for path in options.ssl_ca_cert:
        with _naming("ssl_ca_cert", path):
            context.load_verify_locations(path)
    if options.ssl_ca_certs_from_system or not options.ssl_ca_cert:
        context.load_default_certs()
    if options.ssl_client_cert and options.ssl_client_cert_key:
        _load_client_certificate(context, options)
    return context


@contextmanager
def _naming(param: str, path: str) -> Iterator[None]:
    """Add the setting and its file to errors, which OpenSSL's own do not name."""
    try:
        yield
    except OSError as error:
        message = f"{param} {path} can't be used: {error.strerror or error}: it must be a readable PEM file"
        raise InvalidSetting(message, param=param) from error


def _load_client_certificate(context: ssl.SSLContext, options: ConnectionOptions) -> None:
    cert, key = str(options.ssl_client_cert), str(options.ssl_client_cert_key)
    together = b""
    for param, path in (("ssl_client_cert", cert), ("ssl_client_cert_chain", options.ssl_client_cert_chain)):
        if path is not None:
            with _naming(param, path):
                together += Path(path).read_bytes() + b"\n"
    with _naming("ssl_client_cert_key", key):
        Path(key).read_bytes()
    # OpenSSL needs the certificate and its chain in one file, and its errors do not name the file.
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(together)
        file.flush()
        _load(context, file.name, cert, key, options.ssl_client_cert_key_password or "")


def _load(context: ssl.SSLContext, together: str, cert: str, key: str, password: str) -> None:
    is_encrypted = False

    def open_key() -> str:
        nonlocal is_encrypted
        is_encrypted = True
        return password

    try:
        context.load_cert_chain(together, key, open_key)
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        if is_encrypted and password:
            name, message = "ssl_client_cert_key_password", f"does not open {key}: it must be the key's password"
        elif is_encrypted:
            name, message = "ssl_client_cert_key", f"{key} is encrypted: set ssl_client_cert_key_password"
        elif "MISMATCH" in str(why):
            name, message = "ssl_client_cert_key", f"{key} is not the key of {cert}: give the one it was issued for"
        elif "PRIVATE KEY" not in Path(key).read_text(encoding="ascii", errors="replace"):
            name, message = "ssl_client_cert_key", f"{key} can't be used: it must be a private key, PEM"
        else:
            name, message = "ssl_client_cert", f"{cert} can't be used: {why}: it must be a readable PEM file"
        raise InvalidSetting(f"{name} {message}", param=name) from error
