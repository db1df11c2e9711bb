"""Programs that send lines and keep each until they are told that it is safe; else they send it again."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from typing import Final, Protocol

import msgpack
import orjson

from tests.simulation.network import Network
from tests.simulation.timeline import Timeline

PORT: Final = 24225
TURN: Final = 0.25
"""Seconds between two looks at a connection."""
PATIENCE: Final = 5.0
"""Seconds after which what was not answered is sent again, over a new connection."""


class Speech(Protocol):
    """How a sender speaks."""

    def message(self, texts: list[str], number: int) -> bytes:
        """Return what is sent."""
        ...

    def is_safe(self, said: bytes, number: int) -> bool | None:
        """Return whether an answer says that it is safe; None while it is not all there."""
        ...


class Forward:
    """The forward protocol, with acknowledgements."""

    def message(self, texts: list[str], number: int) -> bytes:
        """Return events in an array."""
        events = [[1_900_000_000, {"message": text}] for text in texts]
        data: bytes = msgpack.packb(["t", events, {"chunk": str(number)}])
        return data

    def is_safe(self, said: bytes, number: int) -> bool | None:
        """Look for the acknowledgement."""
        return (bytes(said) == msgpack.packb({"ack": str(number)})) if said else None


class Http:
    """HTTP, with 200 for what is safe."""

    def message(self, texts: list[str], number: int) -> bytes:
        """Return a request."""
        del number
        body = orjson.dumps([{"message": text} for text in texts])
        head = ["POST /t HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body

    def is_safe(self, said: bytes, number: int) -> bool | None:
        """Look at the status."""
        del number
        return said.startswith(b"HTTP/1.1 200 ") if b"\r\n\r\n" in said else None


class Sender:
    """One of them.

    Moods: `ok`; `deaf` (until the mood changes it takes no answer); `gone` (it closes the connection behind the next
    message, and has no answer to that); `torn` (of the next message the connection takes half).
    """

    def __init__(self, speech: Speech, network: Network, timeline: Timeline) -> None:
        self.mood = "ok"
        self.waiting: list[str] = []
        """What is to be sent."""
        self.sent: list[str] = []
        """What was sent and is not answered."""
        self.times: Counter[str] = Counter()
        """How often each line was sent as a whole."""
        self._speech = speech
        self._network = network
        self._timeline = timeline
        self._socket: socket.socket | None = None
        self._said = b""
        self._number = 0
        self._sent_at = 0.0

    @property
    def is_done(self) -> bool:
        """Whether all that it had is safe, as it was told."""
        return not self.waiting and not self.sent

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have turns on the loop of the program."""
        self._turn()
        loop.call_later(TURN, self.attach, loop)

    def cut(self) -> None:
        """Note that the program is gone; what it has said before that has come."""
        self._listen()
        self._give_up()

    def _turn(self) -> None:
        if self._socket is None and self.waiting:
            self._socket = self._network.dial(PORT)
        self._listen()
        if self.sent and self._timeline.elapsed - self._sent_at > PATIENCE:
            self._give_up()
        if self._socket is not None and not self.sent and self.waiting:
            self._send()

    def _listen(self) -> None:
        if self._socket is None or self.mood == "deaf":
            return
        has_ended = False
        try:
            while data := self._socket.recv(65536):
                self._said += data
            has_ended = True
        except BlockingIOError:
            pass
        except ConnectionError:
            has_ended = True
        verdict = self._speech.is_safe(self._said, self._number) if self.sent else None
        if verdict:
            self.sent, self._said = [], b""
        if has_ended or verdict is False:
            self._give_up()

    def _send(self) -> None:
        assert self._socket is not None
        self.sent, self.waiting = self.waiting, []
        self._number += 1
        self._said, self._sent_at = b"", self._timeline.elapsed
        message = self._speech.message(self.sent, self._number)
        mood = self.mood
        if mood in {"gone", "torn"}:
            self.mood = "ok"
        if mood == "torn":
            message = message[: len(message) // 2]
        else:
            self.times.update(self.sent)
        with suppress(OSError):  # the rest is given up in time
            self._socket.sendall(message)
        if mood in {"gone", "torn"}:
            self._give_up()

    def _give_up(self) -> None:
        """Close the connection; what was not answered is sent again."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._said = None, b""
        self.sent, self.waiting = [], [*self.sent, *self.waiting]


SPEECHES: Final[dict[str, type[Forward | Http]]] = {"forward": Forward, "http": Http}
