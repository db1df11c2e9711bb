"""What comes over a connection, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

import pytest

from logpipe import ConfigError, EventBatch, LogpipeError
from logpipe.builtin.in_forward import Forward
from logpipe.codec import LineBatch
from logpipe.testing import ManualClock, Pipeline, check_listener, check_plugin, configure, drive, pipeline
from tests.builtin.in_forward.sender import NOW, QUIET, connected, packed, port_of, several, single


def said(running: Pipeline) -> str:
    """Return what was logged."""
    return "\n".join(running.log.texts())


LOCAL = "bind 127.0.0.1\nport 0\n"
RECORDS = [{"n": number} for number in range(3)]


async def test_keeps_what_every_plugin_promises() -> None:
    await check_plugin(Forward, "port 0")


@pytest.mark.parametrize(
    "sent",
    [
        several(*RECORDS),
        several(*RECORDS, compressed="gzip"),
        several(*RECORDS, compressed="zstd"),
        several(*RECORDS, mode="forward"),
        b"".join(map(single, RECORDS)),
        b"".join(json.dumps(["a", NOW // 10**9, record]).encode() for record in RECORDS),
        json.dumps(["a", [[NOW // 10**9, record] for record in RECORDS]]).encode(),
    ],
    ids=["packed", "gzip", "zstd", "forward", "single", "json", "json forward"],
)
async def test_modes(sent: bytes) -> None:
    """Each brings the same events."""
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        sender.send(sent)
        await running.wait_for(lambda: len(running.events("a")) == 3, "the events")
        assert running.records() == RECORDS
        assert {event.time for event in running.events()} == {NOW}


async def test_large_messages_come_in_parts() -> None:
    """What a message holds is emitted some at a time, in order; nothing decodes it before an output does."""
    records = [{"n": number, "text": "x" * 1000} for number in range(3000)]
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        sender.send(several(*records, chunk="c"))
        assert await sender.acknowledgement() == "c"
        assert running.records() == records
        assert [len(events) for _, events in running.collector().batches][1:] != []


async def test_many_small_messages_share_batches() -> None:
    """Loggers send one event at a time; tags keep them apart."""
    messages = [single({"n": number}, tag="b" if number == 50 else "a", chunk=f"c{number}") for number in range(100)]
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        sender.send(b"".join(messages))
        assert [await sender.acknowledgement() for _ in messages] == [f"c{number}" for number in range(100)]
        assert running.records() == [{"n": number} for number in range(100)]
        assert [tag for tag, _ in running.collector().batches].count("b") == 1
        assert len(running.collector().batches) < 10


async def test_packed_events_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where fields are added to them."""
    found: list[EventBatch] = []

    async def keep(_: Any, batch: EventBatch) -> None:
        found.append(batch)

    monkeypatch.setattr("logpipe.testing.collector.Collector.process", keep)
    conf = LOCAL + "source_address_key from\nadd_tag_prefix p"
    async with drive(Forward, conf) as running, connected(port_of(running)) as sender:
        sender.send(several(*RECORDS, chunk="c"))
        await sender.acknowledgement()
    (batch,) = found
    assert isinstance(batch, LineBatch)
    assert batch.is_unread
    assert (batch.tag, batch.records) == ("p.a", [{**record, "from": "127.0.0.1"} for record in RECORDS])


