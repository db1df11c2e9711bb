"""What events cost that come over a connection in the forward protocol, from another process, and go to a third one.

The sender writes the same message again and again; what it takes, and what the receiver takes, is not counted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE

import uvloop

from logpipe.builtin.forward_protocol import Option, forward_message, pack_event, packed_message, single_message
from logpipe.testing import pipeline
from tests.benchmarks.line_stages import BATCH, SECOND, record
from tests.benchmarks.lines import OWN_LOG
from tests.benchmarks.report import aim

LEAST_RATIO = 2.4
LEAST_RELAYED = 0.8
START = 1_466_000_000 * SECOND

TO_NULL = """
<source>
  @type forward
  bind 127.0.0.1
  port 0
</source>
<match app>
  @type null
</match>
"""

RELAY = """
<source>
  @type forward
  bind 127.0.0.1
  port 0
</source>
<match app>
  @type forward
  require_ack_response true
  keepalive true
  <server>
    host 127.0.0.1
    port {port}
  </server>
  <buffer tag>
    flush_mode interval
    flush_interval 0.1
    flush_thread_count 2
    flush_thread_interval 0.01
    flush_thread_burst_interval 0.01
    overflow_action block
  </buffer>
</match>
"""

RECEIVER = """
import msgpack, socketserver
class Take(socketserver.BaseRequestHandler):
    def handle(self):
        unpacker = msgpack.Unpacker(raw=True, max_buffer_size=2**30)
        while data := self.request.recv(1 << 20):
            unpacker.feed(data)
            for message in unpacker:
                self.request.sendall(msgpack.packb({"ack": message[2][b"chunk"].decode()}))
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
with Server(("127.0.0.1", 0), Take) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""

SENDER = """
import socket, sys
message = sys.stdin.buffer.read()
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
    for _ in range(int(sys.argv[2])):
        sock.sendall(message)
    sock.shutdown(socket.SHUT_WR)
    sock.recv(1)
"""


def messages() -> dict[str, bytes]:
    """Return the same thousand events in each form, by its name."""
    events = [(START + number * 1_000_007, record(number)) for number in range(BATCH)]
    packed = [pack_event(moment, fields) for moment, fields in events]
    return {
        "packed, 1,000 a message": packed_message("app", packed, Option(size=BATCH)),
        "packed and compressed by gzip": packed_message("app", packed, Option(size=BATCH, compressed="gzip")),
        "in an array, 1,000 a message": forward_message("app", packed, Option(size=BATCH)),
        "one a message": b"".join(single_message("app", moment, fields) for moment, fields in events),
    }


def report(yardstick: float, *, lines: int = 300_000, rounds: int = 3) -> list[str]:
    """Run everything and return the figures as lines of text.

    Args:
        yardstick: events per CPU second that the flagship's work takes, written by hand; of the same run.
        lines: how many events there are, in thousands.
        rounds: how often each form is tried; the best counts.
    """
    count = max(1, lines // BATCH)
    rows = ["events of the forward input, from a connection to null"]
    first = 0.0
    for name, message in messages().items():
        sys.stderr.write(f"forward, {name}\n")
        rate = count * BATCH / min(uvloop.run(_cost(message, count)) for _ in range(rounds))
        first = first or rate
        rows.append(f"  {name}: {rate:,.0f} events/CPU s")
    rows.append(aim("packed, as many times as the yardstick", first / yardstick, "", at_least=LEAST_RATIO))
    sys.stderr.write("forward, to another server\n")
    message = messages()["packed, 1,000 a message"]
    relayed = count * BATCH / min(uvloop.run(_cost_of_relay(message, count)) for _ in range(rounds))
    rows.append(f"  packed, and on to another server, with its acknowledgements: {relayed:,.0f} events/CPU s")
    return [*rows, aim("relayed, of the yardstick's events/CPU s", relayed / yardstick, "", at_least=LEAST_RELAYED)]


async def _cost_of_relay(message: bytes, count: int) -> float:
    """Return the CPU seconds of this process for so many messages that go to another one."""
    receiver = await asyncio.create_subprocess_exec(sys.executable, "-c", RECEIVER, stdout=PIPE)
    assert receiver.stdout is not None
    try:
        return await _cost(message, count, RELAY.format(port=int(await receiver.stdout.readline())), "flushed_records")
    finally:
        receiver.kill()
        await receiver.wait()


async def _cost(message: bytes, count: int, text: str = TO_NULL, counter: str = "taken_records") -> float:
    """Return the CPU seconds of this process for so many messages."""
    async with pipeline(text + OWN_LOG) as running:
        endpoints = running.graph.world.endpoints._all.values()
        port = next(each.names()[0][1] for each in endpoints if each.address.kind == "tcp")
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SENDER, str(port), str(count), stdin=PIPE, stdout=DEVNULL
        )
        began = time.process_time()
        await sender.communicate(message)
        await running.wait_for(lambda: running.metric(counter) >= count * BATCH, "the events")
        return time.process_time() - began
