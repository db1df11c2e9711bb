"""Messages of syslog."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.builtin import peers
from logpipe.builtin.in_syslog import Syslog
from logpipe.builtin.message_inputs import delivery
from logpipe.testing import check_listener, check_plugin, configure, drive, pipeline
from logpipe.testing.strangers import connection, until_closed
from tests.builtin.message_inputs.sending import port, records, send, send_datagrams
from tests.net.certificates import AUTHORITY, trusting, write

CONF = "tag s\nbind 127.0.0.1\nport 0\n"
TCP = "<transport tcp>\n</transport>\n"
LINE = b"Sep 10 00:00:00 host logger[7]: hello"
RECORD = {"host": "host", "ident": "logger", "pid": "7", "message": "hello"}
RFC5424 = b"<165>1 2017-02-06T13:14:15.003Z host app 10339 ID47 - text"


async def test_keeps_the_contract() -> None:
    """An input like any other, with fluentd's defaults."""
    await check_plugin(Syslog, "tag t")
    options = configure(Syslog, "tag t")
    assert (options.bind, options.port, options.message_length_limit, options.protocol, options.frame_type) == (
        "0.0.0.0",  # noqa: S104 - a default
        5140,
        2048,
        "udp",
        "traditional",
    )
    assert (options.parse.type, options.parse.options.with_priority) == ("syslog", True)


