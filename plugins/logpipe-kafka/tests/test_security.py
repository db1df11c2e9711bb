"""TLS and SASL."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from logpipe import ConfigError, InvalidSetting
from logpipe.testing import build, configure, drive, wait_for
from logpipe_kafka.cluster import security
from logpipe_kafka.cluster_options import ClusterOptions
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services.mock_kafka import MockKafka
from tests.services.tcp_proxy import tcp_proxy


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that our broker's certificate comes from."""
    return trustme.CA()


@pytest.fixture
def folder(authority: trustme.CA, tmp_path: Path) -> Path:
    """A folder with the authority's certificate, and one of ours with its key."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other-ca.pem"))
    ours = authority.issue_cert("client.example.com")
    ours.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    return tmp_path


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    """A cluster of one broker."""
    with MockKafka() as cluster:
        yield cluster


@asynccontextmanager
async def tls_in_front(broker: MockKafka, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Accept TLS connections for a broker while the context is open; yields the port."""
    async with tcp_proxy(broker.bootstrap, tls=context) as proxy:
        broker.advertise(1, proxy.port)
        yield proxy.port


def server_context(authority: trustme.CA, *names: str, clients: bool = False) -> ssl.SSLContext:
    """Return the broker's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if clients:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls_with_a_client_certificate(broker: MockKafka, authority: trustme.CA, folder: Path) -> None:
    """Events go through TLS; the broker sees our certificate and those that vouch for it."""
    context = server_context(authority, "localhost", clients=True)
    async with tls_in_front(broker, context) as port:
        conf = f"""
          brokers localhost:{port}
          ssl_ca_cert {folder}/ca.pem
          ssl_client_cert {folder}/client.pem
          ssl_client_cert_key {folder}/client.key
          ssl_client_cert_chain {folder}/ca.pem
        """
        async with drive(KafkaOutput, conf) as stage:
            await stage.feed("app", {"n": 1})
            await wait_for(lambda: stage.metric("emit_records") == 1, "the event")


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("localhost", "ssl_ca_cert {folder}/other-ca.pem", "certificate verify failed"),
        ("elsewhere.example.com", "ssl_ca_cert {folder}/ca.pem", "certificate is not valid for 'localhost'"),
        ("localhost", "ssl_ca_certs_from_system true", "certificate verify failed"),
    ],
)
async def test_untrusted_broker(  # noqa: PLR0917 - fixtures
    broker: MockKafka, authority: trustme.CA, folder: Path, name: str, more: str, reason: str
) -> None:
    """A broker that can't prove who it is gets nothing, and the log says why."""
    async with (
        tls_in_front(broker, server_context(authority, name)) as port,
        drive(KafkaOutput, f"brokers localhost:{port}\n{more.format(folder=folder)}") as stage,
    ):
        await wait_for(lambda: any(reason in text for text in stage.log.texts("warning")), "the reason")


async def test_hostname_not_verified(broker: MockKafka, authority: trustme.CA, folder: Path) -> None:
    """With ssl_verify_hostname false the name may be another, the authority not."""
    async with tls_in_front(broker, server_context(authority, "elsewhere.example.com")) as port:
        conf = f"brokers localhost:{port}\nssl_ca_cert {folder}/ca.pem\nssl_verify_hostname false"
        async with drive(KafkaOutput, conf) as stage:
            await stage.feed("app", {"n": 1})
            await wait_for(lambda: stage.metric("emit_records") == 1, "the event")


