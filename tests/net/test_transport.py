"""`<transport>`: TLS, who is let in, certificates that change, and what is refused."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from logpipe import ConfigError
from logpipe.net import Limits
from logpipe.testing import DEADLINE, Pipeline, check_listener, drive
from logpipe.testing.strangers import connection, until_closed
from tests.net.certificates import AUTHORITY, OTHERS, replace, trusting, write
from tests.net.stages import Lines


def tls(more: str) -> str:
    """Return a section."""
    return f"<transport tls>\n{more}\n</transport>\n"


async def echo(running: Pipeline, context: ssl.SSLContext, host: str = "127.0.0.1") -> None:
    """Send a line and get it back."""
    number = running.plugin(Lines).port
    reader, writer = await asyncio.open_connection("127.0.0.1", number, ssl=context, server_hostname=host)
    try:
        writer.write(b"hello\n")
        async with asyncio.timeout(DEADLINE):
            assert await reader.readline() == b"hello\n"
    finally:
        writer.transport.abort()


async def test_tls(tmp_path: Path) -> None:
    """Who trusts the CA is served, who does not ends the handshake."""
    async with drive(Lines, tls(write(tmp_path))) as running:
        await echo(running, trusting())
        with pytest.raises(ssl.SSLError):
            await echo(running, trusting(OTHERS))
        assert running.records() == [{"text": "hello", "peer": "127.0.0.1"}]


async def test_client_certificates(tmp_path: Path) -> None:
    """Only who shows one of the right CA is let in; the stage can tell who it is."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    conf = write(tmp_path) + f"client_cert_auth true\nca_path {tmp_path}/ca.pem"
    async with drive(Lines, tls(conf)) as running:
        await echo(running, trusting(shown=AUTHORITY))
        for context in (trusting(), trusting(shown=OTHERS)):
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                await echo(running, context)
        assert [record["who"]["commonName"] for record in running.records()] == ["client"]
        OTHERS.cert_pem.write_to_path(tmp_path / "new.pem")
        (tmp_path / "new.pem").rename(tmp_path / "ca.pem")
        await echo(running, trusting(shown=OTHERS))


async def test_a_certificate_that_changes(tmp_path: Path) -> None:
    """It is offered at the next handshake; connections that there are go on."""
    async with drive(Lines, tls(write(tmp_path))) as running:
        number = running.plugin(Lines).port
        reader, writer = await asyncio.open_connection("127.0.0.1", number, ssl=trusting())
        replace(tmp_path, OTHERS)
        await echo(running, trusting(OTHERS))
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.transport.abort()


async def test_a_certificate_that_is_half_written(tmp_path: Path) -> None:
    """The one before is offered until certificate and key fit."""
    conf = write(tmp_path)
    cert, key = (tmp_path / "cert.pem").read_bytes(), (tmp_path / "key.pem").read_bytes()
    async with drive(Lines, tls(conf)) as running:
        replace(tmp_path, OTHERS)
        (tmp_path / "cert.pem").write_bytes(cert)
        await echo(running, trusting())
        (tmp_path / "key.pem").unlink()
        await echo(running, trusting())
        (tmp_path / "key.pem").write_bytes(key)
        await echo(running, trusting())
        said = running.log.texts("warning")
        assert len(said) == 2
        assert "the certificate is not this key's: what was read before is offered until the files are right" in said[0]
        assert "key.pem: no such file or directory: what was read before is offered" in said[1]
        assert any("offering the certificate that is in" in text for text in running.log.texts("info"))


async def test_strangers(tmp_path: Path) -> None:
    """They can keep nobody out by handshakes that do not end."""
    async with drive(Lines, tls(write(tmp_path))) as running:
        await check_listener(running.plugin(Lines).port, lambda: echo(running, trusting()), crowd=40)
        assert running.log.texts("error") + running.log.texts("warning") == []


