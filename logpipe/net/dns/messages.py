"""DNS messages, RFC 1035 and 2782: a question as bytes, and what an answer says. Nothing here does any I/O."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["A", "AAAA", "SRV"]

CODES: Final[dict[Kind, int]] = {"A": 1, "AAAA": 28, "SRV": 33}
INTERNET: Final = 1
NO_SUCH_NAME: Final = 3
MOST_NAME: Final = 255
MOST_LABEL: Final = 63
MOST_RECORDS: Final = 4096
"""Of one answer; 65,535 bytes hold no more."""
_HEAD: Final = struct.Struct(">HHHHHH")
_RECORD: Final = struct.Struct(">HHIH")
_SRV: Final = struct.Struct(">HHH")
_RECURSE: Final = 0x0100
_IS_ANSWER: Final = 0x8000
_CUT: Final = 0x0200
_POINTER: Final = 0xC0
_NAMES: Final = {1: "the question is refused as malformed", 2: "the server failed", 5: "the server refuses to answer"}


class MessageError(ValueError):
    """What came is no answer to the question."""


class Srv(NamedTuple):
    """Where a service is: one SRV record."""

    priority: int
    weight: int
    port: int
    target: str
    """A name, without its last dot."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has answered."""

    code: int
    """0, or what went wrong; 3: there is no such name."""
    is_cut: bool
    """Whether it was too long for a datagram, and is to be had over TCP."""
    addresses: list[str] = field(default_factory=list)
    services: list[Srv] = field(default_factory=list)

    @property
    def problem(self) -> str:
        """What went wrong, in words; "" where nothing did, or there is no such name."""
        return (
            "" if self.code in {0, NO_SUCH_NAME} else _NAMES.get(self.code, f"the server answers with code {self.code}")
        )


def question(number: int, name: str, kind: Kind) -> bytes:
    """Return a question.

    Args:
        number: what the answer will have too, 0 to 65535.
        name: of what is asked for; text that is not ASCII is written as IDNA.
        kind: of records.

    Raises:
        MessageError: the name is none.
    """
    return _HEAD.pack(number, _RECURSE, 1, 0, 0, 0) + _name(name) + struct.pack(">HH", CODES[kind], INTERNET)


def answer(data: bytes, asked: bytes) -> Answer:
    """Return what an answer says.

    Args:
        data: the message.
        asked: the question that it has to be the answer to, as `question` made it.

    Raises:
        MessageError: it is not.
    """
    try:
        return _answer(data, asked)
    except (struct.error, IndexError, UnicodeError) as problem:
        raise MessageError("it ends in the middle") from problem


def _answer(data: bytes, asked: bytes) -> Answer:
    number, flags, questions, answers, _, _ = _HEAD.unpack_from(data)
    end = len(asked)
    is_ours = asked[:2] == data[:2] and data[_HEAD.size : end].lower() == asked[_HEAD.size :].lower()
    if not flags & _IS_ANSWER or questions != 1 or not is_ours:
        raise MessageError(f"message {number} is the answer to something else")
    found = Answer(flags & 0xF, bool(flags & _CUT))
    place = end
    for _ in range(min(answers, MOST_RECORDS)):
        _, place = _read_name(data, place)
        code, _, _, size = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        if place + size > len(data):
            raise MessageError("a record ends behind the message")
        # others may stand there: the aliases that led to the name
        if code == int.from_bytes(asked[-4:-2], "big"):
            _read_record(data, place, size, code, found)
        place += size
    return found


def _read_record(data: bytes, place: int, size: int, code: int, found: Answer) -> None:
    if code == CODES["SRV"]:
        priority, weight, port = _SRV.unpack_from(data, place)
        target, _ = _read_name(data, place + _SRV.size)
        found.services.append(Srv(priority, weight, port, target))
    elif size in {4, 16}:
        found.addresses.append(str(ipaddress.ip_address(data[place : place + size])))


def _name(name: str) -> bytes:
    """Return a name as it stands in messages."""
    parts = []
    for label in name.rstrip(".").split("."):
        try:
            part = label.encode("ascii") if label.isascii() else label.encode("idna")
        except UnicodeError:
            part = b""
        if not 0 < len(part) <= MOST_LABEL:
            raise MessageError(f"{name!r} is no name: {label!r} has {len(part)} bytes, 1 to {MOST_LABEL} are allowed")
        parts.append(bytes((len(part),)) + part)
    packed = b"".join(parts) + b"\0"
    if len(packed) > MOST_NAME:
        raise MessageError(f"{name!r} is no name: {MOST_NAME} bytes are the most")
    return packed


def _read_name(data: bytes, place: int) -> tuple[str, int]:
    """Return a name, and where it ends; one that points backwards only ends, whoever wrote it."""
    labels: list[str] = []
    end = 0
    least = place
    total = 0
    while True:
        size = data[place]
        if size >= _POINTER:
            target = int.from_bytes(data[place : place + 2], "big") & 0x3FFF
            end = end or place + 2
            if target >= least:
                raise MessageError("a name points to itself")
            place = least = target
            continue
        place += 1
        if not size:
            return ".".join(labels), end or place
        total += size + 1
        if size > MOST_LABEL or total > MOST_NAME or place + size > len(data):
            raise MessageError("a name is too long")
        labels.append(data[place : place + size].decode("ascii", "backslashreplace"))
        place += size