async def test_expired_certificate(broker: MockKafka, authority: trustme.CA, folder: Path) -> None:
    """Events wait for the broker to have a certificate that is valid; the log says what is wrong with this one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    authority.issue_cert("localhost", not_after=yesterday).configure_cert(context)
    async with (
        tls_in_front(broker, context) as port,
        drive(KafkaOutput, f"brokers localhost:{port}\nssl_ca_cert {folder}/ca.pem") as stage,
    ):
        await stage.feed("app", {"n": 1})
        await wait_for(
            lambda: any("certificate has expired" in text for text in stage.log.texts("warning")), "the reason"
        )
        authority.issue_cert("localhost").configure_cert(context)
        await wait_for(lambda: stage.metric("emit_records") == 1, "the event")


def options(body: str) -> ClusterOptions:
    """Return settings read from the body of a section."""
    found = configure(KafkaOutput, body)
    assert isinstance(found, ClusterOptions)
    return found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", {"security_protocol": "PLAINTEXT"}),
        (
            "username u\npassword p\nsasl_over_ssl false",
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": "u",
                "sasl_plain_password": "p",
            },
        ),
        (
            "username u\npassword p\nscram_mechanism sha512\nssl_ca_certs_from_system true",
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": "u",
                "sasl_plain_password": "p",
            },
        ),
        ('username ""\npassword ""\nssl_ca_cert ""\nssl_client_cert ""', {"security_protocol": "PLAINTEXT"}),
    ],
)
def test_arguments(body: str, expected: dict[str, Any]) -> None:
    """The mechanism is chosen as ruby-kafka does; what is empty is unset."""
    found = security.arguments(options(body))
    context = found.pop("ssl_context", None)

    assert found == expected
    assert (context is not None) == expected["security_protocol"].endswith("SSL")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "username u\npassword p",
            "SASL needs TLS: set ssl_ca_cert or ssl_ca_certs_from_system, or sasl_over_ssl false",
        ),
        ("username u", "username and password belong together: give both"),
        ("ssl_client_cert a.pem", "ssl_client_cert needs ssl_client_cert_key: give both"),
        ("ssl_client_cert_key a.pem", "ssl_client_cert_key needs ssl_client_cert: give both"),
        ("ssl_client_cert_chain a.pem", "ssl_client_cert_chain needs ssl_client_cert and ssl_client_cert_key"),
        ("scram_mechanism md5", 'scram_mechanism "md5" is not known: write sha256 or sha512'),
        ("principal p\nsasl_over_ssl false", "principal needs the gssapi package: pip install"),
    ],
)
def test_mistakes(body: str, message: str) -> None:
    """Settings that do not go together are found when they are read."""
    with pytest.raises(ConfigError) as caught:
        configure(KafkaOutput, body)

    assert message in str(caught.value)


async def test_missing_file() -> None:
    """A file for TLS that is not there stops the start, with its name and its setting."""
    output = build(KafkaOutput, "ssl_ca_cert /nowhere/ca.pem")
    with pytest.raises(InvalidSetting, match=r"ssl_ca_cert /nowhere/ca\.pem can't be used: No such file or directory"):
        await output.start()


async def test_wrong_file(folder: Path) -> None:
    """The same for one that is no certificate."""
    output = build(KafkaOutput, f"ssl_ca_cert {folder}/client.key")
    with pytest.raises(InvalidSetting, match="it must be a readable PEM file"):
        await output.start()


def test_password_is_secret() -> None:
    """Passwords are declared as secrets, so that nothing prints them."""
    settings = ClusterOptions.settings()

    assert settings["password"].secret
    assert settings["ssl_client_cert_key_password"].secret


@pytest.mark.parametrize(
    ("is_tls_there", "wants_client", "settings", "cause"),
    [
        (True, False, "", "speaks TLS, and we do not: set ssl_ca_cert"),
        (True, True, "", "speaks TLS, and we do not: set ssl_ca_cert"),
        (False, False, "ssl_ca_cert {folder}/ca.pem", "does not speak TLS, and we do: name its port for TLS"),
        (True, True, "ssl_ca_cert {folder}/ca.pem", "wants a client certificate"),
        (
            True,
            True,
            "ssl_ca_cert {folder}/ca.pem\nssl_client_cert {folder}/alien.pem\nssl_client_cert_key {folder}/alien.key",
            "refuses our certificate",
        ),
    ],
)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_broker_that_hangs_up(  # noqa: PLR0917 - a table and fixtures
    broker: MockKafka,
    authority: trustme.CA,
    folder: Path,
    newest: ssl.TLSVersion,
    is_tls_there: bool,  # noqa: FBT001
    wants_client: bool,  # noqa: FBT001
    settings: str,
    cause: str,
) -> None:
    """TLS on one side only, a certificate that is missing or not trusted: the log names the cause and a way out."""
    alien = trustme.CA().issue_cert("client.example.com")
    alien.private_key_pem.write_to_path(str(folder / "alien.key"))
    alien.cert_chain_pems[0].write_to_path(str(folder / "alien.pem"))
    context = server_context(authority, "localhost", clients=wants_client)
    context.maximum_version = newest
    async with tls_in_front(broker, context) as port:
        address = f"localhost:{port}" if is_tls_there else broker.bootstrap
        async with drive(KafkaOutput, f"brokers {address}\n{settings.format(folder=folder)}") as stage:
            await wait_for(lambda: any(cause in text for text in stage.log.texts("warning")), "the cause")


@pytest.mark.parametrize(
    ("key", "password", "message"),
    [
        ("locked.key", "wrong", r"ssl_client_cert_key_password does not open .*locked\.key"),
        ("locked.key", "", r"ssl_client_cert_key .*locked\.key is encrypted: set ssl_client_cert_key_password"),
        ("alien.key", "", r"ssl_client_cert_key .*alien\.key is not the key of .*client\.pem"),
        ("nowhere.key", "", r"ssl_client_cert_key .*nowhere\.key can't be used: No such file"),
        ("client.pem", "", r"ssl_client_cert_key .*client\.pem can't be used: it must be a private key"),
    ],
)
async def test_a_key_that_does_not_fit(folder: Path, key: str, password: str, message: str) -> None:
    """The setting to blame is named: password, key or certificate."""
    plain = (folder / "client.key").read_bytes()
    locked = load_pem_private_key(plain, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right")
    )
    (folder / "locked.key").write_bytes(locked)
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(folder / "alien.key"))
    body = f"ssl_client_cert {folder}/client.pem\nssl_client_cert_key {folder}/{key}"
    output = build(KafkaOutput, f"{body}\nssl_client_cert_key_password {password}" if password else body)
    with pytest.raises(InvalidSetting, match=message):
        await output.start()


async def test_an_encrypted_key(folder: Path) -> None:
    """The right password opens it."""
    plain = (folder / "client.key").read_bytes()
    locked = load_pem_private_key(plain, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right")
    )
    (folder / "locked.key").write_bytes(locked)
    found = options(
        f"ssl_client_cert {folder}/client.pem\nssl_client_cert_key {folder}/locked.key\n"
        "ssl_client_cert_key_password right"
    )
    assert security.arguments(found)["ssl_context"] is not None