@pytest.mark.parametrize("sent", [several({"k": 1}), json.dumps(["a", 1, {"k": 1}]).encode()], ids=["packed", "json"])
async def test_fields_for_where_it_came_from(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """source_address_key and source_hostname_key; a host without a name is called by its address."""
    monkeypatch.setattr(socket, "getnameinfo", lambda *_: ("sender.example.com", "0"))
    conf = LOCAL + "source_address_key from\nsource_hostname_key k"
    async with drive(Forward, conf) as running, connected(port_of(running)) as sender:
        sender.send(sent)
        await running.wait_for(running.records)
        assert running.records() == [{"k": "sender.example.com", "from": "127.0.0.1"}]


async def test_tags() -> None:
    """`tag` in the place of theirs; `add_tag_prefix` before either."""
    async with drive(Forward, LOCAL + "tag own\nadd_tag_prefix pre") as running, connected(port_of(running)) as sender:
        sender.send(single({"k": 1}))
        await running.wait_for(lambda: running.events("pre.own"))


async def test_what_is_no_event_is_an_error_event() -> None:
    """The rest of its message is taken, and acknowledged."""
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        sender.send(packed(["a", [[1, {"k": 1}], [1, "text"], 5], {"chunk": "c"}]))
        assert await sender.acknowledgement() == "c"
        assert running.records() == [{"k": 1}]
        await running.wait_for(lambda: len(running.errors) == 2)
        assert [str(error) for _, _, _, error in running.errors] == [
            "invalid event from 127.0.0.1: the record is no map",
            "invalid event from 127.0.0.1: no array",
        ]
        sender.send(packed(["a", b"\x01" * 150]))
        await running.wait_for(lambda: "50 more invalid events" in said(running))
        assert running.metric("invalid_records") == 152


async def test_heartbeats() -> None:
    """A datagram is answered with a zero byte; over a connection there may be nothing in a message."""
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beat:
            beat.connect(("127.0.0.1", port_of(running, "udp")))
            beat.setblocking(False)
            beat.send(b"\0")
            assert await asyncio.get_running_loop().sock_recv(beat, 10) == b"\0"
        sender.send(b"\xc0", single({"k": 1}, chunk="c"), b"\xc0")
        await sender.acknowledgement()
        assert running.records() == [{"k": 1}]


async def test_who_is_not_our_kind() -> None:
    """Whatever strangers send, those that mean well are served."""
    async with drive(Forward, LOCAL) as running:

        async def works() -> None:
            async with connected(port_of(running)) as sender:
                sender.send(several({"k": 1}, chunk="c"))
                assert await sender.acknowledgement() == "c"

        await check_listener(port_of(running), works, crowd=40)
        assert running.metric("broken_connections") > 5


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"GET / HTTP/1.1\r\n\r\n", "an HTTP request"), (b"\x16\x03\x01\x02\x00\x01\x00", "TLS: write <transport tls>")],
)
async def test_what_is_wrong_is_said_once_a_second(data: bytes, reason: str) -> None:
    """Whoever sends garbage does not fill the log: the next message has the number of those left out."""
    clock = ManualClock()
    async with drive(Forward, LOCAL, clock=clock) as running:
        for seconds in (0, 0, 0, 1):
            await clock.advance(seconds)
            async with connected(port_of(running)) as sender:
                sender.send(data)
                await sender.ended()
        first, second = [text for text in running.log.texts("warning") if "unreadable data" in text]
        assert reason in first
        assert second == f"{first}; and 2 other connections since the last message"


async def test_what_comes_before_bad_data_is_taken() -> None:
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        sender.send(single({"k": 1}, chunk="c") + b"\xc1")
        assert await sender.ended() == packed({"ack": "c"})
        assert running.records() == [{"k": 1}]
        assert "unreadable data from 127.0.0.1, its connection is closed" in said(running)


async def test_chunk_size_limits() -> None:
    """What is too large is dropped, without an acknowledgement, and the connection goes on."""
    conf = LOCAL + "chunk_size_limit 1000\nchunk_size_warn_limit 200"
    async with drive(Forward, conf) as running, connected(port_of(running)) as sender:
        for size in (50, 500, 5000):
            sender.send(several({"size": size, "k": "x" * size}, chunk=f"c{size}"))
        sender.send(several({"size": 1}, chunk="last"))
        assert [await sender.acknowledgement() for _ in range(3)] == ["c50", "c500", "last"]
        assert [record["size"] for record in running.records()] == [50, 500, 1]
        assert "larger than 'chunk_size_limit', dropped: tag='a' host=127.0.0.1 limit=1000" in said(running)
        assert "larger than 'chunk_size_warn_limit': tag='a' host=127.0.0.1 limit=200" in said(running)
        assert running.metric("oversized_messages") == 1


