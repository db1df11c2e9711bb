"""What is sent of a chunk, when it counts as delivered, and what becomes of it otherwise."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.out_forward import ForwardOutput
from logpipe.builtin.out_forward import message as message_module
from logpipe.testing import ManualClock, check_plugin, drive, pipeline, wait_for
from tests.builtin.out_forward.peers import conf, peer
from tests.services.forward_server import ForwardServer, ack

ACKS = "require_ack_response true"
pytestmark = pytest.mark.usefixtures("quick")
TIME = 1_466_000_000_250_000_000


async def test_contract() -> None:
    await check_plugin(ForwardOutput, "<server>\nhost a\n</server>\n<buffer tag>\n</buffer>")


@pytest.mark.parametrize(
    ("more", "time", "option"),
    [
        ("", 1466000000.25, {"size": 2}),
        ("time_as_integer true", 1466000000, {"size": 2}),
        ("compress gzip", 1466000000.25, {"size": 2, "compressed": b"gzip"}),
        ("compress zstd", 1466000000.25, {"size": 2, "compressed": b"zstd"}),
    ],
)
async def test_a_message(more: str, time: float, option: dict[str, object]) -> None:
    """Tag, packed events, options."""
    async with ForwardServer().standing() as server, drive(ForwardOutput, conf(server.server(), more=more)) as running:
        await running.feed("app.x", {"n": 1}, {"s": "ä", "b": b"\xff", "l": [None, True, 1.5]}, times=[TIME, TIME])
        await running.flush()
        await wait_for(lambda: server.messages)
        second = {"s": "ä", "b": b"\xff", "l": [None, True, 1.5]}
        assert server.events == [("app.x", time, {"n": 1}), ("app.x", time, second)]
        assert server.messages[0][2] == option


async def test_a_buffer_that_is_compressed_already(tmp_path: Path) -> None:
    """It is sent as it is, or unpacked where the output does not say so."""
    for more, compressed in (("compress gzip", b"gzip"), ("", None)):
        async with ForwardServer().standing() as server:
            buffer = f"@type file\npath {tmp_path}/{compressed!r}\ncompress gzip"
            async with drive(ForwardOutput, conf(server.server(), more=more, buffer=buffer)) as running:
                await running.feed("app", *({"n": n} for n in range(50)))
                await running.flush()
                await wait_for(lambda server=server: server.messages)
            assert [record["n"] for _, _, record in server.events] == list(range(50))
            assert server.messages[0][2].get("compressed") == compressed


async def test_the_first_bytes_are_fluentds() -> None:
    """An array of three, tag, a text of 32 bits' length: what out_forward.rb has written for ten years."""
    async with (
        ForwardServer(ack).standing() as server,
        drive(ForwardOutput, conf(server.server(), more=ACKS)) as running,
    ):
        await running.feed("app", {"n": 1}, times=[TIME])
        await running.flush()
        chunk = server.messages[0][2]["chunk"].decode()
        assert chunk.endswith("\n")
        assert re.fullmatch("[0-9a-f]{32}", base64.b64decode(chunk).hex())


