"""Messages over UDP."""

from __future__ import annotations

import socket

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_udp import Udp
from logpipe.builtin.message_inputs import delivery, receiving
from logpipe.testing import check_plugin, configure, drive
from tests.builtin.message_inputs.sending import records, send_datagrams

NONE = "<parse>\n@type none\n</parse>\n"
JSON = "<parse>\n@type json\n</parse>\n"
CONF = "tag t\nbind 127.0.0.1\nport 0\n"


async def test_keeps_the_contract() -> None:
    """An input like any other, with fluentd's defaults."""
    await check_plugin(Udp, f"tag t\n{NONE}")
    options = configure(Udp, f"tag t\n{NONE}")
    assert (options.bind, options.port, options.message_length_limit, options.remove_newline) == (
        "0.0.0.0",  # noqa: S104 - a default
        5160,
        4096,
        True,
    )


@pytest.mark.parametrize(
    ("conf", "sent", "expected"),
    [
        (NONE, [b"a\n", b"b\r\n", b"c\r", b"d\n\n", b"", b"e\nf"], ["a", "b", "c", "d\n", "", "e\nf"]),
        (f"remove_newline false\n{NONE}", [b"a\n"], ["a\n"]),
        ("format none\n", [b"a"], ["a"]),
        (f"message_length_limit 3\n{NONE}", [b"abc", b"abcd\n", b"ab\n"], ["abc", "abc", "ab"]),
        (f"body_size_limit 3\n{NONE}", [b"abcd"], ["abc"]),
    ],
)
async def test_messages(conf: str, sent: list[bytes], expected: list[str]) -> None:
    """One a datagram."""
    async with drive(Udp, CONF + conf) as running:
        send_datagrams(running, sent)
        assert [record["message"] for record in await records(running, len(expected))] == expected
        assert running.metric("cut_messages") == sum(len(each) > 3 and "limit" in conf for each in sent)
        assert running.metric("dropped_datagrams") == 0


async def test_what_is_not_matched() -> None:
    """It is warned of and counted; others of the same moment are not touched."""
    async with drive(Udp, f"{CONF}{JSON}source_address_key a\n<extract>\ntag_key k\n</extract>") as running:
        send_datagrams(running, [b'{"k":"x.y","n":1}', b"no", b'{"n":2}', b'[{"n":3},{"n":4}]', b"\xff"])
        await records(running, 4)
        assert running.records("x.y") == [{"n": 1, "a": "127.0.0.1"}]
        assert running.records("t") == [{"n": number, "a": "127.0.0.1"} for number in (2, 3, 4)]
        assert running.graph.ledger().inputs[0].unmatched == 2
        assert running.log.texts("warning")[0] == 'pattern not matched: "no"'


@pytest.mark.parametrize(
    "conf", ["receive_buffer_size 100k\n", "<transport udp>\nreceive_buffer_size 100k\n</transport>"]
)
async def test_receive_buffer(conf: str) -> None:
    """Of the kernel, in either place."""
    async with drive(Udp, CONF + NONE + conf) as running:
        (sock,) = running.plugin(Udp).endpoint.open_now()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 102_400


async def test_nothing_is_read_while_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps what it has room for, and counts the rest; what was read is sent again, in order."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(receiving, "MOST_WAITING", 10)
    async with drive(Udp, f"{CONF}{NONE}<transport udp>\nreceive_buffer_size 20k\n</transport>") as running:
        running.collector().refuse = RuntimeError("full")
        for round_ in range(3):
            send_datagrams(running, [b"%d-%d" % (round_, number) for number in range(20)])
            await running.wait_for(lambda: running.log.texts("warning"), "the refusal")
        send_datagrams(running, [b"x" * 1000] * 200)
        await running.wait_for(lambda: running.metric("dropped_datagrams") > 0, "the kernel to drop some")
        dropped = running.metric("dropped_datagrams")
        running.collector().refuse = None
        found = await records(running, int(260 - dropped))
        assert [each["message"] for each in found[:60]] == [
            f"{round_}-{number}" for round_ in range(3) for number in range(20)
        ]


async def test_what_has_come_is_emitted_at_the_end() -> None:
    """A worker that stops emits what it has read."""
    async with drive(Udp, CONF + NONE) as running:
        running.collector().open.clear()
        plugin = running.plugin(Udp)
        send_datagrams(running, [b"a"])
        await running.wait_for(lambda: plugin.host.emitting, "the event")
        send_datagrams(running, [b"b"])
        await running.wait_for(lambda: plugin._receiver._waiting, "the second")
        running.graph.request_stop()
        await running.wait_for(plugin._delivery._quiet.is_set, "the input to be quiet")
        running.collector().open.set()
    assert [record["message"] for record in running.records()] == ["a", "b"]


async def test_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come is made events of later."""
    monkeypatch.setattr("logpipe.engine.running.graph.FIRST_BACK_OFF", 0.01)
    async with drive(Udp, CONF + NONE) as running:
        parser = running.plugin(Udp).parser
        parse = parser._parse_lines

        def fail(*_: object) -> None:
            parser._parse_lines = parse
            raise MemoryError

        parser._parse_lines = fail
        send_datagrams(running, [b"a", b"b"])
        assert [each["message"] for each in await records(running, 2)] == ["a", "b"]
        assert parser._parse_lines is parse


async def test_ipv6() -> None:
    """Addresses are as they are written."""
    async with drive(Udp, f"tag t\nbind ::1\nport 0\n{NONE}source_address_key a\nsource_host_key h\n") as running:
        send_datagrams(running, [b"a"], "::1")
        (record,) = await records(running, 1)
        assert record == {"message": "a", "a": "::1", "h": socket.getnameinfo(("::1", 0), 0)[0]}


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("", "<parse> section is required"),
        (f"{NONE}<transport tcp>\n</transport>", "<transport tcp> is not spoken here: write udp"),
    ],
)
def test_mistakes(conf: str, said: str) -> None:
    """Each is said."""
    with pytest.raises(ConfigError, match=said):
        configure(Udp, f"tag t\n{conf}")
