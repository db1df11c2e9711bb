"""The HTTP client: answers and what they mean, deadlines, TLS, proxies, names."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from logpipe import DeliveryError, PermanentError, RetryLater
from logpipe.net import (
    Answer,
    ClientSettings,
    ClientTls,
    HttpClient,
    RequestFailedError,
    TlsError,
    Verdict,
    environment_proxy,
)
from logpipe.testing import Front, Mood, http_peer
from logpipe.testing.http_peer import HttpPeer, Request
from tests.net.certificates import AUTHORITY, write

LOG = logging.getLogger("logpipe_test.client")
QUICK = ClientSettings(open_seconds=5, read_seconds=0.2, whole_seconds=5)


class Peer(HttpPeer):
    """Answers with what a test says."""

    reply = http_peer.Answer(200, b"fine")

    def answer(self, request: Request) -> http_peer.Answer:
        del request
        return self.reply


@asynccontextmanager
async def client(settings: ClientSettings = QUICK) -> AsyncIterator[HttpClient]:
    """A client until the block ends."""
    made = HttpClient(settings, LOG)
    try:
        yield made
    finally:
        await made.stop()
        await made.stop()


async def test_a_request_and_its_answer() -> None:
    """It goes out as it is given, and nothing more than it says; the answer comes back."""
    async with Peer().serving() as peer, client() as http:
        answer = await http.request(
            "PUT", f"http://127.0.0.1:{peer.port}/a%2Fb?c=%20", headers={"X-A": "1"}, body=[b"one", b"", b"x" * 600_000]
        )
        assert (answer.status, answer.body, answer.is_cut) == (200, b"fine", False)
        (request,) = peer.requests
        assert (request.method, request.path, len(request.body)) == ("PUT", "/a%2Fb?c=%20", 600_003)
        assert set(request.headers) == {"Host", "User-Agent", "Accept", "X-A", "Content-Length"}


async def test_an_answer_is_bounded_and_no_redirect_is_followed() -> None:
    """What is beyond is not read; where it leads is not gone to."""
    async with Peer().serving() as peer, client() as http:
        peer.reply = http_peer.Answer(302, b"x" * 300_000, {"Location": "/elsewhere", "Set-Cookie": "a=b"})
        url = f"http://127.0.0.1:{peer.port}/"
        answer = await http.request("POST", url, most_answer=1000)
        assert (len(answer.body), answer.is_cut, answer.verdict()) == (1000, True, Verdict.REFUSED)
        await http.request("POST", url)
        assert [(request.path, "Cookie" in request.headers) for request in peer.requests] == [("/", False)] * 2


@pytest.mark.parametrize("reuse", [True, False])
async def test_connections_are_kept_if_wanted(reuse: bool) -> None:  # noqa: FBT001 - a row
    """One after the other over one connection, or each over its own."""
    async with Peer().serving() as peer, client(replace(QUICK, reuse=reuse)) as http:
        for _ in range(3):
            await http.request("POST", f"http://127.0.0.1:{peer.port}/")
        assert peer._connections == (1 if reuse else 3)


@pytest.mark.parametrize("mood", [Mood.DOWN, Mood.SILENT, Mood.RESETTING, Mood.GARBLING])
async def test_no_answer(mood: Mood) -> None:
    """Whatever keeps it away is one error, which names the peer and no secret."""
    async with Peer().serving() as peer, client() as http:
        await peer.become(mood)
        with pytest.raises(RequestFailedError, match=rf"no answer from http://127.0.0.1:{peer.port}: .") as caught:
            await http.request("POST", f"http://u:secret@127.0.0.1:{peer.port}/hidden", body=b"x")
        assert isinstance(caught.value, DeliveryError)
        assert "secret" not in str(caught.value)


async def test_a_peer_that_takes_nothing() -> None:
    """A large request to who does not read it ends, too."""

    async def read_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(read_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with client() as http:
        with pytest.raises(RequestFailedError):
            await http.request("POST", f"http://127.0.0.1:{port}/", body=b"x" * (32 << 20))
    for writer in writers:
        writer.transport.abort()
    server.close()


async def test_connections_that_are_not_made() -> None:
    """Who takes no connection is not waited for."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        port = full.getsockname()[1]
        for _ in range(3):  # what the kernel takes though nobody accepts
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
        async with client(ClientSettings(open_seconds=0.1, read_seconds=60)) as http:
            with pytest.raises(RequestFailedError):
                await http.request("POST", f"http://127.0.0.1:{port}/")


async def test_a_handshake_without_an_answer() -> None:
    """It is given up."""
    async with Peer().serving() as peer, client(ClientSettings(open_seconds=0.1, tls_seconds=0.1)) as http:
        await peer.become(Mood.SILENT)
        with pytest.raises(RequestFailedError):
            await http.request("POST", f"https://127.0.0.1:{peer.port}/")


@pytest.mark.parametrize(
    ("name", "value"), [("X-A", "a\r\nX-B: c"), ("X A", "a"), ("X-A\n", "a"), ("", "a"), ("X", "\0")]
)
async def test_headers_that_are_none(name: str, value: str) -> None:
    """They are refused before anything is sent."""
    async with client() as http:
        with pytest.raises(ValueError, match="header"):
            await http.request("POST", "http://127.0.0.1:1/", headers={name: value})


STATUSES = {200: Verdict.DELIVERED, 299: Verdict.DELIVERED, 304: Verdict.REFUSED, 400: Verdict.REFUSED}
STATUSES |= {429: Verdict.AGAIN, 503: Verdict.AGAIN, 501: Verdict.REFUSED}


