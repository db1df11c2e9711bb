"""Rows 45, 46 and 50: senders in the forward protocol that mean harm, and those that it has no room for."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgpack

from logpipe.builtin.forward_protocol import (
    ClientHandshake,
    FrameReader,
    Option,
    acknowledged,
    acknowledgement,
    pack_event,
    packed_message,
)
from tests.faults import texts
from tests.faults.account import Series
from tests.faults.row import row
from tests.faults.trial import Lab, Trial

_LISTENS: Final = re.compile(r"listening port port=(\d+)")
_EVENT: Final = b"\x92\xce\x57\x61\x80\x00"
"""The start of an event, behind which its record comes."""

HOSTILE: Final = {
    "an array of four billion": b"\x93\xa1t\xdd\xff\xff\xff\xff",
    "a map of four billion": b"\x93\xa1t\x01\xdf\xff\xff\xff\xff",
    "a text of four billion bytes": b"\x92\xa1t\xdb\xff\xff\xff\xff",
    "an extension of four billion bytes": b"\x93\xa1t\x01\x81\xa1k\xc9\xff\xff\xff\xff\x05",
    "nested a hundred thousand times": b"\x93\xa1t\x01" + b"\x91" * 100_000,
    "500 heads of large arrays": b"\x93\xa1t\x01" + b"\xdd\x05\xf5\xe1\x00" * 500,
    "ten million empty maps": b"\x92\xa1t\xc6" + struct.pack(">I", 10_000_014)
    + _EVENT + b"\x81\xa1k\xdd\0\x98\x96\x80" + b"\x80" * 10_000_000,
    "four million events that are none": b"\x92\xa1t\xc6" + struct.pack(">I", 4_000_000) + b"\x01" * 4_000_000,
    "broken in the middle": b"\x93\xa1t\x01\x82\xa1k\xc1",
    "types that are wrong": msgpack.packb([{"t": 1}, 2, [3]]),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}  # fmt: skip


@row(45, "hostile msgpack")
def hostile(lab: Lab) -> None:
    """What cannot be read costs its sender the connection, and nobody else anything; memory stays bounded."""
    with lab.trial("hostile msgpack") as trial:
        trial.most_megabytes = 200  # some messages of ten megabytes, while they are looked at
        logpipe = trial.start(listening(trial))
        port = port_of(trial)
        for _ in range(lab.repeat(10, few=1)):
            with _sender(port) as well:
                for data in HOSTILE.values():
                    with connected(port) as sock, suppress(ConnectionError):
                        sock.sendall(data)
                        well.send(trial.account.open("sent"))
        trial.wait(lambda: "unreadable data" in trial.said, "connections to be closed")  # which is said once a second
        trial.fired("connections closed")
        trial.wait_for_all()
        trial.end(logpipe)


@row(46, "forward: too large, bombs, bad keys")
def too_large(lab: Lab) -> None:
    """Bounded by what comes out, passed over, refused; names of chunks that come twice are answered twice."""
    bomb = bytes(1 << 26)
    with lab.trial("too large") as trial:
        logpipe = trial.start(listening(trial, "chunk_size_limit 1m\ndecompression_size_limit 8m"))
        port, series = port_of(trial), trial.account.open("sent")
        with _sender(port) as well:
            for compression in ("gzip", "zstd"):
                with connected(port) as sock:
                    sock.sendall(packed_message("t", [bomb], Option(compressed=compression, chunk="bomb")))  # type: ignore[arg-type]
                    assert sock.recv(100) == b""
            well.sock.sendall(packed_message("t", [bytes(2 << 20)], Option(chunk="large")))
            well.send(series)
            for option in ("text", 5, [1], {"compressed": "lzma"}, {"chunk": "x" * 2000}):
                with connected(port) as sock:
                    sock.sendall(msgpack.packb(["t", b"", option]))
                    assert sock.recv(100) == b"", f"an answer to {option}"
            for _ in range(2):
                well.send(series, chunk="twice")
        trial.fired("larger than 'chunk_size_limit'", when="larger than 'chunk_size_limit', dropped" in trial.said)
        trial.fired("bombs", when=" decompressed" in trial.said)
        trial.wait_for_all()
        trial.end(logpipe)
    with lab.trial("bad keys") as trial:
        logpipe = trial.start(listening(trial, "<security>\nself_hostname server\nshared_key secret\n</security>"))
        port = port_of(trial)
        ping = b""
        for key in ("wrong", "secret", "replayed"):
            with _sender(port) as sender:
                client = ClientHandshake("client", key)
                answer = client.ping(sender.frame())
                ping = ping if key == "replayed" else answer
                sender.sock.sendall(ping)
                pong = msgpack.unpackb(sender.frame())
                assert pong[1] is (key == "secret"), f"{key}: {pong}"
                if key == "secret":
                    sender.send(trial.account.open("sent"))
        trial.fired("keys refused", when="shared_key mismatch" in trial.said)
        trial.wait_for_all()
        trial.end(logpipe)


@row(50, "a sender while it can take no more")
def paused(lab: Lab) -> None:
    """The buffer is full and its output stands still: senders wait, unread and without an answer, and lose nothing."""
    with lab.trial("no room") as trial:
        (trial.folder / "out").write_text("in the way of a folder")
        limits = "total_limit_size 256k\nchunk_limit_size 64k"
        logpipe = trial.start(listening(trial, more=limits))
        series = trial.account.open("sent")
        with _sender(port_of(trial)) as sender:
            sender.sock.settimeout(0.5 if lab.short else 5.0)
            rest = b""
            try:
                for number in range(1000):
                    rest = _message(series, 1000, f"c{number}")
                    while rest:
                        rest = rest[sender.sock.send(rest) :]
            except TimeoutError:
                trial.fired("the sender had to wait")
            trial.wait(lambda: "failed to write data into buffer" in trial.said, "the buffer to be full")
            (trial.folder / "out").unlink()
            sender.sock.settimeout(60)
            sender.sock.sendall(rest)
            owed = {f"c{each}" for each in range(number + 1)}
            found = {acknowledged(sender.frame()) for _ in owed}
            assert found == owed, f"acknowledged: {sorted(found)}"
        trial.wait_for_all()
        trial.end(logpipe)


class Sender:
    """A sender that means well, and waits for each answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = FrameReader()
        self._frames: list[bytes] = []

    def send(self, series: Series, *, count: int = 20, chunk: str = "") -> None:
        """Send some lines, and wait until they are safe."""
        name = chunk or f"c{time.monotonic_ns()}"
        self.sock.sendall(_message(series, count, name))
        assert self.frame() == acknowledgement(name)

    def frame(self) -> bytes:
        """Return the next thing that comes."""
        while not self._frames:
            data = self.sock.recv(65_536)
            assert data, "the connection has ended"
            self._frames += [frame.data for frame in self._reader.feed(data) if hasattr(frame, "data")]
        return self._frames.pop(0)


def _message(series: Series, count: int, chunk: str) -> bytes:
    events = [pack_event(time.time_ns(), {"message": series.next_line(padding=50)}) for _ in range(count)]
    return packed_message("t", events, Option(chunk=chunk, size=count))


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Connect."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        yield sock


@contextmanager
def _sender(port: int) -> Iterator[Sender]:
    with connected(port) as sock:
        yield Sender(sock)


def port_of(trial: Trial) -> int:
    """Return where the program listens, when it does."""
    trial.wait_for("listening port port=")
    found = _LISTENS.search(trial.said)
    assert found is not None
    return int(found[1])


def listening(trial: Trial, settings: str = "", *, more: str = "") -> str:
    """Return a forward input with some settings, and what writes its events to a file."""
    source = f"<source>\n@type forward\nbind 127.0.0.1\nport 0\n{settings}\n</source>\n"
    return source + texts.to_file(trial.folder, more=more)
