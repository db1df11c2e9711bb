"""How in_http answers: methods, tags, what is added, origins, limits, outputs that take nothing, strangers."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from logpipe import BufferFull, Chunk, ConfigError, EventBatch, Options, Output
from logpipe.builtin.in_http import HttpInput, InHttpParser
from logpipe.testing import ManualClock, build, check_listener, check_plugin, configure, parse, pipeline
from tests.builtin.in_http.client import SOURCE, port, post
from tests.net.certificates import AUTHORITY, write

ONE = b'{"a":1}'


class Stubborn(Output[Options], type="stubborn"):
    """Takes what it is told to."""

    error: Exception | None = None
    held: Any = None

    async def process(self, batch: EventBatch) -> None:
        if self.error is not None:
            raise self.error
        if batch.receipt is not None:
            batch.receipt.hold()
            self.held = batch.receipt


class Kept(Output[Options], type="kept"):
    """Takes chunks."""

    chunks = 0

    async def write(self, chunk: Chunk) -> None:
        self.chunks += bool(len(chunk))


async def test_their_promises() -> None:
    """Those of every plugin."""
    await check_plugin(HttpInput, "port 0")
    await check_plugin(InHttpParser)
    assert build(InHttpParser).parse('{"a":1}') == []


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ("port 70000", "from 0 to 65535"),
        ("cors_allow_credentials true", "without specific origins"),
        ('cors_allow_credentials true\ncors_allow_origins ["*"]', "without specific origins"),
        ("add_tag_prefix ''", "must not be empty"),
        ("backlog 0", "1 at least"),
        ("body_size_limit 0", "more than 0"),
        ("<transport udp>\n</transport>", "not spoken here"),
    ],
)
def test_settings_that_cannot_be_used(conf: str, why: str) -> None:
    """Each is refused with the reason."""
    with pytest.raises(ConfigError, match=why):
        configure(HttpInput, conf)


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", "/t", {}, 200),
        ("HEAD", "/", {}, 200),
        ("OPTIONS", "/t", {}, 403),
        ("TRACE", "/t", {}, 405),
        ("PUT", "/t", {}, 200),
        ("POST", "/t", {"Expect": "something"}, 417),
        ("POST", "/" + "a" * 1025, {}, 400),
        ("POST", "/t\u00e9", {}, 400),
        ("POST", "/", {}, 200),
    ],
)
async def test_statuses(method: str, target: str, headers: dict[str, str], status: int) -> None:
    """As Fluentd answers; a tag is of visible ASCII, and no longer than a name should be."""
    async with pipeline(SOURCE.format("")) as running:
        reply = await post(running, target, ONE, method=method, **headers)
        assert reply.status == status
        assert len(running.records()) == (status == 200 and method in {"PUT", "POST"})


@pytest.mark.parametrize(
    ("conf", "status", "content_type", "length"),
    [
        ("respond_with_empty_img true", 200, "image/gif; charset=utf-8", 35),
        ("use_204_response true", 204, "", 0),
        ("respond_with_empty_img true\nuse_204_response true", 200, "image/gif; charset=utf-8", 35),
    ],
)
async def test_other_answers(conf: str, status: int, content_type: str, length: int) -> None:
    """For beacons, and for who wants none."""
    async with pipeline(SOURCE.format(conf)) as running:
        reply = await post(running, "/t", ONE)
        assert (reply.status, len(reply.text)) == (status, length)
        assert reply.content_type == content_type or status == 204
        assert reply.text.startswith("GIF89a") or status == 204


async def test_what_is_added() -> None:
    """Headers, parameters, the client's address, and a prefix of the tag."""
    conf = "add_http_headers true\nadd_query_params true\nadd_remote_addr true\nadd_tag_prefix pre"
    async with pipeline(SOURCE.format(conf)) as running:
        await post(running, "/t?a-b=1&c=%C3%A9&c=2", b'[{"x":1,"HTTP_X_A":0},{"x":2}]', X_A="7")
        await post(running, "/t", ONE, X_Forwarded_For="129.78.138.66, 127.0.0.1")
        first, second, third = running.records("pre.t")
    assert (first["x"], second["x"]) == (1, 2)
    assert (first["HTTP_X_A"], first["QUERY_A_B"], first["QUERY_C"]) == ("7", "1", "2")
    assert (first["REMOTE_ADDR"], third["REMOTE_ADDR"]) == ("127.0.0.1", "129.78.138.66")
    assert "HTTP_CONTENT_TYPE" in first