async def test_a_large_chunk_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is more than may be held in memory is sent piece by piece, to the next server too."""
    monkeypatch.setattr(message_module, "LARGEST", 1000)
    monkeypatch.setattr("logpipe.builtin.chunk_payloads.PIECE", 1000)
    async with ForwardServer(lambda _: b"\x01").standing() as bad, ForwardServer(ack).standing() as good:
        text = conf(bad.server(), good.server("standby true"), more=ACKS, buffer=f"@type file\npath {tmp_path}/b")
        async with drive(ForwardOutput, text) as running:
            for first in (0, 200):
                await running.feed("app", *({"n": n} for n in range(first, first + 200)))
                await running.flush()
        assert bad.messages
        assert [record["n"] for _, _, record in good.events] == list(range(400))


@pytest.mark.parametrize("tag", [chr(0xD800), chr(0xDCFF), "ä"])  # halves of a character, a byte, and a letter
async def test_any_tag(tag: str) -> None:
    """Text that no UTF-8 is made of is sent all the same."""
    async with ForwardServer(ack).standing() as server:
        async with drive(ForwardOutput, conf(server.server(), more=ACKS)) as running:
            await running.feed(tag, {"n": 1})
            await running.flush()
        assert [record for _, _, record in server.events] == [{"n": 1}]


async def test_a_record_that_cannot_be_packed() -> None:
    """It goes to `@ERROR`, and the rest of its batch is sent."""
    async with ForwardServer().standing() as server, drive(ForwardOutput, conf(server.server())) as running:
        await running.feed("app", {"n": 1}, {"n": 2**70}, {"n": 3})
        await running.flush()
        await wait_for(lambda: server.messages)
        assert [record for _, _, record in server.events] == [{"n": 1}, {"n": 3}]
        assert server.messages[0][2] == {"size": 2}
        assert [record for _, _, record, _ in running.errors] == [{"n": 2**70}]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: ack("another"), "ack in response and chunk id in sent data are different: 'another'"),
        (lambda _: b"\x01", "no acknowledgement"),
        (lambda _: b"\x92\xa4HELO\x80", "the server asks who we are: write <security>"),
        (lambda _: b"\xc1", "what it answers is no MessagePack"),
        (lambda _: b"\xdb\xff\xff\xff\xff" + b"x" * 5000, "an acknowledgement of more than 4096 bytes"),
        (lambda chunk: ack(chunk) * 2, "are different"),
    ],
)
async def test_no_acknowledgement(answer: object, said: str) -> None:
    """What is answered is bounded, and not trusted: the chunk is sent again, under its name, on a new connection."""
    async with ForwardServer(answer, ack).standing() as server:  # type: ignore[arg-type]  # a lambda of a row
        text = conf(server.server(), more=f"{ACKS}\nkeepalive true")
        async with drive(ForwardOutput, text) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
            assert any(said in text for text in running.log.texts("warning"))
        assert server.connections == 2
        assert [record for _, _, record in server.events] == [{"n": 1}] * 2
        assert server.messages[0][2]["chunk"] == server.messages[1][2]["chunk"]


async def test_an_answer_that_is_lost() -> None:
    """After `ack_response_timeout` the chunk is sent again; until then its receipt is held."""
    clock = ManualClock()
    async with ForwardServer(None, ack).standing() as server:
        text = conf(server.server(), more=f"{ACKS}\nack_response_timeout 30")
        async with drive(ForwardOutput, text, clock=clock) as running:
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await clock.advance(1)
            await wait_for(lambda: server.messages)
            await clock.advance(28)
            assert len(server.messages) == 1
            await clock.advance(3)
            await wait_for(lambda: len(server.messages) == 2 and running.metric("buffer_queue_length") == 0)
            assert any("no answer for 30 seconds" in text for text in running.log.texts("warning"))


async def test_connections_are_kept() -> None:
    """With `keepalive`, for as long as `keepalive_timeout` says; without, each chunk has one."""
    clock = ManualClock()
    for more, connections in (("keepalive true\nkeepalive_timeout 60", 2), ("", 4)):
        async with ForwardServer(ack).standing() as server:
            text = conf(server.server(), more=f"{ACKS}\n{more}")
            async with drive(ForwardOutput, text, clock=clock) as running:
                for n, pause in enumerate((1, 1, 70, 1)):
                    await running.feed("app", {"n": n})
                    running.graph.flush()
                    await clock.advance(1)
                    await wait_for(lambda server=server, n=n: len(server.messages) == n + 1)
                    await wait_for(lambda: running.metric("buffer_queue_length") == 0)
                    await clock.advance(pause)
            assert server.connections == connections


async def test_without_acknowledgements_a_question_is_no_delivery() -> None:
    """A server that asks who we are takes nothing: the chunk is kept."""
    server = ForwardServer(greeting=b"\x92\xa4HELO\x80")
    async with server.standing(), drive(ForwardOutput, conf(server.server())) as running:
        await running.feed("app", {"n": 1})
        running.graph.flush()
        said = "the server asks who we are: write <security>"
        await wait_for(lambda: any(said in text for text in running.log.texts("warning")))
        assert not server.messages
        server.greeting = b""
        await running.flush()
        await wait_for(lambda: server.messages)


async def test_secondary(tmp_path: Path) -> None:
    """What no server takes goes there in the end."""
    async with ForwardServer(lambda _: b"\x01").standing() as server:
        more = f"{ACKS}\n<secondary>\n@type file\npath {tmp_path}/out\n</secondary>\n"
        text = conf(server.server(), more=more, buffer="retry_max_times 1")
        async with drive(ForwardOutput, text) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
        assert list(tmp_path.glob("out*"))


async def test_it_is_a_secondary() -> None:
    """What the first servers do not take the others get."""
    async with ForwardServer(ack).standing() as good, ForwardServer(lambda _: b"\x01").standing() as bad:
        secondary = f"<secondary>\nheartbeat_type none\n{ACKS}\n{good.server()}</secondary>\n"
        text = conf(bad.server(), more=f"{ACKS}\n{secondary}", buffer="retry_max_times 1")
        async with drive(ForwardOutput, text) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
        assert [(tag, record) for tag, _, record in good.events] == [("app", {"n": 1})]


@pytest.mark.parametrize(
    "text",
    [
        "<match **>\ntype forward\nhost 127.0.0.1\nport {port}\nheartbeat_type none\nflush_interval 0.1s\n</match>",
        "<match **>\ntype forward\nbuffer_type memory\nbuffer_chunk_limit 1m\nretry_limit 3\nheartbeat_type none\n"
        "flush_interval 0.1s\nnum_threads 2\n<server>\nname a\nhost 127.0.0.1\nport {port}\n</server>\n</match>",
    ],
)
async def test_spelled_for_0_12(text: str) -> None:
    """Flat parameters of the buffer, and a single server without a section."""
    async with ForwardServer().standing() as server, pipeline(text.format(port=server.port)) as running:
        await running.feed("app", {"n": 1})
        await running.flush()
        await wait_for(lambda: server.messages)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "forward output plugin requires at least one node is required. Add <server> or <service_discovery>"),
        ("<server>\nport 1\n</server>", '"host" is required'),
        ("<server>\nhost a\n</server>\n<buffer time>\ntimekey 1h\n</buffer>", "buffer chunk key must include 'tag'"),
        ("<server>\nhost a\n</server>\nheartbeat_type udp\ndns_round_robin true", "must be 'transport' or 'none'"),
        ("<server>\nhost a\n</server>\nsend_keepalive_packet true", "'send_keepalive_packet' is enabled but"),
        ("<server>\nhost a\n</server>\nack_response_timeout 0", "must be a positive integer"),
        ("<server>\nhost a\n</server>\nheartbeat_interval 0", "heartbeat_interval must be more than 0"),
        ("<server>\nhost a\n</server>\ntls_cert_thumbprint a", "tls_cert_thumbprint is for Windows only"),
        ("<server>\nhost a\n</server>\n<security>\nself_hostname a\n</security>", '"shared_key" is required'),
        (
            "<server>\nhost a\n</server>\ncompress gzip\n<buffer tag>\ncompress zstd\n</buffer>",
            r"different compression formats for Buffer \(Buffer: zstd, Self: gzip\)",
        ),
    ],
)
async def test_mistakes(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        async with drive(ForwardOutput, text):
            pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("heartbeat_type tcp", "'heartbeat_type tcp' is deprecated. use 'transport' instead."),
        ("keepalive_timeout 3", "keepalive_timeout is ignored without keepalive"),
        ("transport tls\ntls_insecure_mode true", "TLS transport is configured in insecure way"),
        ("read_length 1k", '"read_length" has no effect yet'),
    ],
)
async def test_warnings(text: str, said: str) -> None:
    async with peer() as server, drive(ForwardOutput, f"{text}\n{server.section}") as running:
        assert any(said in warning.message for warning in running.warnings)
