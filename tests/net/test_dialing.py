"""Connections to peers: TCP, TLS and Unix sockets, each step with an end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from logpipe.net import (
    Address,
    ClientContexts,
    ClientStream,
    ClientTls,
    ConnectError,
    Dialer,
    IdleError,
    Pool,
    TlsError,
)
from logpipe.testing import ManualClock, wait_for
from tests.net import certificates

LOG = logging.getLogger("logpipe_test.dialing")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak first, and no TLS."""
    writer.write(b"220 hello\r\n")


async def sleep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Neither read nor write."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads has it


@asynccontextmanager
async def serving(
    serve: Serve = echo, *, tls: ssl.SSLContext | None = None, path: Path | None = None
) -> AsyncIterator[int]:
    """Serve at a port, or a Unix socket."""
    writers: list[asyncio.StreamWriter] = []  # which close what they write to when they are forgotten

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)

    if path is not None:
        server = await asyncio.start_unix_server(served, path)
    else:
        server = await asyncio.start_server(served, "127.0.0.1", ssl=tls)
    async with server:  # which waits until its connections have ended
        try:
            yield 0 if path is not None else server.sockets[0].getsockname()[1]
        finally:
            for each in writers:
                each.transport.abort()


@asynccontextmanager
async def dialed(dialer: Dialer, port: int, host: str = "127.0.0.1", name: str = "") -> AsyncIterator[ClientStream]:
    """Connect until the block ends."""
    stream = await dialer.connect(Address.tcp(host, port), server_name=name)
    try:
        yield stream
    finally:
        stream.abort()


