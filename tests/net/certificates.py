"""Certificates in files, as `<transport tls>` wants them."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

AUTHORITY = trustme.CA()
OTHERS = trustme.CA()


def write(folder: Path, name: str = "127.0.0.1", authority: trustme.CA = AUTHORITY) -> str:
    """Write a new certificate, the one file after the other, and return the settings that name it."""
    issued = authority.issue_cert(name, "localhost", common_name="server")
    (folder / "cert.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return f"cert_path {folder}/cert.pem\nprivate_key_path {folder}/key.pem\n"


def replace(folder: Path, authority: trustme.CA) -> None:
    """Write another certificate in the place of the first."""
    new = folder / "new"
    new.mkdir(exist_ok=True)
    write(new, authority=authority)
    for name in ("cert.pem", "key.pem"):
        (new / name).replace(folder / name)


def trusting(authority: trustme.CA = AUTHORITY, *, shown: trustme.CA | None = None) -> ssl.SSLContext:
    """Return a client's context, which shows a certificate of its own if there is a CA for it."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if shown is not None:
        shown.issue_cert("client@example.com", common_name="client").configure_cert(context)
    return context


def server_context(folder: Path) -> ssl.SSLContext:
    """Return a server's context with the certificate that was written there; clients must show one by the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
