"""Messages over TCP."""

from __future__ import annotations

import asyncio
import socket

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_tcp import Tcp
from logpipe.builtin.message_inputs import delivery, receiving
from logpipe.net import Limits
from logpipe.testing import check_listener, check_plugin, configure, drive, wait_for
from logpipe.testing.strangers import connection, until_closed
from tests.builtin.message_inputs.sending import port, records, send

NONE = "<parse>\n@type none\n</parse>\n"
JSON = "<parse>\n@type json\n</parse>\n"
CONF = "tag t\nbind 127.0.0.1\nport 0\n"


async def test_keeps_the_contract() -> None:
    """An input like any other, with fluentd's defaults."""
    await check_plugin(Tcp, f"tag t\n{NONE}")
    options = configure(Tcp, f"tag t\n{NONE}")
    assert (options.bind, options.port, options.delimiter, options.message_length_limit) == (
        "0.0.0.0",  # noqa: S104 - a default
        5170,
        "\n",
        None,
    )


@pytest.mark.parametrize(
    ("conf", "sent", "expected"),
    [
        (NONE, [b"one\ntw", b"o\r\nleft"], [{"message": "one"}, {"message": "two\r"}]),
        ("format none\n", [b"x\n"], [{"message": "x"}]),
        ("format json\ntime_key at\n", [b'{"a":1,"at":5}\n'], [{"a": 1}]),
        ('delimiter ";;"\n' + NONE, [b"one;", b";two;three;;"], [{"message": "one"}, {"message": "two;three"}]),
        ("message_length_limit 3\n" + NONE, [b"abcd\nabc\nabcdef", b"gh\nd\n"], [{"message": "abc"}, {"message": "d"}]),
        (
            "source_address_key addr\n" + JSON,
            [b'{"addr":1}\n[{"a":1},{"a":2}]\n'],
            [{"addr": "127.0.0.1"}, {"a": 1, "addr": "127.0.0.1"}, {"a": 2, "addr": "127.0.0.1"}],
        ),
        ("format none\ndelimiter x\n", [b"axb"], [{"message": "a"}]),
        (NONE, [b"\xff\xfe\n\n"], [{"message": b"\xff\xfe"}, {"message": ""}]),
    ],
)
async def test_messages(conf: str, sent: list[bytes], expected: list[dict[str, object]]) -> None:
    """A delimiter ends each; what is behind the last one is none."""
    async with drive(Tcp, CONF + conf) as running:
        await send(running, *sent)
        assert await records(running, len(expected)) == expected


async def test_times() -> None:
    """The parser's, or that of reading."""
    async with drive(Tcp, CONF + JSON) as running:
        now = running.graph.world.clock.now()
        await send(running, b'{"time":5}\n{"a":1}\n')
        await records(running, 2)
        first, second = running.events("t")
        assert first.time == 5_000_000_000
        assert now <= second.time < now + 60_000_000_000


async def test_what_is_not_matched() -> None:
    """It is warned of, a few times, and counted in the ledger; the rest of the connection is not touched."""
    async with drive(Tcp, CONF + JSON) as running:
        await send(running, b'{"a":1}\n' + b"no \x1b[2J\n" * 50 + b'{"a":2}\n')
        assert await records(running, 2) == [{"a": 1}, {"a": 2}]
        assert running.graph.ledger().inputs[0].unmatched == 50
        said = running.log.texts("warning")
        assert said == ['pattern not matched: "no \\e[2J"'] * 5
    assert "pattern not matched: 45 more times in port 0" in running.log.texts("warning")


async def test_messages_without_a_time_are_not_matched() -> None:
    """As in fluentd, where estimate_current_event is false."""
    parse = "<parse>\n@type json\nestimate_current_event false\n</parse>"
    async with drive(Tcp, f"{CONF}{parse}") as running:
        await send(running, b'{"a":1}\n{"a":2,"time":7}\n{"a":3}\n')
        assert await records(running, 1) == [{"a": 2}]
        assert running.metric("unmatched_lines") == 2


