"""Both sides of the handshake, one against the other."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack
import pytest

from logpipe.builtin.forward_protocol import Client, ClientHandshake, ProtocolError, RefusedError, ServerHandshake


def shake(server: ServerHandshake, client: ClientHandshake, allowed: Client) -> None:
    client.check(server.answer(client.ping(server.helo()), allowed))


def test_both_have_the_key() -> None:
    shake(ServerHandshake("server"), ClientHandshake("client", "key"), Client("key"))


def test_users() -> None:
    users = [("ann", "secret"), ("bob", "word")]
    server = ServerHandshake("server", user_auth=True)
    shake(server, ClientHandshake("client", "key", username="bob", password="word"), Client("key", users))  # noqa: S106


@pytest.mark.parametrize(
    ("key", "username", "password", "reason"),
    [
        ("other", "bob", "word", "shared_key mismatch"),
        ("key", "bob", "secret", "username/password mismatch"),
        ("key", "nobody", "word", "username/password mismatch"),
        ("key", "", "", "username/password mismatch"),
    ],
)
def test_who_is_not_let_in(key: str, username: str, password: str, reason: str) -> None:
    server = ServerHandshake("server", user_auth=True)
    client = ClientHandshake("client", key, username=username, password=password)
    allowed = Client("key", [("bob", "word"), ("ann", "secret")])
    with pytest.raises(RefusedError, match=reason):
        shake(server, client, allowed)
    with pytest.raises(RefusedError, match=f"authentication failed: {reason}"):
        client.check(server.refusal(reason))


def test_a_server_without_the_key() -> None:
    """The client finds out, too."""
    server, client = ServerHandshake("server"), ClientHandshake("client", "key")
    client.ping(server.helo())
    proof = msgpack.packb(["PONG", True, "", "server", "0" * 128])
    with pytest.raises(RefusedError, match="shared key mismatch"):
        client.check(proof)


def test_a_server_that_is_the_client() -> None:
    with pytest.raises(RefusedError, match="same hostname"):
        shake(ServerHandshake("me"), ClientHandshake("me", "key"), Client("key"))


def test_an_old_ping_does_not_help() -> None:
    """Each connection has a nonce of its own."""
    ping = ClientHandshake("client", "key").ping(ServerHandshake("server").helo())
    with pytest.raises(RefusedError):
        ServerHandshake("server").answer(ping, Client("key"))


@pytest.mark.parametrize(
    "value",
    [1, [], ["PING"], ["PONG", "", "", "", "", ""], ["PING", 1, 2, 3, 4], {"PING": 1}, ["PING", 1, {}, [], None, 5]],
)
def test_what_is_no_ping(value: Any) -> None:
    with pytest.raises(ProtocolError):
        ServerHandshake("server").answer(msgpack.packb(value), Client("key"))


@pytest.mark.parametrize("value", [1, [], ["HELO"], ["HELLO", {}], ["PONG", True, "", "server"]])
def test_what_is_no_answer(value: Any) -> None:
    client = ClientHandshake("client", "key")
    with pytest.raises(ProtocolError):
        client.ping(msgpack.packb(value))
    with pytest.raises(ProtocolError):
        client.check(msgpack.packb(value))


def test_salts_that_are_no_text() -> None:
    """Fluent Bit sends sixteen random bytes as text."""
    server = ServerHandshake("server")
    nonce = msgpack.unpackb(server.helo(), raw=True)[1][b"nonce"]
    salt = b"\xff" * 16
    digest = hashlib.sha512(salt + b"client" + nonce + b"key").hexdigest()
    parts = ["PING", "client", salt.decode("utf-8", "surrogateescape"), digest, "", ""]
    ping = msgpack.packb(parts, unicode_errors="surrogateescape")
    pong = msgpack.unpackb(server.answer(ping, Client("key")))
    assert pong == ["PONG", True, "", "server", hashlib.sha512(salt + b"server" + nonce + b"key").hexdigest()]


def test_one_message_a_connection() -> None:
    client = ClientHandshake("client", "key")
    client.ping(ServerHandshake("server", keepalive=False).helo())
    assert not client.keepalive
