"""The HTTP server: routes, bodies, users, origins, and clients that mean harm."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from logpipe.net import HttpLimits, accepting
from logpipe.net.http import connection as http_connection
from logpipe.testing import DEADLINE, Pipeline, check_listener, check_plugin, drive, wait_for
from logpipe.testing.strangers import connection, until_closed
from tests.net.certificates import trusting, write
from tests.net.stages import Web


def port(running: Pipeline) -> int:
    """Return where it listens."""
    number: int = running.plugin(Web).port
    return number


async def post(running: Pipeline, body: bytes = b"hello") -> None:
    """Do what is expected of a client."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port(running)}/a.b", data=body) as response,
    ):
        assert response.status == 200
        assert await response.text() == f"taken {len(body)}"


def raw(body: bytes = b"hello", *headers: str, length: int | None = None) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [
        "POST /a HTTP/1.1", "Host: localhost", f"Content-Length: {len(body) if length is None else length}", *headers
    ]  # fmt: skip
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


async def exchange(running: Pipeline, *parts: bytes) -> bytes:
    """Send bytes and return all that comes until the connection ends."""
    async with connection(port(running)) as (reader, writer):
        for part in parts:
            writer.write(part)
        return await until_closed(reader)


def status(answer: bytes) -> int:
    """Return an answer's status."""
    return int(answer.split()[1])


async def test_bodies() -> None:
    """What is posted, by length or in chunks, comes whole; one connection serves many."""
    await check_plugin(Web)
    async with drive(Web) as running:
        async with aiohttp.ClientSession() as session:
            for data in (b"one", b"", b"x" * 100_000):
                async with session.put(f"http://127.0.0.1:{port(running)}/t%20g?a=1&b=2", data=data) as response:
                    assert (response.status, response.headers["X-Query"]) == (200, "2")
        assert [len(record["text"]) for record in running.records()] == [3, 0, 100_000]
        assert {record["path"] for record in running.records()} == {"/t g"}


async def test_a_body_in_chunks() -> None:
    """It comes whole."""
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with drive(Web) as running:
        answer = await exchange(running, request, b"3\r\none\r\n", b"4\r\n two\r\n0\r\n\r\n")
        assert status(answer) == 200
        assert running.records()[0]["text"] == "one two"


async def test_a_client_that_waits_to_be_told() -> None:
    """Curl does for a large body."""
    async with drive(Web) as running, connection(port(running)) as (reader, writer):
        writer.write(raw(b"", "Expect: 100-continue", "Connection: close", length=5))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert status(await until_closed(reader)) == 200


async def test_many_requests_at_once() -> None:
    """They are answered in order."""
    async with drive(Web) as running:
        answer = await exchange(running, raw(b"1") + raw(b"22") + raw(b"333", "Connection: close"))
        assert [answer.count(b"taken %d" % size) for size in (1, 2, 3)] == [1, 1, 1]
        assert [record["text"] for record in running.records()] == ["1", "22", "333"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (b"GET /fails HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 500),
        (raw(b"x" * 100_001, "Connection: close"), 413),
        (raw(b"", length=10**12), 413),
        (raw(b"", "Expect: 100-continue", length=10**12), 413),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + b"x" * 0x20000, 413),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 400),
        (b"NOT HTTP\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    ],
)
async def test_what_is_not_taken(request_: bytes, expected: int) -> None:
    """It is answered with JSON that repeats nothing, its connection ends, and it makes no event."""
    async with drive(Web) as running:
        answer = await exchange(running, request_)
        assert status(answer) == expected
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert list(body) == ["message"]
        assert b"secret detail" not in answer
        assert running.records() == []
        assert (running.log.texts("error") == ["cannot answer /fails"]) == (expected == 500)


