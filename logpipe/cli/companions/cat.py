"""`logpipe cat`, and `fluent-cat`: sends events from standard input by the forward protocol. Fluentd's command/cat.rb.

Each event is a message of its own, sent as soon as it is read. As fluentd's, it asks for no acknowledgement; but it
waits until the server has closed its side, so that the last events have been read when it ends with 0.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, Final

import msgpack
import orjson

from logpipe.builtin.forward_protocol.encoding import forward_message
from logpipe.builtin.forward_protocol.event_times import pack_seconds, pack_time
from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser
from logpipe.cli.companions.sender import GaveUp, Sender
from logpipe.errors import LogpipeError, ParseError
from logpipe.event import Record
from logpipe.raw_text import text_or_bytes
from logpipe.time_format import compile_free_parser

SOCKET: Final = "/var/run/fluent/fluent.sock"
FORMATS: Final = ("json", "msgpack", "none")


def main(program: str, arguments: list[str]) -> int:
    """Send all events; 1 where input is none, or the server cannot be reached."""
    given = parser(program).parse(arguments)
    address = (given.host, given.port) if not given.unix else given.socket
    sender = Sender(address, retry_limit=given.retry_limit, say=lambda text: print(text, file=sys.stderr))
    try:
        mistake = _send_all(sender, given)
        sender.finish()
    except GaveUp as problem:
        print(f"{program}: {problem}: at least one event was not sent", file=sys.stderr)
        return 1
    if mistake is not None:
        print(f"{program}: {mistake}", file=sys.stderr)
    return 0 if mistake is None else 1


def _send_all(sender: Sender, given: argparse.Namespace) -> Exception | None:
    """Send what standard input has, up to a mistake in it, which is returned.

    Raises:
        GaveUp: the server cannot be reached.
    """
    readers: dict[str, Callable[[BinaryIO], Iterator[Record]]] = {"json": _json, "msgpack": _msgpack}
    read = readers.get(given.format) or partial(_none, key=given.message_key)
    try:
        moment = None if given.event_time is None else compile_free_parser().one(given.event_time)
        for record in read(sys.stdin.buffer):
            now = time.time_ns() if moment is None else moment
            packed = (pack_seconds if given.time_as_integer else pack_time)(now)
            sender.send(forward_message(given.tag, [b"\x92" + packed + _packed(record)]))
    except GaveUp:
        raise
    except (LogpipeError, ValueError) as problem:
        return problem
    return None


def parser(program: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(prog=program, description=COMMANDS["cat"], add_help=False)
    add = made.add_argument
    add("tag", help="tag of the events")
    add("-p", "--port", type=int, default=24224, help="port (default: 24224)")
    add("-h", "--host", default="127.0.0.1", help="host (default: 127.0.0.1)")
    add("-u", "--unix", action="store_true", help="use a Unix socket")
    path = os.environ.get("FLUENT_SOCKET") or SOCKET
    add("-s", "--socket", default=path, metavar="PATH", help=f"its path (default: {path})")
    add("-f", "--format", choices=FORMATS, default="json", help="what standard input has (default: json)")
    for name in FORMATS:
        add(f"--{name}", action="store_const", const=name, dest="format", help=f"same as -f {name}")
    add("--message-key", default="message", metavar="KEY", help="field for a line of format none (default: message)")
    add("--time-as-integer", action="store_true", help="send whole seconds, as before Fluentd 0.14")
    add("--retry-limit", type=int, default=5, metavar="N", help="how often to try to connect again (default: 5)")
    add("--event-time", metavar="TIME", help="time of all events (default: now)")
    add("--help", action="help", help="show this message and exit")
    return made


def _packed(record: Record) -> bytes:
    try:
        packed: bytes = msgpack.packb(record, unicode_errors="surrogateescape")  # bytes as they came
    except (TypeError, OverflowError, RecursionError) as problem:
        raise ValueError(f"a record cannot be sent: {problem}") from None
    return packed


def _json(file: BinaryIO) -> Iterator[Record]:
    for number, line in enumerate(file, start=1):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as problem:
            raise ValueError(f"line {number} of the input is no JSON: {problem}: give -f none for text") from None
        yield _record(value, f"line {number} of the input")


def _none(file: BinaryIO, key: str) -> Iterator[Record]:
    for line in file:
        # compat: Ruby's chomp takes one of \r\n, \n and \r away
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        yield {key: text_or_bytes(text)}


def _msgpack(file: BinaryIO) -> Iterator[Record]:
    unpacker: Any = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape")
    number = 0
    while block := os.read(file.fileno(), 65536):
        unpacker.feed(block)
        try:
            for value in unpacker:
                number += 1
                # compat: what out_secondary_file has written, whose time fluent-cat does not send either
                is_event = type(value) is list and len(value) == 2 and type(value[0]) in {msgpack.ExtType, int}
                yield _record(value[1] if is_event else value, f"value {number} of the input")
        except (msgpack.UnpackException, ValueError) as problem:
            raise ParseError(f"the input is no MessagePack: {problem or type(problem).__name__}") from None


def _record(value: Any, place: str) -> Record:
    if type(value) is not dict:
        raise ValueError(f"{place} is no map: a record has names and values")
    return {str(name): each for name, each in value.items()}
