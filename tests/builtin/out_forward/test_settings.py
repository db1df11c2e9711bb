"""What settings do that show neither in what is sent nor in who gets it."""

from __future__ import annotations

import random
import socket
import ssl
from pathlib import Path

import pytest

from logpipe.builtin.out_forward import ForwardOutput
from logpipe.builtin.out_forward import node as node_module
from logpipe.discovery import Service
from logpipe.net.client_tls import SELF_SIGNED_CHECK, client_context
from logpipe.testing import ManualClock, Mood, build, configure, drive
from tests.builtin.out_forward.peers import BUFFER, conf, peer
from tests.builtin.out_forward.test_nodes import steps

ACKS = "require_ack_response true\n"
TLS = "transport tls\n<server>\nhost a\n</server>\n"


async def test_any_of_a_names_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `dns_round_robin`; else the first."""

    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr(node_module, "resolve", resolve)
    monkeypatch.setattr(node_module, "random", random.Random(3))
    for more, hosts in (("dns_round_robin true", {"127.0.0.1", "127.0.0.2"}), ("", {"127.0.0.2"})):
        output = build(ForwardOutput, f"expire_dns_cache 0\n{more}\n<server>\nhost a\n</server>")
        output._nodes.become([Service("a", 1)])
        (node,) = output._nodes
        assert {(await node.address()).host for _ in range(20)} == hosts


@pytest.mark.parametrize(
    ("more", "most"), [("", 45), ("phi_threshold 4", 15), ("phi_failure_detector false\nhard_timeout 20", 25)]
)
async def test_how_soon_a_silence_is_noticed(more: str, most: int) -> None:
    """By phi, 16 of which are 37 silent intervals, or by `hard_timeout` alone."""
    clock = ManualClock()
    async with peer() as server:
        text = f"{ACKS}{more}\n{server.section}{BUFFER.format('')}"
        async with drive(ForwardOutput, text, clock=clock) as running:
            await steps(clock, lambda: server.connections >= 4)
            await server.become(Mood.DOWN)
            took = await steps(clock, lambda: running.metric("healthy_nodes_count") == 0, most)
            assert took >= most - 12


async def test_deadlines() -> None:
    """For a connection, and for what a server does not take."""
    clock = ManualClock()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts in the kernel alone, and reads nothing
        port = silent.getsockname()[1]
        tls = f"transport tls\nconnect_timeout 3\n<server>\nhost 127.0.0.1\nport {port}\n</server>\n"
        slow = f"send_timeout 4\n<server>\nhost 127.0.0.1\nport {port}\n</server>\n"
        for body, said in ((tls, "in 3 seconds"), (slow, "nothing was taken for 4 seconds")):
            text = conf(more=f"{ACKS}{body}", buffer="retry_max_times 0")
            async with drive(ForwardOutput, text, clock=clock) as running:
                await running.feed("app", {"n": "x" * 7_000_000})
                running.graph.flush()
                await steps(clock, lambda running=running, said=said: any(said in text for text in running.log.texts()))


async def test_the_kernel_asks() -> None:
    """With `send_keepalive_packet` connections have SO_KEEPALIVE."""
    for more, value in (("keepalive true\nsend_keepalive_packet true", 1), ("keepalive true", 0)):
        async with peer() as server, drive(ForwardOutput, conf(server.section, more=f"{ACKS}{more}")) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
            ((_, stream),) = next(iter(running.plugin(ForwardOutput)._pool._waiting.values()))
            found = stream._writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert bool(found) == bool(value)


def context(more: str) -> ssl.SSLContext:
    """Return the context that settings make."""
    options = configure(ForwardOutput, f"{TLS}{more}")
    return client_context(options.client_tls())  # type: ignore[attr-defined]


def test_tls() -> None:
    """Versions, ciphers, and OpenSSL's flag for certificates that signed themselves."""
    usual, other = (
        context(""),
        context("tls_version TLSv1_3\ntls_allow_self_signed_cert true\ntls_ciphers ECDHE+AESGCM"),
    )
    assert (usual.minimum_version, usual.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert (other.minimum_version, other.maximum_version) == (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    assert not usual.verify_flags & SELF_SIGNED_CHECK
    assert other.verify_flags & SELF_SIGNED_CHECK
    assert len(other.get_ciphers()) < len(usual.get_ciphers())
    assert usual.check_hostname
    assert context("tls_insecure_mode true").verify_mode == ssl.CERT_NONE


def test_a_key_with_a_passphrase(tmp_path: Path) -> None:
    """Read with `tls_client_private_key_passphrase`, and by nobody from a terminal."""
    from cryptography.hazmat.primitives import serialization as pem  # noqa: PLC0415 - comes with trustme

    from tests.net import certificates  # noqa: PLC0415

    certificates.write(tmp_path, "client")
    key = pem.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    encrypted = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"word"))
    (tmp_path / "key.pem").write_bytes(encrypted)
    files = f"tls_client_cert_path {tmp_path}/cert.pem\ntls_client_private_key_path {tmp_path}/key.pem\n"
    context(f"{files}tls_client_private_key_passphrase word")
    with pytest.raises(Exception, match="the passphrase is not the key's"):
        context(files)


async def test_servers_are_asked_side_by_side() -> None:
    """One that is slow to connect to puts off no other."""
    clock = ManualClock()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        security = "<security>\nself_hostname client\nshared_key secret\n</security>\n"
        theirs = "<security>\nself_hostname server\nshared_key secret\n</security>\n"
        first = f"<server>\nhost 127.0.0.1\nport {silent.getsockname()[1]}\n</server>\n"
        async with peer(theirs) as server:
            text = f"{ACKS}{security}{first}{server.section}{BUFFER.format('')}"
            async with drive(ForwardOutput, text, clock=clock):
                await steps(clock, lambda: server.connections >= 3)
