"""0.12's secure_forward, and its settings."""

from __future__ import annotations

import socket
from pathlib import Path

import msgpack
import pytest

from logpipe import ConfigError
from logpipe.builtin.forward_protocol import ClientHandshake, RefusedError
from logpipe.builtin.in_forward.secure_forward import SecureForward
from logpipe.testing import check_plugin, configure, drive
from tests.builtin.in_forward.sender import connected, packed, port_of, several
from tests.net.certificates import trusting, write

CONF = """
secure yes
self_hostname ${hostname}
shared_key secret
port 0
"""


async def test_what_a_sender_of_that_time_says(tmp_path: Path) -> None:
    """TLS, the handshake with a user, and messages; ${hostname} is filled in."""
    conf = CONF + write(tmp_path) + "authentication yes\n<user>\nusername ann\npassword a\n</user>\n"
    conf += "<client>\nnetwork 127.0.0.0/8\nusers ann, bob\nshared_key other\n</client>\n"
    conf += "<user>\nusername bob\npassword b\n</user>"
    await check_plugin(SecureForward, conf)
    async with drive(SecureForward, conf) as running:
        async with connected(port_of(running), trusting()) as sender:
            client = ClientHandshake("client", "other", username="ann", password="a")  # noqa: S106
            helo = await sender.frame()
            assert msgpack.unpackb(helo)[1]["keepalive"] is True
            sender.send(client.ping(helo))
            pong = await sender.frame()
            client.check(pong)
            assert msgpack.unpackb(pong)[3] == socket.gethostname()
            sender.send(several({"k": 1}, chunk="c"))
            assert await sender.acknowledgement() == "c"
        async with connected(port_of(running), trusting()) as sender:
            with pytest.raises(RefusedError):
                await sender.shake("secret")
        assert running.records() == [{"k": 1}]
        assert "open-listener" not in {each.code for each in running.warnings}


async def test_one_message_a_connection(tmp_path: Path) -> None:
    conf = CONF + write(tmp_path) + "allow_keepalive no\nhostname me.example.com\nssl_ciphers ALL"
    async with drive(SecureForward, conf) as running, connected(port_of(running), trusting()) as sender:
        client = ClientHandshake("client", "secret")
        sender.send(client.ping(await sender.frame()))
        pong = await sender.frame()
        client.check(pong)
        assert not client.keepalive
        assert msgpack.unpackb(pong)[3] == "me.example.com"
        sender.send(several({"k": 1}, chunk="c"))
        assert await sender.ended() == packed({"ack": "c"})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "tls needs a certificate: write cert_path and private_key_path"),
        ("ca_cert_path /a", "ca_cert_path makes no certificate here"),
        ("cert_path /a", "cert_path needs its key"),
        ("cert_path /a\nprivate_key_path /b\nauthentication yes", "<user> sections required"),
        ("cert_path /a\nprivate_key_path /b\nssl_version SSLv3", "ssl_version"),
        ("cert_path /a\nprivate_key_path /b\n<client>\n</client>", "either of 'host' and 'network'"),
    ],
)
def test_what_cannot_be(more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configure(SecureForward, CONF + more)