async def test_decompression_size_limit() -> None:
    conf = LOCAL + "decompression_size_limit 100k"
    async with drive(Forward, conf) as running, connected(port_of(running)) as sender:
        sender.send(several({"k": "x" * 200_000}, compressed="gzip", chunk="c"))
        assert await sender.ended() == b""
        assert "decompressed" in said(running)


async def test_a_message_that_does_not_go_on() -> None:
    """A sender may be silent between two messages, and not within one."""
    clock = ManualClock()
    async with drive(Forward, LOCAL, clock=clock) as running, connected(port_of(running)) as sender:
        sender.send(single({"k": 1}, chunk="c"))
        await sender.acknowledgement()
        await clock.advance(1000)
        sender.send(single({"k": 1}, chunk="d"))
        await sender.acknowledgement()
        sender.send(single({"k": 2})[:-1])
        await clock.advance(1)  # gives the half time to come
        await running.wait_for(lambda: clock._sleepers)
        await clock.advance(61)
        assert await sender.ended() == b""
        assert "a message went on with nothing for 60 seconds" in said(running)


async def test_one_message_a_connection() -> None:
    """deny_keepalive closes it behind the first, and its acknowledgement."""
    async with drive(Forward, LOCAL + "deny_keepalive true") as running:
        for message, answer in ((single({"k": 1}, chunk="c"), packed({"ack": "c"})), (single({"k": 1}), b"")):
            async with connected(port_of(running)) as sender:
                sender.send(message)
                assert await sender.ended() == answer
        assert running.records() == [{"k": 1}] * 2


async def test_settings_of_sockets() -> None:
    """backlog, send_keepalive_packet, and linger_timeout where 0.12 had it."""
    conf = LOCAL + "backlog 7\nsend_keepalive_packet true\nlinger_timeout 3"
    async with drive(Forward, conf) as running, connected(port_of(running)) as sender:
        sender.send(single({"k": 1}, chunk="c"))
        await sender.acknowledgement()
        plugin = running.plugin(Forward)
        (listening,) = plugin._endpoint.open_now()
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        assert struct.unpack_from("I", info, 28) == (7,)  # tcpi_sacked, of one that listens its backlog
        (connection,) = plugin._listener._open
        sock = connection._writer.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 3)
        assert running.metric("connections") == 1


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("port 99999", "port must be from 0 to 65535"),
        ("tag ''", "'tag' parameter must not be empty"),
        ("add_tag_prefix ''", "'add_tag_prefix' parameter must not be empty"),
        ("source_hostname_key h\nresolve_hostname false", "resolve_hostname must be true with source_hostname_key"),
        ("send_keepalive_packet true\ndeny_keepalive true", "cannot be set to true"),
        ("backlog 0", "backlog must be more than 0"),
        ("<transport udp>\n</transport>", "<transport udp> is not spoken here"),
    ],
)
def test_what_cannot_be(conf: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configure(Forward, conf)


@pytest.mark.parametrize(("conf", "warned"), [("port 0", True), (LOCAL, False), ("port 0\n{security}", False)])
async def test_warns_of_an_open_listener(conf: str, warned: bool) -> None:  # noqa: FBT001
    """One that everybody reaches, and anybody can send events to."""
    security = "<security>\nself_hostname s\nshared_key k\n</security>"
    text = f"<source>\n@type forward\n{conf.format(security=security)}\n</source>\n<match **>\n@type test\n</match>\n"
    async with pipeline(text + QUIET) as running:
        assert ("open-listener" in {each.code for each in running.warnings}) is warned


async def test_two_at_one_place() -> None:
    source = "<source>\n@type forward\nport 24999\n</source>\n"
    with pytest.raises(LogpipeError, match="is already used by"):
        async with pipeline(2 * source + QUIET):
            pass


async def test_a_crowd_of_names_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """resolve_hostname: messages have the name, which is asked for once in a while."""
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getnameinfo", lambda *given: (asked.append(given), ("host.example", "0"))[1])
    async with drive(Forward, LOCAL + "resolve_hostname true") as running:
        for _ in range(3):
            async with connected(port_of(running)) as sender:
                sender.send(b"\x01")
                await sender.ended()
        assert len(asked) == 1
        assert "unreadable data from host.example" in said(running)