async def test_tag_in_the_record() -> None:
    """Of any value the text that Ruby makes of it; one batch for each."""
    conf = CONF + JSON + "<extract>\ntag_key k\n</extract>\nsource_address_key k\n"
    async with drive(Tcp, conf) as running:
        await send(running, b'{"k":"a.b","x":1}\n{"x":2}\n{"k":null,"x":3}\n{"k":[1],"x":4}\n{"k":"a.b","x":5}\n')
        await records(running, 5)
        tags = [(tag, [event.record["x"] for event in events]) for tag, events in running.collector().batches]
        assert tags == [("a.b", [1, 5]), ("t", [2]), ("", [3]), ("[1]", [4])]
        assert {record["k"] for record in running.records()} == {"127.0.0.1"}


async def test_tag_is_kept() -> None:
    """By keep_tag_key; a time_key does nothing, as in fluentd, which a warning says."""
    conf = CONF + JSON + "<extract>\ntag_key k\nkeep_tag_key true\ntime_key x\n</extract>\n"
    async with drive(Tcp, conf) as running:
        await send(running, b'{"k":"a","x":1}\n')
        assert await records(running, 1, "a") == [{"k": "a", "x": 1}]
        assert ["time_key of <extract> does nothing here" in each.message for each in running.warnings] == [True]


async def test_a_tag_that_cannot_be_told() -> None:
    """Is an error event, and costs no other."""
    conf = CONF + JSON + "<extract>\ntag_key k\n</extract>\n"
    deep = b"[" * 200 + b"]" * 200
    async with drive(Tcp, conf) as running:
        await send(running, b'{"k":' + deep + b'}\n{"k":"a"}\n')
        await records(running, 1, "a")
        assert len(running.errors) == 1


@pytest.mark.parametrize(
    ("client", "is_let_in"),
    [
        ("network 127.0.0.0/8", True),
        ("host localhost", True),
        ("host 127.0.0.1", True),
        ("network 10.0.0.0/8", False),
        ("host no.such.name.invalid", False),
    ],
)
@pytest.mark.parametrize("bind", ["127.0.0.1", "::"])
async def test_security(client: str, is_let_in: bool, bind: str) -> None:  # noqa: FBT001 - a row
    """Others are disconnected, and it is said."""
    conf = f"tag t\nbind {bind}\nport 0\n{NONE}<security>\n<client>\n{client}\n</client>\n</security>"
    async with drive(Tcp, conf) as running:
        if is_let_in:
            await send(running, b"x\n")
            assert await records(running, 1) == [{"message": "x"}]
        else:
            async with connection(port(running)) as (reader, writer):
                writer.write(b"x\n")
                await until_closed(reader)
            assert running.metric("denied_connections") == 1
            assert any("anonymous client '" in text for text in running.log.texts("warning"))
            assert running.records() == []


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("", "<parse> section is required"),
        (f'delimiter ""\n{NONE}', "delimiter must not be empty"),
        (f"{NONE}<transport udp>\n</transport>", "<transport udp> is not spoken here: write tcp or tls"),
        (f"port 70000\n{NONE}", "port must be from 0 to 65535"),
        (f"{NONE}<security>\n</security>", "<client> section is required"),
        (f"{NONE}<security>\n<client>\n</client>\n</security>", "Either of 'host' and 'network' must be specified"),
        (f"{NONE}<security>\n<client>\nhost a\nnetwork b\n</client>\n</security>", "both of 'host' and 'network'"),
        (f"{NONE}<security>\n<client>\nnetwork b\n</client>\n</security>", "network 'b' address format is invalid"),
    ],
)
def test_mistakes(conf: str, said: str) -> None:
    """Each is said."""
    with pytest.raises(ConfigError, match="(?s).*" + said.replace("(", r"\(")):
        configure(Tcp, f"tag t\n{conf}")