PAGE = "https://a.example.com"


@pytest.mark.parametrize(
    ("origins", "credentials", "origin", "status", "shown"),
    [
        (None, False, PAGE, 200, None),
        (["*"], False, PAGE, 200, "*"),
        (["*"], False, None, 200, "*"),
        (["", "https://*.example.com"], True, PAGE, 200, PAGE),
        (["https://b.example.com"], False, PAGE, 403, None),
        (["https://b.example.com"], False, None, 200, None),
    ],
)
async def test_origins(
    origins: list[str] | None,
    credentials: bool,  # noqa: FBT001 - a row
    origin: str | None,
    status: int,
    shown: str | None,
) -> None:
    """A page of another origin sends what it may, and is told so; who names none is no browser."""
    conf = "" if origins is None else f"cors_allow_origins {origins}".replace("'", '"')
    conf += f"\ncors_allow_credentials {str(credentials).lower()}"
    given = {} if origin is None else {"Origin": origin}
    async with pipeline(SOURCE.format(conf)) as running:
        reply = await post(running, "/t", ONE, **given)
        assert (reply.status, reply.headers.get("Access-Control-Allow-Origin")) == (status, shown)
        assert ("Access-Control-Allow-Credentials" in reply.headers) == (credentials and shown is not None)
        asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "X-A"}
        reply = await post(running, "/t", method="OPTIONS", **given, **asked)
        allowed = shown is not None and status == 200
        assert reply.status == (200 if allowed else 403)
        assert reply.headers.get("Access-Control-Allow-Headers") == ("X-A" if allowed else None)
        asked["Access_Control_Request_Method"] = "PUT"
        assert (await post(running, "/t", method="OPTIONS", **given, **asked)).status == 403


async def test_limits() -> None:
    """A body that is too large is refused, and a head too."""
    async with pipeline(SOURCE.format("body_size_limit 1k")) as running:
        assert (await post(running, "/t", b" " * 1025))[:3] == (413, "Too large", "text/plain")
        assert (await post(running, "/t", b'{"a":1}'.ljust(1024))).status == 200
        assert (await post(running, "/" + "a" * 9000, ONE)).status == 400


async def test_the_backlog() -> None:
    """It is the kernel's, and its number can be read there."""
    async with pipeline(SOURCE.format("backlog 7")) as running:
        (listening,) = await running.plugin(HttpInput)._server._endpoint.open()
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        assert struct.unpack_from("I", info, 28) == (7,)