@pytest.mark.parametrize(
    ("conf", "sent", "tag", "expected"),
    [
        ("", b"<6>" + LINE + b"\n", "s.kern.info", RECORD),
        ("severity_key s\nfacility_key f\n", b"<83>" + LINE, "s.authpriv.err", {**RECORD, "s": "err", "f": "authpriv"}),
        ("priority_key sev\n", b"<191>" + LINE, "s.local7.debug", {**RECORD, "sev": "debug"}),
        ("facility_key pri\n", b"<0>" + LINE, "s.kern.emerg", {**RECORD, "pri": "kern"}),
        ("facility_key f\n", b"<999>" + LINE, "s..debug", {**RECORD, "f": None}),
        ("source_address_key a\n", b"<6>" + LINE, "s.kern.info", {**RECORD, "a": "127.0.0.1"}),
        ("include_source_host true\n", b"<6>" + LINE, "s.kern.info", {**RECORD, "source_host": "127.0.0.1"}),
        ("include_source_host true\nsource_host_key h\n", b"<6>" + LINE, "s.kern.info", {**RECORD, "h": "127.0.0.1"}),
        ("source_hostname_key n\n", b"<6>" + LINE, "s.kern.info", {**RECORD, "n": "name of 127.0.0.1"}),
        ("resolve_hostname true\n", b"<6>" + LINE, "s.kern.info", RECORD),
        ("format json\n", b'<6>{"a":1}\n', "s.kern.info", {"a": 1}),
        ("format none\n", b"x\n<12>y\nz", "s.user.warn", {"message": "y"}),
        ("<parse>\nwith_priority false\n</parse>\n", b"<6>" + LINE, "s.kern.info", RECORD),
        ("<parse>\n@type none\n</parse>\n", b"<99999999999999999999>x", "s..debug", {"message": "x"}),
        (
            "<parse>\nmessage_format rfc5424\n</parse>\n",
            RFC5424,
            "s.local4.notice",
            {"host": "host", "ident": "app", "pid": "10339", "msgid": "ID47", "extradata": "-", "message": "text"},
        ),
        ("<parse>\nmessage_format auto\n</parse>\n", b"<6>" + LINE, "s.kern.info", RECORD),
        ("<parse>\nkeep_time_key true\n</parse>", b"<6>" + LINE, "s.kern.info", RECORD | {"time": "Sep 10 00:00:00"}),
        ("allow_without_priority true\n", LINE, "s.user.notice", RECORD),
        ("allow_without_priority true\ndefault_priority 6\n", b"<83>" + LINE, "s.authpriv.err", RECORD),
        ("allow_without_priority true\ndefault_priority 6\nformat none", b"x", "s.kern.info", {"message": "x"}),
        ("message_length_limit 38\n", b"<6>" + LINE, "s.kern.info", {**RECORD, "message": "hel"}),
    ],
)  # fmt: skip
async def test_messages(
    conf: str, sent: bytes, tag: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag says facility and severity, the record who has sent it."""
    monkeypatch.setattr(peers, "name_of", lambda address: f"name of {address}")
    async with drive(Syslog, CONF + conf) as running:
        send_datagrams(running, [sent])
        assert await records(running, 1) == [expected]
        assert [each for each, _ in running.collector().batches] == [tag]
        assert running.metric("unmatched_lines") == 0
        assert [each.message for each in running.warnings if "is not used" in each.message] == []


@pytest.mark.parametrize(
    ("conf", "sent"),
    [
        (TCP, [b"<6>" + LINE + b"\n<83>" + LINE, b"\n<6>" + LINE]),
        ("protocol_type tcp\n", [b"<6>" + LINE + b"\n<83>" + LINE + b"\n"]),
        ("protocol_type TCP\n<transport udp>\n</transport>\n", [b"<6>" + LINE + b"\n<83>" + LINE + b"\n"]),
        (TCP + "delimiter ;;\n", [b"<6>" + LINE + b";;<83>" + LINE + b";;"]),
        (TCP + "frame_type octet_count\n", [b"40 <6>" + LINE + b"41 <83>" + LINE, b"99 <6>"]),
        (TCP + "frame_type octet_count\n", [b"40 <6>" + LINE + b"\n4", b"1 <83>" + LINE, b"\nno <6>"]),
    ],
)
async def test_connections(conf: str, sent: list[bytes]) -> None:
    """Both ways of telling messages apart; what is no length ends the connection, and no message before it is lost."""
    async with drive(Syslog, CONF + conf) as running:
        await send(running, *sent)
        assert await records(running, 2) == [RECORD, RECORD]
        assert [tag for tag, _ in running.collector().batches] == ["s.kern.info", "s.authpriv.err"]


async def test_tls(tmp_path: Path) -> None:
    """As rsyslog sends by it; without a certificate of its own nobody is let in."""
    conf = f"<transport tls>\n{write(tmp_path)}client_cert_auth true\nca_path {tmp_path}/ca.pem\n</transport>\n"
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with drive(Syslog, CONF + conf) as running:
        for is_known in (False, True):
            context = trusting(shown=AUTHORITY if is_known else None)
            reader, writer = await asyncio.open_connection("127.0.0.1", port(running), ssl=context)
            writer.write(b"<6>" + LINE + b"\n")
            if not is_known:
                with suppress(ssl.SSLError):
                    await until_closed(reader)
            else:
                assert await records(running, 1) == [RECORD]
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_what_one_output_has_taken_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another one refuses its part of what came together."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    matches = "".join(f"<match s.{name}.**>\n@type test\nname {name}\n</match>\n" for name in ("kern", "authpriv"))
    async with pipeline(f"<source>\n@type syslog\n{CONF}{TCP}</source>\n{matches}") as running:
        running.collector("authpriv").refuse = RuntimeError("full")
        await send(running, b"<6>" + LINE + b"\n<83>" + LINE + b"\n<7>" + LINE + b"\nno\n")
        await running.wait_for(lambda: len([t for t in running.log.texts() if "trying again" in t]) > 2, "attempts")
        running.collector("authpriv").refuse = None
        await running.wait_for(lambda: len(running.records(name="kern")) == 2, "what comes behind it")
        assert running.records(name="authpriv") == [RECORD]
        assert running.metric("unmatched_lines") == 1


async def test_what_is_no_length_ends_the_connection() -> None:
    """With a warning and a count."""
    async with drive(Syslog, f"{CONF}{TCP}frame_type octet_count") as running:
        async with connection(port(running)) as (reader, writer):
            writer.write(b"40 <6>" + LINE + b"GET / HTTP/1.1\r\n")
            await writer.drain()
            await records(running, 1)
            writer.write(b"\r\n")
            await until_closed(reader)
        assert running.metric("broken_connections") == 1
        (said,) = running.log.texts("warning")
        assert said.startswith("127.0.0.1: its connection is closed: b'GET / HTTP")


async def test_messages_over_tcp_may_be_long() -> None:
    """message_length_limit is of datagrams, as in fluentd."""
    async with drive(Syslog, CONF + TCP) as running:
        await send(running, b"<6>" + LINE + b"x" * 100_000 + b"\n")
        (record,) = await records(running, 1)
        assert len(record["message"]) == 100_005


@pytest.mark.parametrize("parse", ["", "<parse>\nwith_priority false\n</parse>\n"])
async def test_what_is_in_no_format(parse: str) -> None:
    """Is warned of and counted; an event of it is made where that is asked for."""
    sent = [b"<6>" + LINE, b"hello world\n", b"<6>ZZZ 99 99:99:99 host logger: xxx", b"\xff", b"<83>" + LINE]
    conf = f"{CONF}{parse}emit_unmatched_lines true\nsource_address_key a\n"
    async with drive(Syslog, conf) as running:
        send_datagrams(running, sent)
        await records(running, 5)
        address = {"a": "127.0.0.1"}
        assert running.records("s.{kern,authpriv}.**") == [RECORD | address] * 2
        assert running.records("s.unmatched") == [
            {"unmatched_line": "hello world", **address},
            {"unmatched_line": "<6>ZZZ 99 99:99:99 host logger: xxx", **address},
            {"unmatched_line": b"\xff", **address},
        ]
        assert running.graph.ledger().inputs[0].unmatched == 3
        first = "invalid syslog message" if parse else "failed to parse message"
        assert f'{first}: "hello world"' in running.log.texts("warning")


async def test_many_at_once() -> None:
    """One batch for each tag, in the order in which they came."""
    async with drive(Syslog, CONF + TCP) as running:
        await send(running, b"".join(b"<%d>%s%d\n" % (number % 3, LINE, number) for number in range(300)))
        await records(running, 300)
        for severity, name in enumerate(("emerg", "alert", "crit")):
            texts = [record["message"] for record in running.records(f"s.kern.{name}")]
            assert texts == [f"hello{number}" for number in range(severity, 300, 3)]
        assert len(running.collector().batches) <= 30


@pytest.mark.parametrize("frame", ["traditional", "octet_count"])
async def test_strangers(frame: str) -> None:
    """Whatever they send, a sender that means well is served."""
    message = b"<6>" + LINE
    async with drive(Syslog, f"{CONF}{TCP}frame_type {frame}") as running:

        async def works() -> None:
            before = len(running.records())
            await send(running, message + b"\n" if frame == "traditional" else b"%d %s" % (len(message), message))
            await running.wait_for(lambda: len(running.records()) > before)

        await check_listener(port(running), works, crowd=20)
        assert len(running.log.texts("warning")) < 12
        assert running.log.texts("error") == []


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("include_source_host true\nsource_address_key a", "specify either source_address_key or include_source_host"),
        ("resolve_hostname false\nsource_hostname_key n", "resolve_hostname must be true with source_hostname_key"),
        ("send_keepalive_packet true", "send_keepalive_packet is available for tcp/tls"),
        ("protocol_type icmp", '"icmp" is no protocol: write udp or tcp'),
        ("default_priority 192", "default_priority must be 0 ~ 191"),
        ("<transport tls>\n</transport>", "tls needs a certificate"),
    ],
)
def test_mistakes(conf: str, said: str) -> None:
    """Each is said."""
    with pytest.raises(ConfigError, match=said):
        configure(Syslog, f"tag t\n{conf}")


@pytest.mark.parametrize(
    ("conf", "protocol"),
    [
        ("protocol_type udp\n<transport tcp>\n</transport>", "udp"),
        ("protocol_type tcp\n<transport tls>\ncert_path c\nprivate_key_path k\n</transport>", "tls"),
    ],
)
def test_protocol_type_goes_before_transport(conf: str, protocol: str) -> None:
    """But for TLS, as in fluentd."""
    assert configure(Syslog, f"tag t\n{conf}").protocol == protocol
