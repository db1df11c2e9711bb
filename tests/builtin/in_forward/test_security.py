"""`<security>` and `<transport tls>`: who may send."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.builtin.forward_protocol import RefusedError
from logpipe.builtin.in_forward import Forward
from logpipe.builtin.in_forward.gate import Gate
from logpipe.builtin.in_forward.options import ClientOptions, SecurityOptions
from logpipe.testing import ManualClock, Pipeline, check_listener, configure, drive
from tests.builtin.in_forward.sender import connected, packed, port_of, several
from tests.net.certificates import trusting, write

LOCAL = "bind 127.0.0.1\nport 0\n"
USERS = "user_auth true\n<user>\nusername ann\npassword a\n</user>\n<user>\nusername bob\npassword b\n</user>\n"


def secured(more: str = "") -> str:
    return f"{LOCAL}<security>\nself_hostname server\nshared_key secret\n{more}\n</security>\n"


async def sent(running: Pipeline, **who: str) -> None:
    """Send an event as somebody."""
    async with connected(port_of(running)) as sender:
        await sender.shake(**who)
        sender.send(several({"k": 1}, chunk="c"))
        assert await sender.acknowledgement() == "c"


@pytest.mark.parametrize(
    ("conf", "who"),
    [
        ("", {}),
        (USERS, {"user": "bob", "password": "b"}),
        ("allow_anonymous_source false\n<client>\nnetwork 127.0.0.0/8\n</client>", {}),
        ("<client>\nhost 127.0.0.1\nshared_key other\n</client>", {"key": "other"}),
        ("<client>\nhost localhost\nshared_key other\n</client>", {"key": "other"}),
        (USERS + "<client>\nhost 127.0.0.1\nusers ann\n</client>", {"user": "ann", "password": "a"}),
        (USERS + "<client>\nhost 10.0.0.1\nusers ann\n</client>", {"user": "bob", "password": "b"}),
    ],
)
async def test_who_is_let_in(conf: str, who: dict[str, str]) -> None:
    async with drive(Forward, secured(conf)) as running:
        await sent(running, **who)
        assert running.records() == [{"k": 1}]


@pytest.mark.parametrize(
    ("conf", "who", "reason"),
    [
        ("", {"key": "wrong"}, "shared_key mismatch"),
        (USERS, {"user": "bob", "password": "a"}, "username/password mismatch"),
        (USERS, {}, "username/password mismatch"),
        (
            "allow_anonymous_source false\n<client>\nnetwork 10.0.0.0/8\n</client>",
            {},
            "anonymous source host '127.0.0.1' denied",
        ),
        ("<client>\nhost 127.0.0.1\nshared_key other\n</client>", {}, "shared_key mismatch"),
        (
            USERS + "<client>\nhost 127.0.0.1\nusers ann\n</client>",
            {"user": "bob", "password": "b"},
            "username/password mismatch",
        ),
    ],
)
async def test_who_is_not(conf: str, who: dict[str, str], reason: str) -> None:
    """The client is told why, the log too, and the connection is closed."""
    async with drive(Forward, secured(conf)) as running, connected(port_of(running)) as sender:
        with pytest.raises(RefusedError, match=f"authentication failed: {reason}"):
            await sender.shake(**who)
        sender.send(several({"k": 1}, chunk="c"))
        assert await sender.ended() == b""
        assert running.metric("denied_connections") == 1
        assert f"127.0.0.1 is not let in: {reason}" in running.log.texts("warning")
    assert running.records() == []


@pytest.mark.parametrize("first", [several({"k": 1}), b'["a",1,{"k":1}]', b"\xc0", b"x" * 20_000, packed(["PING"])])
async def test_who_does_not_say_who_it_is(first: bytes) -> None:
    """Nothing is taken of who comes without a PING."""
    async with drive(Forward, secured()) as running, connected(port_of(running)) as sender:
        await sender.frame()
        sender.send(first)
        await sender.ended()
        assert running.metric("broken_connections") == 1
    assert running.records() == []


async def test_a_handshake_has_its_time() -> None:
    clock = ManualClock()
    async with drive(Forward, secured(), clock=clock) as running, connected(port_of(running)) as sender:
        await sender.frame()
        await clock.advance(11)
        assert await sender.ended() == b""
        assert "no handshake within 10 seconds" in "\n".join(running.log.texts("warning"))


async def test_what_comes_right_behind_the_ping() -> None:
    """A client may send before it has its PONG."""
    from logpipe.builtin.forward_protocol import ClientHandshake  # noqa: PLC0415

    async with drive(Forward, secured()) as running, connected(port_of(running)) as sender:
        client = ClientHandshake("client", "secret")
        sender.send(client.ping(await sender.frame()) + several({"k": 1}, chunk="c"))
        client.check(await sender.frame())
        assert await sender.acknowledgement() == "c"
        assert running.records() == [{"k": 1}]


async def test_strangers() -> None:
    async with drive(Forward, secured()) as running:
        await check_listener(port_of(running), lambda: sent(running), crowd=20)


async def test_tls(tmp_path: Path) -> None:
    """With a certificate, and the same handshake within."""
    conf = secured() + f"<transport tls>\n{write(tmp_path)}</transport>"
    async with drive(Forward, conf) as running, connected(port_of(running), trusting()) as sender:
        await sender.shake()
        sender.send(several({"k": 1}, chunk="c"))
        assert await sender.acknowledgement() == "c"
        assert not any("<transport tls>" in text for text in running.log.texts("warning"))


async def test_warns_of_a_key_without_tls() -> None:
    """Who hears the handshake can try keys on it; on loopback nobody does."""
    open_to_all = secured().replace("127.0.0.1", "0.0.0.0")  # noqa: S104
    for conf, warned in ((open_to_all, True), (secured(), False)):
        async with drive(Forward, conf) as running:
            assert any("without <transport tls>" in text for text in running.log.texts("warning")) is warned


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("user_auth true", "<user> sections required if user_auth enabled"),
        ("allow_anonymous_source false", "<client> sections required if allow_anonymous_source disabled"),
        ("<client>\n</client>", "either of 'host' and 'network' must be specified"),
        ("<client>\nhost a\nnetwork 10.0.0.0/8\n</client>", "both of 'host' and 'network' are specified"),
        ("<client>\nnetwork 10.0.0.0/99\n</client>", "network '10.0.0.0/99' address format is invalid"),
        ("<client>\nhost a\nusers x\n</client>", "names the user x, of whom there is no <user>"),
        ("shared_key ''", "shared_key is empty"),
    ],
)
def test_what_cannot_be(conf: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configure(Forward, secured(conf).replace("shared_key secret\nshared_key", "shared_key"))


def test_addresses() -> None:
    """The first place that fits holds; an IPv4 address may come as one of IPv6."""
    places = [
        ClientOptions(network="10.1.0.0/16", shared_key="near"),
        ClientOptions(network="10.0.0.0/8", shared_key="far"),
        ClientOptions(host="2001:db8::1", shared_key="six"),
    ]
    gate = Gate(SecurityOptions(self_hostname="s", shared_key="any", clients=places), keepalive=True)
    keys = {
        "10.1.2.3": "near", "10.2.2.3": "far", "::ffff:10.1.2.3": "near", "2001:db8::1": "six",
        "2001:db8::2": "any", "192.168.0.1": "any", "": "any",
    }  # fmt: skip
    assert {address: client.shared_key for address in keys if (client := gate.client(address))} == keys


async def test_a_name_that_stands_for_nothing_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for it; its client is let in when it does."""
    clock, answers = ManualClock(), [socket.gaierror(), [(2, 1, 6, "", ("127.0.0.1", 0))]]

    def look_up(name: str, *given: Any, **named: Any) -> Any:
        if name != "sender.example.com":
            return real(name, *given, **named)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    conf = secured("allow_anonymous_source false\n<client>\nhost sender.example.com\n</client>")
    async with drive(Forward, conf, clock=clock) as running:
        assert "host 'sender.example.com' of <client> cannot be resolved: trying again" in running.log.texts("warning")
        with pytest.raises(RefusedError):
            await sent(running)
        while answers:
            await clock.advance(31)
            await asyncio.sleep(0)
        await running.wait_for(lambda: not answers)
        await sent(running)


@pytest.mark.parametrize(
    "conf",
    [
        "<transport tls>\nclient_cert_aut true\n</transport>",
        "<security>\nself_hostname a\nshared_key k\nallow_anonymous false\n</security>",
        "<security>\nself_hostname a\nshared_key k\n<client>\nnetwork 10.0.0.0/8\nuser u\n</client>\n</security>",
    ],
)
def test_an_unknown_word_lets_nobody_in(conf: str) -> None:
    """In the sections on who is let in it is an error, not a warning."""
    with pytest.raises(ConfigError, match="is not used"):
        configure(Forward, f"{LOCAL}{conf}")