@pytest.mark.parametrize("is_probed", [True, False])
async def test_keepalive(is_probed: bool) -> None:  # noqa: FBT001 - a row
    """The kernel is asked to probe."""
    conf = f"{CONF}{NONE}send_keepalive_packet {str(is_probed).lower()}"
    async with drive(Tcp, conf) as running, connection(port(running)) as (_, writer):
        writer.write(b"x\n")
        await records(running, 1)
        (served,) = running.plugin(Tcp)._receiver._listener._open
        sock = served._writer.get_extra_info("socket")
        assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is is_probed


async def test_peers_wait_while_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an output refuses is sent again, in order; nothing is lost, and not much is held."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    async with drive(Tcp, CONF + NONE) as running:
        running.collector().refuse = RuntimeError("full")
        lines = [b"%07d" % number + b"x" * 1000 for number in range(20_000)]
        sender = socket.create_connection(("127.0.0.1", port(running)))
        sending = asyncio.get_running_loop().run_in_executor(None, sender.sendall, b"\n".join([*lines, b""]))
        await running.wait_for(lambda: running.log.texts("warning"), "the refusal")
        assert "events were not taken, trying again in 0.01 seconds: RuntimeError('full')" in running.log.texts()
        assert not sending.done()
        running.collector().refuse = None
        await sending
        sender.close()
        found = await records(running, len(lines))
        assert [record["message"].encode() for record in found] == lines


async def test_what_is_refused_at_the_end_is_said() -> None:
    """How many events that were, and they are counted."""
    async with drive(Tcp, CONF + NONE) as running:
        running.collector().refuse = RuntimeError("full")
        await send(running, b"a\nb\n")
        await running.wait_for(lambda: running.log.texts("warning"), "the refusal")
    assert "2 events are lost, since no output has taken them: RuntimeError('full')" in running.log.texts("warning")
    assert running.metric("lost_records") == 2


async def test_what_has_come_is_emitted_at_the_end() -> None:
    """A worker that stops emits what it has read."""
    async with drive(Tcp, CONF + NONE) as running:
        running.collector().open.clear()
        await send(running, b"a\n")
        plugin = running.plugin(Tcp)
        await running.wait_for(lambda: plugin.host.emitting, "the event")
        running.graph.request_stop()
        await running.wait_for(plugin._delivery._quiet.is_set, "the input to be quiet")
        running.collector().open.set()
    assert running.records() == [{"message": "a"}]


async def test_strangers() -> None:
    """Whatever they send, a sender that means well is served."""
    async with drive(Tcp, CONF + JSON) as running:

        async def works() -> None:
            before = running.records().count({"well": 1})
            await send(running, b'{"well":1}\n')
            await running.wait_for(lambda: running.records().count({"well": 1}) > before)

        await check_listener(port(running), works, crowd=40)
        assert len(running.log.texts("warning")) < 10
        assert running.log.texts("error") == []


async def test_unfinished_messages_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes beyond it is let go; others are served."""
    monkeypatch.setattr(receiving, "ROOM", 1_000_000)
    async with drive(Tcp, CONF + NONE) as running:
        async with connection(port(running)) as (reader, writer):
            writer.write(b"x" * 2_000_000)
            await until_closed(reader)
        assert running.metric("broken_connections") == running.metric("unfinished_messages") == 1
        async with connection(port(running)) as (_, writer):
            writer.write(b"y" * 900_000 + b"\nz\n")
            assert len(await records(running, 2)) == 2
        assert running.plugin(Tcp)._receiver._held == 0


async def test_one_address_cannot_take_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its others are closed, which is said once."""
    monkeypatch.setattr(receiving, "LIMITS", Limits(per_address=2, idle=None))
    async with drive(Tcp, CONF + NONE) as running:
        async with connection(port(running)), connection(port(running)):
            await wait_for(lambda: running.metric("connections") == 2)
            for _ in range(3):
                async with connection(port(running)) as (reader, _):
                    assert await until_closed(reader) == b""
        await wait_for(lambda: running.metric("connections") == 0)
        await send(running, b"x\n")
        await records(running, 1)
        said = "127.0.0.1 has 2 connections, as many as one may have: its others are closed"
        assert running.log.texts("warning") == [said]
