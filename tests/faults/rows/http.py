"""Rows 41 and 47: what an HTTP server may answer to a chunk, and what HTTP clients may send."""

from __future__ import annotations

import gzip
import json
import re
import socket
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress

from logpipe.testing.front import Link
from logpipe.testing.http_peer import Answer, HttpPeer, Request
from tests.faults import texts
from tests.faults.row import row
from tests.faults.trial import Lab, Trial
from tests.services.in_thread import in_thread

LINES = 500

PASSING = (
    Answer(503),
    Answer(429, headers={"Retry-After": "1"}),
    Answer(502, b"<html>bad gateway</html>"),
    Answer(504),
    Answer(503, b"x" * 1_000_000, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
)

MATCH = f"""\
<match t>
  @type http
  endpoint http://127.0.0.1:{{port}}/in
  read_timeout 5
  <format>
    @type single_value
  </format>
  <buffer>
    @type file
    path {{folder}}/buffer
    flush_mode immediate
{texts.UNTIL_TAKEN}  </buffer>
</match>
<system>
  root_dir {{folder}}/root
</system>
"""


SOURCE = """\
<source>
  @type http
  bind 127.0.0.1
  port 0
  answer_when settled
</source>
"""

HEAD = b"POST /t HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b" " * (1 << 20)) * 300
HARM = (
    b"",
    HEAD,
    HEAD + b"X: " + b"a" * 1_000_000,
    HEAD + b"X: a\r\n" * 10_000,
    HEAD + b"Content-Length: 30000000\r\n\r\n[",
    HEAD + b"Content-Length: 99999999999\r\n\r\n[",
    HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    CHUNKED + b"100000\r\n" + b"[" * 1_048_576 + b"\r\n",
    CHUNKED + b"zz\r\n",
    HEAD + b"Content-Type: application/msgpack\r\nContent-Length: 5\r\n\r\n\xdd\xff\xff\xff\xff",
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    HEAD + b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
)
"""What is sent by who means harm, and then stays."""
CROWD = 400


class _Server(HttpPeer):
    """Answers with what it is told, then well; may cut connections in place of answers, and refuse one line."""

    def __init__(self) -> None:
        super().__init__()
        self.script: deque[Answer] = deque()
        self.bodies: deque[bytes] = deque()
        self.poison = b""
        self.refused = self.to_cut = self.cut = 0

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        if self.poison and self.poison in request.body:
            self.refused += 1
            return Answer(400, b"there is a line that is not liked")
        if self.script:
            return self.script.popleft()
        self.bodies.append(request.body)
        return Answer()

    def numbers(self, body: bytes) -> Iterable[int]:
        """Lines have none."""
        del body
        return ()

    def answered(self, link: Link, piece: bytes) -> None:
        """Cut a connection in the place of an answer."""
        del link, piece
        if self.to_cut:
            self.to_cut -= 1
            self.cut += 1
            raise EOFError


def _enter(trial: Trial, server: _Server) -> bool:
    """Enter what has arrived since the last time."""
    is_any = False
    while server.bodies:
        is_any = True
        for line in server.bodies.popleft().decode().splitlines():
            trial.account.arrived(line)
    return is_any


@row(41, "HTTP 400 to 504, Retry-After, answers lost")
def answers(lab: Lab) -> None:
    """What passes is tried again; an answer that is lost may repeat lines; of a refused chunk one line stays behind."""
    with lab.trial("answers of all kinds") as trial, in_thread(lambda: _Server().serving()) as server:
        trial.read = lambda: _enter(trial, server)
        log = trial.log()
        logpipe = trial.start(texts.tail(trial.folder) + MATCH.format(port=server.port, folder=trial.folder))
        log.write(LINES)
        trial.wait_for_all()
        assert not trial.account.duplicates
        for answer in PASSING:
            server.script.append(answer)
            log.write(LINES)
            trial.wait_for_all()
            trial.fired(str(answer.status), when=not server.script)
        trial.may_repeat = True
        server.to_cut = 1
        log.write(LINES)
        trial.wait_for_all()
        trial.fired("an answer lost", when=server.cut)
        server.poison = log.path.read_bytes().splitlines()[0]
        log.write_bytes(server.poison + b"\n")
        log.write(LINES)
        trial.wait_for_all()
        trial.wait(lambda: _dead(trial), "a dead letter")
        trial.fired("a line refused", when=server.refused)
        assert _dead(trial) == 1, "more than the line to blame is given up"
        trial.end(logpipe)


def _dead(trial: Trial) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in (trial.folder / "root").rglob("*.jsonl"))


@row(47, "slow, idle and endless HTTP clients")
def clients(lab: Lab) -> None:
    """They are let go of within their limits, and whoever means well is served all the while."""
    with lab.trial("a crowd that means harm") as trial:
        trial.most_megabytes = 256  # bodies that are under way, up to HttpLimits.held_bytes, and one decompressed
        trial.most_descriptors = CROWD + 100
        log = trial.log()
        logpipe = trial.start(SOURCE + texts.to_file(trial.folder))
        trial.wait_for("listening at http://")
        port = int(re.findall(r"listening at http://127\.0\.0\.1:(\d+)", trial.said)[-1])
        _post(port, log.lines(LINES))
        with ExitStack() as stay:
            for number, sent in enumerate(_much(lab.repeat(CROWD, few=60))):
                sock = stay.enter_context(socket.create_connection(("127.0.0.1", port)))
                sock.settimeout(1)
                with suppress(OSError):
                    sock.sendall(sent)
                if not number % 20:
                    _post(port, log.lines(LINES // 10))
            trial.fired("a crowd")
            _post(port, log.lines(LINES))
        trial.wait_for_all()
        trial.end(logpipe)


def _much(count: int) -> Iterator[bytes]:
    return (HARM[number % len(HARM)] for number in range(count))


def _post(port: int, lines: str) -> None:
    """Post lines, and be told that they are safe."""
    body = "".join(json.dumps({"message": line}) + "\n" for line in lines.splitlines()).encode()
    headers = {"Content-Type": "application/x-ndjson"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/t", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        assert answer.status == 200
