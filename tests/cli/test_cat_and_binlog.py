"""`fluent-cat` and `fluent-binlog-reader`: events in and out by hand."""

from __future__ import annotations

import asyncio
import gzip
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgpack
import pytest

from logpipe.cli import main
from logpipe.cli.companions.sender import GaveUp, Sender
from logpipe.testing import pipeline
from tests.builtin.in_forward.sender import port_of
from tests.cli.chunk_files import Done
from tests.services.ports import free_port

Feed: TypeAlias = Callable[..., Done]

RECEIVER = """
<source>
  @type forward
  bind 127.0.0.1
  port 0
  {}
</source>
<match **>
  @type test
</match>
"""
SECURITY = "<security>\nself_hostname here\nshared_key secret\n</security>"


@pytest.fixture
def feed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Feed:
    """Run a program with standard input."""

    def run(name: str, *arguments: object, text: bytes = b"") -> Done:
        (tmp_path / "stdin").write_bytes(text)
        capfd.readouterr()
        with monkeypatch.context() as patch, (tmp_path / "stdin").open() as stdin:
            patch.setattr(sys, "stdin", stdin)
            patch.setattr(sys, "argv", [name])
            try:
                status = main([*map(str, arguments)])
            except SystemExit as ended:
                status = int(ended.code or 0)
        return Done(status, *capfd.readouterr())

    return run


@pytest.mark.parametrize(
    ("flags", "text", "expected"),
    [
        ((), b'{"a":1}\n{"a":"\xc3\xa9"}\n', [{"a": 1}, {"a": "é"}]),
        (("--none",), b"one\r\ntwo\xff", [{"message": "one"}, {"message": b"two\xff"}]),
        (("-f", "none", "--message-key", "log"), b"\n", [{"log": ""}]),
        (("--msgpack",), msgpack.packb({"a": b"\xff"}) + msgpack.packb({"b": "\u00e9"}), [{"a": b"\xff"}, {"b": "é"}]),
        (("--msgpack",), msgpack.packb([msgpack.ExtType(0, b"8 bytes."), {"a": 1}]), [{"a": 1}]),
    ],
)
async def test_cat_sends(feed: Feed, flags: tuple[str, ...], text: bytes, expected: list[dict[str, object]]) -> None:
    """JSON lines, text and MessagePack, also what out_secondary_file has written."""
    async with pipeline(RECEIVER.format("")) as running:
        done = await asyncio.to_thread(feed, "fluent-cat", "-p", port_of(running), *flags, "app.x", text=text)
        assert (done.status, done.err) == (0, "")
        await running.wait_for(lambda: len(running.records()) == len(expected))
        assert running.records() == expected
        assert len(running.events("app.x")) == len(expected)