async def test_connections_are_kept_for_a_while() -> None:
    """For keepalive_timeout, and no longer."""
    async with pipeline(SOURCE.format("keepalive_timeout 0.1")) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", port(running))
        for _ in range(2):
            writer.write(b"POST /t?json={} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.read() == b""
        writer.close()
        assert running.records() == [{}, {}]


STUBBORN = SOURCE.replace("@type test", "@type stubborn")


async def test_outputs_that_take_nothing() -> None:
    """The client is told to send it again, and no more than it need know."""
    async with pipeline(STUBBORN.format(""), Stubborn) as running:
        stubborn = running.plugin(Stubborn)
        for error, text in ((BufferFull("the buffer is full"), "the buffer is full"), (OSError("x"), "no output has")):
            stubborn.error = error
            reply = await post(running, "/t", b'[{"a":1},5]')
            assert (reply.status, reply.text.startswith(f"500 Internal Server Error\n{text}")) == (500, True)
        assert running.errors == []
        (said,) = running.log.texts("error")
        assert said == "failed to emit data: BufferFull('the buffer is full')"


async def test_the_log_is_not_filled() -> None:
    """What is wrong with requests is said once a second, with how often."""
    clock = ManualClock()
    async with pipeline(SOURCE.format(""), clock=clock) as running:
        for _ in range(3):
            await post(running, "/t", b"x")
        await clock.advance(1)
        await post(running, "/t", b"x")
        first, second = running.log.texts("error")
        assert second == f"{first}; and 2 other requests since the last message"


async def test_answers_when_settled() -> None:
    """With answer_when settled a request waits for its receipt, and so for its bad records."""
    async with pipeline(STUBBORN.format("answer_when settled"), Stubborn) as running:
        request = asyncio.create_task(post(running, "/t", b'[{"a":1},5]'))  # noqa: TID251 - a client
        await running.wait_for(lambda: running.plugin(Stubborn).held)
        assert not request.done()
        running.plugin(Stubborn).held.release()
        assert (await request).status == 200
        assert len(running.errors) == 1
        assert (await post(running, "/t", b"[]")).status == 200


async def test_a_request_is_settled_when_it_is_on_disk(tmp_path: Path) -> None:
    """With a buffer in files it waits for no delivery."""
    buffer = f"<buffer>\n@type file\npath {tmp_path}/b\nflush_interval 1h\nflush_at_shutdown true\n</buffer>"
    text = SOURCE.replace("@type test", f"@type kept\n{buffer}").format("answer_when settled")
    async with pipeline(text, Kept) as running:
        assert (await post(running, "/t", ONE)).status == 200
        assert running.plugin(Kept).chunks == 0


async def test_tls(tmp_path: Path) -> None:
    """By `<transport tls>`, with clients' certificates."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = write(tmp_path)
    conf = f"<transport tls>\n{own}client_cert_auth true\nca_path {tmp_path}/ca.pem\n</transport>"
    curl = _curl()
    async with pipeline(SOURCE.format(conf)) as running:
        url = f"https://localhost:{port(running)}/t"
        shown = ("--cert", f"{tmp_path}/cert.pem", "--key", f"{tmp_path}/key.pem")
        for more, status in ((shown, "200"), ((), "000")):
            assert await _said(curl, "--cacert", f"{tmp_path}/ca.pem", *more, "-d", "json={}", url) == status
        assert running.records() == [{}]


async def test_curl(tmp_path: Path) -> None:
    """As its manual has people post: forms, files, lines, large bodies that ask first, gzip."""
    curl = _curl()
    (tmp_path / "lines").write_bytes(b'{"a":1}\n' * 2000)
    async with pipeline(SOURCE.format("")) as running:
        url = f"http://127.0.0.1:{port(running)}/t"
        rows: list[tuple[str, ...]] = [("-d", 'json={"a":1}'), ("-F", 'json={"a":1}')]
        rows += [("--json", '{"a":1}'), ("-X", "PUT", "--json", '{"a":1}')]
        kind = "Content-Type: application/x-ndjson"
        rows.append(("-H", kind, "-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path}/lines"))
        rows.append(("-H", kind, "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{tmp_path}/lines"))
        assert [await _said(curl, *row, url) for row in rows] == ["200"] * 6
        assert running.records() == [{"a": 1}] * 4004


def _curl() -> str:
    found = shutil.which("curl")
    if found is None:
        pytest.skip("curl is not installed")
    return found


async def _said(curl: str, *arguments: str) -> str:
    """Return the status that curl has got."""
    process = await asyncio.create_subprocess_exec(
        curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return (await process.communicate())[0].decode()


async def test_strangers() -> None:
    """What nobody means well with neither stalls it nor is taken for events."""
    async with pipeline(SOURCE.format("")) as running:

        async def well() -> None:
            assert (await post(running, "/well", ONE)).status == 200

        await check_listener(port(running), well, crowd=40)
        assert len(running.records()) == len(running.records("well"))


def test_an_old_spelling() -> None:
    """0.12's flat parameters of parsers."""
    text = "<source>\ntype http\nport 0\nformat json\ntime_key t\n</source>"
    assert parse(text).elements[0].params["format"].value == "json"
    options = configure(HttpInput, "format json\ntime_key t")
    assert isinstance(options.parse.type, str)  # type: ignore[attr-defined]
    assert (options.parse.type, options.parse.options.time_key) == ("json", "t")  # type: ignore[attr-defined]