def server_side(folder: Path, *, name: str = "127.0.0.1", clients: Path | None = None) -> ssl.SSLContext:
    """Return a server's context."""
    certificates.write(folder, name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def authority(folder: Path) -> str:
    """Write the CA's certificate."""
    certificates.AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    return str(folder / "ca.pem")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_what_is_sent_comes_back(host: str) -> None:
    """By address and by name."""
    async with serving() as port, dialed(Dialer(), port, host) as stream:
        await stream.write(b"hello")
        assert await stream.read(5, seconds=9) == b"hello"
        assert stream.peer == "127.0.0.1"


async def test_unix_socket(tmp_path: Path) -> None:
    """A path in the place of host and port."""
    async with serving(path=tmp_path / "s"):
        stream = await Dialer().connect(Address.unix(str(tmp_path / "s")))
        await stream.write(b"hello")
        assert await stream.read(5, seconds=9) == b"hello"
        stream.close()
    with pytest.raises(ConnectError, match=r"no connection to the Unix socket .*/none: no such file"):
        await Dialer().connect(Address.unix(str(tmp_path / "none")))


async def test_nobody_listens() -> None:
    """The reason is the kernel's."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(ConnectError, match=f"no connection to 127.0.0.1:{port}: "):
            await Dialer().connect(Address.tcp("127.0.0.1", port))
    with pytest.raises(ConnectError, match=r"no connection to no\.such\.name\.invalid:1: "):
        await Dialer().connect(Address.tcp("no.such.name.invalid", 1))


async def test_each_step_has_an_end() -> None:
    """By the clock that is given: a handshake, an answer, room for what is sent."""
    clock = ManualClock()
    contexts = ClientContexts(ClientTls(), LOG)
    async with serving(sleep) as port:
        dialer = Dialer(contexts=contexts, connect_seconds=5, write_seconds=7, deadline=clock.timeout)
        connecting = asyncio.ensure_future(dialer.connect(Address.tcp("127.0.0.1", port)))  # noqa: TID251
        await wait_for(lambda: clock.sleepers)
        await clock.advance(5)
        with pytest.raises(ConnectError, match="in 5 seconds"):
            await connecting
        plain = Dialer(write_seconds=7, deadline=clock.timeout)
        async with dialed(plain, port) as stream:
            reading = asyncio.ensure_future(stream.read(seconds=3))  # noqa: TID251
            await wait_for(lambda: clock.sleepers)
            assert stream.is_quiet
            await clock.advance(3)
            with pytest.raises(IdleError, match="no answer for 3 seconds"):
                await reading
            assert not stream.is_quiet  # the answer may come yet
        async with dialed(plain, port) as stream:
            writing = asyncio.ensure_future(stream.write(b"x" * 30_000_000))  # noqa: TID251
            await wait_for(lambda: clock.sleepers)
            await clock.advance(7)
            with pytest.raises(IdleError, match="nothing was taken for 7 seconds"):
                await writing


async def test_tls(tmp_path: Path) -> None:
    """Who has a certificate of a trusted CA, for the name that was asked for."""
    trusted = ClientTls((authority(tmp_path),))
    async with serving(tls=server_side(tmp_path)) as port:

        async def reach(tls: ClientTls, host: str = "127.0.0.1", name: str = "") -> bytes:
            async with dialed(Dialer(contexts=ClientContexts(tls, LOG)), port, host, name) as stream:
                await stream.write(b"hello")
                return await stream.read(5, seconds=9)

        assert await reach(trusted) == b"hello"
        assert await reach(trusted, name="localhost") == b"hello"
        with pytest.raises(ConnectError, match=r"the certificate of 127.0.0.1:.*mismatch"):
            await reach(trusted, name="other.example.com")
        with pytest.raises(ConnectError, match=r"certificate of .*unable to get local issuer"):
            await reach(ClientTls())
        others = ClientTls(trusted.ca_paths, verify_hostname=False)
        assert await reach(others, name="other.example.com") == b"hello"
        assert await reach(ClientTls(verify=False), name="other.example.com") == b"hello"
    async with serving(greet) as port:
        with pytest.raises(ConnectError, match="what answers does not speak TLS"):
            await reach(trusted)


async def test_client_certificate(tmp_path: Path) -> None:
    """Shown to who asks for one."""
    ca = authority(tmp_path)
    async with serving(tls=server_side(tmp_path, clients=Path(ca))) as port:
        own = tmp_path / "own"
        own.mkdir()
        certificates.write(own, "client")
        shown = ClientTls((ca,), cert_path=str(own / "cert.pem"), private_key_path=str(own / "key.pem"))
        async with dialed(Dialer(contexts=ClientContexts(shown, LOG)), port) as stream:
            await stream.write(b"hello")
            assert await stream.read(5, seconds=9) == b"hello"
        async with dialed(Dialer(contexts=ClientContexts(ClientTls((ca,)), LOG)), port) as stream:
            with contextlib.suppress(ConnectionError):  # in TLS 1.3 it is said after the handshake
                assert await stream.read(5, seconds=9) == b""


async def test_files_are_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When they have changed; while they are wrong, what was read before holds."""
    ca = Path(authority(tmp_path))
    contexts = ClientContexts(ClientTls((str(ca),)), LOG)
    first = contexts.current()
    assert contexts.current() is first
    ca.write_text("nonsense")
    assert contexts.current() is first
    assert "what was read before is used until the files are right" in caplog.text
    certificates.OTHERS.cert_pem.write_to_path(ca)
    assert contexts.current() is not first


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (ClientTls(("/none/ca.pem",)), "CA certificate /none/ca.pem: no such file or directory"),
        (ClientTls(ciphers="NONSENSE"), "ciphers NONSENSE: OpenSSL has none of these"),
        (ClientTls(cert_path="/none/cert.pem"), "client certificate /none/cert.pem: no such file or directory"),
        (ClientTls((__file__,)), "CA certificate .*: holds no certificate"),
        (ClientTls(cert_path=__file__), "client certificate .*: one of them is no PEM file"),
    ],
)
def test_what_cannot_be_used(tls: ClientTls, said: str) -> None:
    with pytest.raises(TlsError, match=said):
        ClientContexts(tls, LOG).current()


async def test_pool() -> None:
    """What waits is used again while it is open and quiet, for as long as it may wait."""
    clock = ManualClock()
    said = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1))
        await said.wait()
        writer.write(b"unasked")
        await reader.read()
        writer.close()

    async with serving(talk) as port:
        pool = Pool(clock.monotonic, idle_seconds=10, most=1)
        dialer = Dialer()
        stream = await dialer.connect(Address.tcp("127.0.0.1", port))
        pool.give("a", stream)
        assert pool.take("b") is None
        assert pool.take("a") is stream
        assert pool.take("a") is None
        pool.give("a", stream)
        pool.give("a", await dialer.connect(Address.tcp("127.0.0.1", port)))  # one more than may wait
        assert len(pool) == 1
        await clock.advance(9)
        pool.purge()
        assert len(pool) == 1
        await clock.advance(1)
        pool.purge()
        assert len(pool) == 0
        talking = await dialer.connect(Address.tcp("127.0.0.1", port))
        await talking.write(b"x")
        assert await talking.read(seconds=9) == b"x"
        pool.give("a", talking)
        said.set()
        await wait_for(lambda: not talking.is_quiet)
        assert pool.take("a") is None
        last = await dialer.connect(Address.tcp("127.0.0.1", port))
        pool.give("a", last)
        pool.close()
        assert not last.is_quiet