@pytest.mark.parametrize(("status", "verdict"), STATUSES.items())
def test_what_a_status_means(status: int, verdict: Verdict) -> None:
    """Delivered, again, or never, which an output's `write` raises."""
    answer = Answer(status, "Why", {"Retry-After": "7"}, b"\n because \r\n of " + b"x" * 1000)
    assert answer.verdict() is verdict
    if verdict is Verdict.DELIVERED:
        answer.check()
        return
    with pytest.raises(RetryLater if verdict is Verdict.AGAIN else PermanentError) as caught:
        answer.check()
    assert str(caught.value).startswith(f"{status} Why because of xxx")
    assert len(str(caught.value)) < 210
    assert getattr(caught.value, "after", 7.0) == 7.0
    assert Answer(status, "", {}, b"").verdict(again={status}) is Verdict.AGAIN


def test_when_to_come_back() -> None:
    """Seconds or a date, an hour at most; what is neither says nothing."""

    def after(text: str) -> float | None:
        return Answer(503, "", {"Retry-After": text}, b"").retry_after()

    now = datetime.now(UTC)
    assert [after(text) for text in ("5", " 0 ", "99999999", "soon", "", "-1", "1" * 50)] == [
        5, 0, 3600, None, None, None, None,
    ]  # fmt: skip
    assert after(format_datetime(now - timedelta(days=1), usegmt=True)) == 0
    assert after(format_datetime(now + timedelta(days=1), usegmt=True)) == 3600
    later = after(format_datetime(now + timedelta(minutes=30), usegmt=True))
    assert later is not None
    assert 0 < later <= 1800


def files(folder: Path) -> tuple[str, str, str]:
    """Write a CA, and a certificate by it with its key; return their names."""
    write(folder)
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    return f"{folder}/ca.pem", f"{folder}/cert.pem", f"{folder}/key.pem"


async def test_tls(tmp_path: Path) -> None:
    """The server must be who it says, by a CA that is trusted; the client shows who it is."""
    ca, cert, key = files(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    shown = ClientTls((ca,), trusts_system=False, cert_path=cert, private_key_path=key)
    rows = [(shown, ""), (replace(shown, cert_path=None), "no answer"), (replace(shown, ca_paths=()), "certificate")]
    rows.append((replace(shown, ca_paths=(), verify=False), ""))
    rows.append((replace(shown, max_version="TLSv1_2", ciphers="AES128-SHA"), "no answer"))
    context.set_ciphers("ECDHE+AESGCM")
    async with Peer().serving() as plain, Front("127.0.0.1", plain.port).standing(tls=context) as peer:
        for settings, problem in rows:
            async with client(replace(QUICK, tls=settings)) as http:
                sent = http.request("POST", f"https://localhost:{peer.port}/")
                if not problem:
                    assert (await sent).body == b"fine"
                    continue
                with pytest.raises(RequestFailedError, match=problem):
                    await sent


def test_files_of_tls_that_cannot_be_used(tmp_path: Path) -> None:
    """Each is named with the reason, before there is a connection."""
    ca, cert, key = files(tmp_path)
    (tmp_path / "empty").touch()
    rows = {
        ClientTls((f"{tmp_path}/none",)): "none: no such file",
        ClientTls((f"{tmp_path}/empty",)): "empty: holds no certificate",
        ClientTls(cert_path=f"{tmp_path}/none", private_key_path=key): "none: no such file",
        ClientTls(cert_path=cert, private_key_path=ca): "one of them is no PEM file",
        ClientTls(ciphers="nonsense"): "ciphers nonsense",
    }
    for settings, problem in rows.items():
        with pytest.raises(TlsError, match=problem):
            HttpClient(ClientSettings(tls=settings), LOG).check()


async def test_a_proxy() -> None:
    """It is asked for the URL, with its own password."""
    async with Peer().serving() as peer, client(replace(QUICK, proxy=f"http://u:p@127.0.0.1:{peer.port}")) as http:
        assert (await http.request("POST", "http://elsewhere.invalid:81/x", body=b"y")).body == b"fine"
        (request,) = peer.requests
        assert request.headers["Host"] == "elsewhere.invalid:81"
        assert request.headers["Proxy-Authorization"] == "Basic dTpw"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://a.b/", {"http_proxy": "http://p:1", "HTTP_PROXY": "http://q"}, "http://p:1"),
        ("https://a.b/", {"HTTPS_PROXY": "p:1"}, "http://p:1"),
        ("https://a.b/", {"HTTP_PROXY": "http://q", "https_proxy": ""}, None),
        ("http://a.b:9/", {"http_proxy": "p", "no_proxy": "c, .b"}, None),
        ("http://ab/", {"http_proxy": "p", "NO_PROXY": "b,c"}, "http://p"),
        ("http://10.1.2.3/", {"http_proxy": "p", "no_proxy": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/", {"http_proxy": "p", "no_proxy": "10.0.0.0/8"}, "http://p"),
        ("http://a/", {"http_proxy": "p", "no_proxy": "*"}, None),
    ],
)
def test_proxies_of_the_environment(url: str, environ: dict[str, str], proxy: str | None) -> None:
    """As others read these variables."""
    assert environment_proxy(url, environ) == proxy


async def test_names_are_resolved_at_each_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that has moved is found at its next address."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def count(host: str, *args: object, **kwargs: object) -> object:
        asked.append(host)
        return await resolve("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", count)
    async with Peer().serving() as peer, client(replace(QUICK, reuse=False)) as http:
        for _ in range(2):
            await http.request("POST", f"http://moving.invalid:{peer.port}/")
        assert asked.count("moving.invalid") == 2