async def test_a_handshake_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its time, and where there are too many it makes room before."""
    monkeypatch.setattr(Lines, "limits", Limits(handshake=0.05))
    async with drive(Lines, tls(write(tmp_path))) as running, connection(running.plugin(Lines).port) as (reader, _):
        assert await until_closed(reader) == b""
    monkeypatch.setattr(Lines, "limits", Limits(connections=2, handshake=DEADLINE))
    async with drive(Lines, tls(write(tmp_path))) as running:
        number = running.plugin(Lines).port
        async with connection(number) as (first, _), connection(number):
            await echo(running, trusting())
            assert await until_closed(first) == b""


@pytest.mark.parametrize(
    ("conf", "version"),
    [
        ("version TLSv1_2", "TLSv1.2"),
        ("version TLS1_3", "TLSv1.3"),
        ("", "TLSv1.3"),
        ("min_version TLS1_1\nmax_version TLSv1_2", "TLSv1.2"),
    ],
)
async def test_versions(tmp_path: Path, conf: str, version: str) -> None:
    """One, or those between two."""
    async with drive(Lines, tls(write(tmp_path) + conf)) as running:
        number = running.plugin(Lines).port
        _, writer = await asyncio.open_connection("127.0.0.1", number, ssl=trusting())
        assert writer.get_extra_info("ssl_object").version() == version
        writer.transport.abort()


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("", "tls needs a certificate: write cert_path and private_key_path: openssl req"),
        ("insecure true", "insecure makes no certificate here: write cert_path: openssl req"),
        ("cert_path a", "cert_path needs its key: add private_key_path"),
        ("ca_cert_path a\nca_private_key_path b", "ca_cert_path makes no certificate here: sign one by that CA"),
        ("cert_path a\nprivate_key_path b\ncert_verifier c", "cert_verifier runs Ruby code, which logpipe does not"),
        ("cert_path a\nprivate_key_path b\nensure_fips true", "ensure_fips: Python cannot tell"),
        ("cert_path a\nprivate_key_path b\nclient_cert_auth true", "client_cert_auth needs ca_path: without it"),
        ("cert_path a\nprivate_key_path b\nmin_version TLSv1_2", "min_version needs max_version beside it"),
        ("cert_path a\nprivate_key_path b\nmax_version TLSv1_2", "max_version needs min_version beside it"),
        ("cert_path a\nprivate_key_path b\nlinger_timeout -1", "linger_timeout must be 0 at least"),
    ],
)
async def test_what_is_refused(conf: str, said: str) -> None:
    """An option that could not be kept is an error with a way out, never a listener without it."""
    with pytest.raises(ConfigError, match=said):
        async with drive(Lines, tls(conf)):
            pass


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("cert_path /nowhere", "cert_path /nowhere: no such file or directory"),
        ("private_key_passphrase wrong\nprivate_key_path {0}/locked.pem", "the passphrase is not the key's"),
        ("private_key_path {0}/locked.pem", "the passphrase is not the key's"),
        ("private_key_path {0}/cert.pem", "one of them is no PEM file"),
        ("client_cert_auth true\nca_path {0}/key.pem", "ca_path {0}/key.pem: holds no certificate"),
        ("ciphers NONSENSE", "ciphers NONSENSE: OpenSSL has none of these"),
    ],
)
async def test_files_that_cannot_be_used(tmp_path: Path, more: str, said: str) -> None:
    """It is said which, at the start."""
    write_locked(tmp_path)
    conf = {line.split()[0]: line for line in (write(tmp_path) + more.format(tmp_path)).splitlines()}
    with pytest.raises(ExceptionGroup) as failure:
        async with drive(Lines, tls("\n".join(conf.values()))):
            pass
    assert said.format(tmp_path) in str(failure.value.exceptions[0].exceptions[0])


def write_locked(folder: Path) -> None:
    """Write a key that is encrypted with `opensesame`, and its certificate."""
    issued = AUTHORITY.issue_cert("127.0.0.1")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    (folder / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"opensesame"),
        )
    )
    (folder / "locked-cert.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))


async def test_a_key_with_a_passphrase(tmp_path: Path) -> None:
    """As Fluentd has it."""
    write_locked(tmp_path)
    conf = (
        f"cert_path {tmp_path}/locked-cert.pem\nprivate_key_path {tmp_path}/locked.pem\n"
        "private_key_passphrase opensesame"
    )
    async with drive(Lines, tls(conf)) as running:
        await echo(running, trusting())
