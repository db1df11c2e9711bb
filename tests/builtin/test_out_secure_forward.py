"""0.12's secure_forward: the settings of its plugin, and what they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.out_secure_forward import SecureForwardOutput
from logpipe.testing import Mood, check_plugin, configure, drive, wait_for
from tests.builtin.out_forward.peers import BUFFER, peer
from tests.net import certificates

BASE = "self_hostname client\nshared_key secret\n"
SERVER = "<server>\nhost a\n</server>\n"
SECURITY = "<security>\nself_hostname server\nshared_key secret\n</security>\n"

pytestmark = pytest.mark.usefixtures("quick_certificates")


@pytest.fixture
def quick_certificates(tmp_path: Path) -> None:
    """Write the CA's certificate, and the server's."""
    certificates.write(tmp_path)
    certificates.AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")


def theirs(folder: Path) -> str:
    """Return what the server has."""
    tls = f"<transport tls>\ncert_path {folder}/cert.pem\nprivate_key_path {folder}/key.pem\n</transport>\n"
    return SECURITY + tls


async def test_contract() -> None:
    await check_plugin(SecureForwardOutput, f"{BASE}secure no\n{SERVER}")


async def test_sending(tmp_path: Path) -> None:
    """Whole seconds, over TLS; with strict verification by `hostlabel`, for whom else the certificate may be."""
    ca = f"ca_cert_path {tmp_path}/ca.pem\n"
    strict = "enable_strict_verification true\n"
    rows = (
        ("secure no\n", "hostlabel other.example.com"),
        (f"secure yes\n{ca}", "hostlabel other.example.com"),
        (f"secure yes\n{ca}{strict}", ""),
        (f"secure yes\n{ca}{strict}", "hostlabel localhost"),
    )
    async with peer(theirs(tmp_path)) as other:
        for n, (more, server) in enumerate(rows):
            text = f"{BASE}{more}{other.server(server)}{BUFFER.format('')}"
            async with drive(SecureForwardOutput, text) as running:
                await running.feed("app", {"n": n}, times=[1_466_000_000_900_000_000])
                await running.flush()
            await wait_for(lambda n=n: len(other.taken) == n + 1)
        assert {event.time for event in other.running.events()} == {1_466_000_000_000_000_000}
        refused = f"{BASE}secure yes\n{ca}{strict}{other.server('hostlabel other.example.com')}{BUFFER.format('')}"
        async with drive(SecureForwardOutput, refused) as running:
            await running.feed("app", {"n": 9})
            running.graph.flush()
            await wait_for(lambda: any("mismatch" in text for text in running.log.texts("warning")))


async def test_standby(tmp_path: Path) -> None:
    """Used when no other can be."""
    async with peer(theirs(tmp_path)) as first, peer(theirs(tmp_path)) as second:
        text = f"{BASE}secure no\n{first.section}{second.server('standby yes')}{BUFFER.format('')}"
        async with drive(SecureForwardOutput, text) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
            await wait_for(lambda: first.taken == [1])
            await first.become(Mood.DOWN)
            await running.feed("app", {"n": 2})
            await running.flush()
            await wait_for(lambda: second.taken == [2])


def test_names() -> None:
    """Placeholders in the name of the client."""
    options = configure(SecureForwardOutput, f"{BASE}secure no\nself_hostname ${{hostname}}.__HOSTNAME__\n{SERVER}")
    assert options.as_forward("machine").security.self_hostname == "machine.machine"  # type: ignore[attr-defined]


def test_who_is_trusted(tmp_path: Path) -> None:
    """Without the server's name only the CA that is given: any certificate of a public one would do."""
    ca = f"secure yes\nca_cert_path {tmp_path}/ca.pem\n{SERVER}"
    plain = configure(SecureForwardOutput, f"{BASE}{ca}").as_forward("m")  # type: ignore[attr-defined]
    assert not plain.client_tls(trusts_system=False).trusts_system
    assert plain.client_tls().verify
    assert not plain.client_tls().verify_hostname


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{BASE}{SERVER}", '"secure" is required'),
        (f"{BASE}secure yes\n{SERVER}", "FQDN verification required for certificates issued from public CA"),
        (f"{BASE}secure no\n", "<server> section is required"),
        (f"{BASE}secure no\nproxy_uri http://a\n{SERVER}", "no proxy is spoken to"),
        ("secure no\nself_hostname a\n" + SERVER, '"shared_key" is required'),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configure(SecureForwardOutput, text)