async def test_cat_with_a_time(feed: Feed) -> None:
    """`--event-time` is for all events, `--time-as-integer` leaves out fractions."""
    moment = 1_480_000_000_500_000_000
    async with pipeline(RECEIVER.format("")) as running:
        at = ("-p", port_of(running), "--event-time", "2016-11-24T15:06:40.5Z")
        await asyncio.to_thread(feed, "fluent-cat", *at, "app", text=b'{"n":1}\n')
        await asyncio.to_thread(feed, "fluent-cat", *at, "--time-as-integer", "app", text=b'{"n":2}\n')
        await running.wait_for(lambda: len(running.records()) == 2)
        times = {event.record["n"]: event.time for event in running.events()}
        assert times == {1: moment, 2: moment // 10**9 * 10**9}
    assert feed("fluent-cat", "--event-time", "soon", "app", text=b"{}\n").status == 1


@pytest.mark.parametrize(
    ("flags", "text", "said"),
    [
        ((), b'{"a":1}\nno\n', "line 2 of the input is no JSON"),
        ((), b'{"a":1}\n[1]\n', "line 2 of the input is no map"),
        (("--msgpack",), msgpack.packb({"a": 1}) + b"\xc1", "the input is no MessagePack"),
        (("--msgpack",), msgpack.packb({"a": 1}) + msgpack.packb(5), "value 2 of the input is no map"),
    ],
)
async def test_cat_sends_what_came_before_a_mistake(feed: Feed, flags: tuple[str, ...], text: bytes, said: str) -> None:
    """And ends with 1, as fluent-cat."""
    async with pipeline(RECEIVER.format("")) as running:
        done = await asyncio.to_thread(feed, "fluent-cat", "-p", port_of(running), *flags, "app", text=text)
        assert (done.status, said in done.err) == (1, True), done
        await running.wait_for(lambda: len(running.records()) == 1)


@pytest.mark.parametrize("text", [b"{}\n", b"{}\nno\n"])
async def test_cat_to_a_server_with_a_key(feed: Feed, text: bytes) -> None:
    """It says so, where fluent-cat ends with 0 and nothing has arrived; also where the input ends in a mistake."""
    async with pipeline(RECEIVER.format(SECURITY)) as running:
        done = await asyncio.to_thread(feed, "fluent-cat", "-p", port_of(running), "app", text=text)
        assert (done.status, "shared key" in done.err) == (1, True)


def test_cat_without_a_server(feed: Feed, tmp_path: Path) -> None:
    """It says what has failed, and gives up."""
    done = feed("fluent-cat", "-p", free_port(), "--retry-limit", 0, "app", text=b"{}\n")
    assert done.status == 1
    assert "connect failed: Connection refused" in done.err
    done = feed("fluent-cat", "-u", "-s", tmp_path / "no", "--retry-limit", 0, "app", text=b"{}\n")
    assert (done.status, "connect failed: No such file" in done.err) == (1, True)


def test_a_connection_is_made_again() -> None:
    """Where the server has closed it, and as often as the limit says; a message is sent whole."""
    said: list[str] = []
    waited: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = Sender(server.getsockname(), retry_limit=2, say=said.append, sleep=waited.append)
        sender.send(b"one")
        first, _ = server.accept()
        assert first.recv(10) == b"one"
        first.close()
        sender.send(b"two")
        second, _ = server.accept()
        assert second.recv(10) == b"two"
        second.close()
    with pytest.raises(GaveUp):
        sender.send(b"three")
    assert (len(said), len(waited)) == (3, 2)


EVENTS = b"".join(
    msgpack.packb([msgpack.ExtType(0, (second).to_bytes(4, "big") + bytes(4)), {"n": second}]) for second in range(1, 8)
)
BROKEN = EVENTS[:30] + b"\xc1" + EVENTS[30:]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_binlog(feed: Feed, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """All events, or the first, by any formatter and its settings; compressed ones as well."""
    path = tmp_path / "buffer.q1.log"
    path.write_bytes(pack(EVENTS))
    done = feed("fluent-binlog-reader", "cat", "-f", "json", path)
    assert (done.status, done.out) == (0, "".join(f'{{"n":{number}}}\n' for number in range(1, 8)))
    assert feed("fluent-binlog-reader", "head", "-f", "json", path).out.count("\n") == 5
    line = feed("fluent-binlog-reader", "head", "-n", 1, "-e", "delimiter=COMMA", "-e", "utc=true", path).out
    assert line == f'1970-01-01T00:00:01Z,{path},{{"n":1}}\n'
    assert "out_file" in feed("fluent-binlog-reader", "formats").out.split()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("cat", "no"), 1, "No such file"),
        (("cat", "-f", "nothing", "chunk"), 1, 'unknown formatter plugin "nothing"'),
        (("cat", "-e", "delimiter", "chunk"), 1, "write KEY=VALUE"),
        (("cat", "-e", "output_time=perhaps", "chunk"), 1, "output_time"),
        (("cat", "text"), 1, "has no events"),
        (("head", "-n", "0", "chunk"), 2, "is no number of events"),
        ((), 2, "required"),
        (("cat", "broken"), 1, "damaged parts were left out"),
    ],
)
def test_binlog_refuses(feed: Feed, tmp_path: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    """In a line, without a traceback."""
    (tmp_path / "chunk").write_bytes(EVENTS)
    (tmp_path / "broken").write_bytes(BROKEN)
    (tmp_path / "text").write_text("some text\n")
    *flags, file = arguments or ("",)
    done = feed("fluent-binlog-reader", *flags, *([tmp_path / file] if flags else []))
    assert (done.status, said in done.err, "Traceback" in done.err) == (status, True, False), done