@pytest.mark.parametrize(
    ("limits", "sent", "expected"),
    [
        ({"head": 0.05}, b"", b""),
        ({"head": 0.05}, b"POST / HTTP/1.1\r\nHost:", b""),
        ({"head": 0.05, "idle": 0.05}, raw(), b"HTTP/1.1 200 OK"),
        ({"body": 0.05}, raw(length=6), b"HTTP/1.1 408"),
        ({"head_bytes": 20_000}, b"POST / HTTP/1.1\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 3, b""),
    ],
    ids=["silent", "half a head", "idle", "half a body", "too many headers"],
)
async def test_what_takes_too_long(
    limits: dict[str, float], sent: bytes, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each phase of a connection has an end."""
    monkeypatch.setattr(Web, "limits", HttpLimits(**limits))  # type: ignore[arg-type]
    async with drive(Web) as running:
        answer = await exchange(running, sent)
        assert answer.startswith(expected)
        assert bool(answer) == bool(expected)
        await post(running)


async def test_a_client_that_takes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go; nothing is piled up for it."""
    await _takes_no_answer(monkeypatch, 0.2)


async def test_a_client_that_takes_no_answer_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time is over already, the timer of uvloop does not say when it was to come."""
    await _takes_no_answer(monkeypatch, 0.0002)


async def _takes_no_answer(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(Web, "limits", HttpLimits(answer=seconds, idle=0.2))
    async with drive(Web) as running, connection(port(running)) as (_, writer):
        with pytest.raises(ConnectionError):  # noqa: PT012 - which request it is does not matter
            async with asyncio.timeout(DEADLINE):
                while True:
                    writer.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    await writer.drain()
        assert running.log.texts("error") == []
        await post(running)


async def test_bodies_that_are_too_much_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would fill the memory is refused for now, and what was held is free again."""
    monkeypatch.setattr(Web, "limits", HttpLimits(held_bytes=100_000))
    async with drive(Web) as running:
        async with connection(port(running)) as (reader, writer):
            writer.write(raw(b"x" * 60_000, length=60_001))
            await writer.drain()
            async with asyncio.timeout(DEADLINE):
                while status(await exchange(running, raw(b"y" * 60_000, "Connection: close"))) != 503:
                    pass
            writer.write(b"x")
            assert b" 200 " in await reader.readuntil(b"\r\n")
        await post(running, b"z" * 90_000)


async def test_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd that takes all connections keeps nobody out."""
    monkeypatch.setattr(Web, "limits", replace(HttpLimits(), connections=8))
    async with drive(Web) as running:
        await check_listener(port(running), lambda: post(running), crowd=40)
        assert running.log.texts("error") + running.log.texts("warning") == []


async def test_slow_bodies_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has come slowest makes room."""
    monkeypatch.setattr(Web, "limits", HttpLimits(connections=2, body=DEADLINE))
    async with (
        drive(Web) as running,
        connection(port(running)) as (first, one),
        connection(port(running)) as (_, two),
    ):
        for count, writer in enumerate((one, two), start=1):
            writer.write(raw(length=100))
            await wait_for(lambda: len(running.plugin(Web).server._front._served) == count, "the bodies")  # noqa: B023
        await post(running)
        assert await until_closed(first) == b""


async def test_all_are_being_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then who comes waits."""
    monkeypatch.setattr(Web, "limits", HttpLimits(connections=2))
    async with drive(Web) as running:
        collector = running.collector()
        collector.open.clear()
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(post(running))
            await wait_for(lambda: running.log.texts("warning"), "the warning")
            collector.open.set()
        assert len(running.records()) == 3
        assert running.log.texts("warning") == ["there are 2 connections, as many as there may be: others wait"]


async def test_more_clients_than_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them closes its connection, and each is answered: those that have their answers make room, at once."""
    for module in (accepting, http_connection):
        monkeypatch.setattr(module, "CHANCE", 10 * DEADLINE)
    monkeypatch.setattr(Web, "limits", HttpLimits(connections=4))
    async with drive(Web) as running, AsyncExitStack() as clients, asyncio.timeout(DEADLINE):
        server, streams = running.plugin(Web).server, []
        for number in range(40):
            if number == 4:
                await wait_for(lambda: len(server._front._served) == 4, "the first")
            streams.append(await clients.enter_async_context(connection(port(running))))
            streams[number][1].write(raw(length=50_000))
        await wait_for(lambda: server._acceptor._is_waiting, "those that there is no room for")
        for _, writer in streams:
            writer.write(b"x" * 49_995)
        for reader, _ in streams:
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200
        assert len(running.records()) == 40


async def test_a_request_that_outlasts_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused for now: a connection that ends without an answer says nothing."""
    monkeypatch.setattr(Web, "limits", HttpLimits(stop=0.1))
    async with drive(Web) as running, connection(port(running)) as (reader, writer):
        collector = running.collector()
        collector.open.clear()
        writer.write(raw())
        await wait_for(lambda: running.plugin(Web).host.emitting, "the request to be under way")
        running.graph.request_stop()
        answer = await until_closed(reader)
        collector.open.set()
        assert status(answer) == 503
        assert b"\r\nRetry-After: 1\r\n" in answer


async def test_a_handshake_at_a_reload(tmp_path: Path) -> None:
    """Tasks of a stage that is stopped are cancelled; a client that was accepted gets through all the same."""
    async with drive(Web, f"<transport tls>\n{write(tmp_path)}</transport>\n") as running:
        web = running.plugin(Web)
        with socket.create_connection(("127.0.0.1", port(running))) as client:
            await wait_for(lambda: web.server._acceptor._shaking, "the handshake")
            await web.host.cancel_tasks()
            client.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=client, ssl=trusting(), server_hostname="127.0.0.1")
            writer.write(raw(b"hello", "Connection: close"))
            assert status(await until_closed(reader)) == 200
            writer.close()


@pytest.mark.parametrize(
    ("conf", "host", "expected"),
    [
        *(("", f"Host: {name}\r\n", 200) for name in ("localhost", "LOCALHOST:80", "localhost.:80", "a.localhost")),
        *(("", f"Host: {name}\r\n", 200) for name in ("127.0.0.1", "127.0.0.1:80", "[::1]:80", "192.0.2.1")),
        ("", "", 200),
        *(("", f"Host: {name}\r\n", 421) for name in ("evil.example", "evil.example:80", "127.0.0.1.example", "x")),
        *(
            ("", f"Host: {name}\r\n", 421)
            for name in ("localhost.example", "xlocalhost", "[evil.example]:80", "[", ":80")
        ),
        ("bind box.example", "Host: Box.Example:80\r\n", 200),
        ("bind box.example", "Host: evil.example\r\n", 421),
        ("bind 0.0.0.0", "Host: box.example\r\n", 200),
        ('users {"ann":"x"}', "Host: box.example\r\n", 401),
    ],
)
async def test_names_of_the_host(conf: str, host: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine alone comes in, a stranger's page must not, by a name that it has made to stand for it."""
    look_up = socket.getaddrinfo

    def found(name: str, *rest: Any, **more: Any) -> Any:
        return look_up("127.0.0.1" if name == "box.example" else name, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    async with drive(Web, conf) as running:
        request = f"POST /a HTTP/1.{int(bool(host))}\r\n{host}Content-Length: 1\r\nConnection: close\r\n\r\nx"
        answer = await exchange(running, request.encode())
        assert status(answer) == expected
        assert len(running.records()) == (expected == 200)
        assert b"evil" not in answer
        assert expected != 421 or b"call it by its address, or localhost" in answer


async def test_users() -> None:
    """Who does not say a name and its password is told to."""
    async with drive(Web, 'users {"ann":"s3cret:x","bob":""}') as running:
        url = f"http://127.0.0.1:{port(running)}/"
        async with aiohttp.ClientSession() as session:
            for user, password, expected in (
                ("ann", "s3cret:x", 200),
                ("ann", "s3cret", 401),
                ("ann", "", 401),
                ("eve", "", 401),
                ("eve", "\0", 401),
                ("bob", "", 200),
            ):
                known = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
                async with session.post(url, data=b"x", headers=known) as response:
                    assert response.status == expected, (user, password)
            for header in ("", "Basic", "Basic !", "Bearer YW5uOnMzY3JldDp4", "Basic YW5u"):
                async with session.post(url, data=b"x", headers={"Authorization": header}) as response:
                    assert response.status == 401
                    assert response.headers["WWW-Authenticate"] == 'Basic realm="logpipe", charset="UTF-8"'
        assert [record["user"] for record in running.records()] == ["ann", "bob"]


async def test_origins() -> None:
    """Pages that may are told so, before and with the answer; others are not, and nothing is taken from them."""
    async with drive(Web, 'origins ["https://a.example","https://*.b.example"]') as running:
        url = f"http://127.0.0.1:{port(running)}/"
        async with aiohttp.ClientSession() as session:
            for origin, is_allowed in (
                ("https://a.example", True),
                ("https://x.b.example", True),
                ("https://a.example.evil", False),
                ("https://b.example", False),
                ("null", False),
            ):
                asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
                async with session.options(url, headers=asked) as response:
                    assert (response.status == 200) == is_allowed
                    assert (response.headers.get("Access-Control-Allow-Origin") == origin) == is_allowed
                    assert (response.headers.get("Access-Control-Allow-Methods") == "POST, PUT") == is_allowed
                async with session.post(url, data=b"x", headers={"Origin": origin}) as response:
                    assert response.status == (200 if is_allowed else 403)
        assert len(running.records()) == 2


async def test_https_and_unix_sockets(tmp_path: Path) -> None:
    """The same over both."""
    async with drive(Web, f"<transport tls>\n{write(tmp_path)}</transport>\n") as running:
        url = f"https://127.0.0.1:{port(running)}/"
        async with aiohttp.ClientSession() as session, session.post(url, data=b"x", ssl=trusting()) as response:
            assert response.status == 200
        assert running.plugin(Web).server.urls() == [url[:-1]]
    async with drive(Web, f"path {tmp_path}/socket") as running:
        connector = aiohttp.UnixConnector(f"{tmp_path}/socket")
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post("http://x/", data=b"x") as response,
        ):
            assert response.status == 200
