"""One connection: its handshake, its messages, and their acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from logpipe import InputHost
from logpipe.builtin.forward_protocol import (
    HANDSHAKE_LIMITS,
    Frame,
    FrameLimits,
    FrameReader,
    Message,
    Oversized,
    ProtocolError,
    RefusedError,
    acknowledgement,
    read_message,
    read_messages,
)
from logpipe.builtin.in_forward.gate import Gate
from logpipe.builtin.in_forward.intake import Intake, NotTakenError, Peer
from logpipe.builtin.in_forward.room import Room
from logpipe.builtin.peers import PeerNames
from logpipe.net import Connection, Seldom

HANDSHAKE: Final = 10.0
"""Seconds for HELO, PING and PONG."""
HURRY: Final = 1.0
"""Seconds that messages which are under way have at a stop."""
NOTICE: Final = 0.1
"""Seconds without a byte that a sender has to notice that its connection ends."""
TICK: Final = 0.01
STALLED: Final = 60.0
"""Seconds without a byte in the middle of a message; between two of them a sender may be silent for ever."""
LINGER: Final = 30.0
"""Seconds that acknowledgements are still sent to a sender which has nothing more to say."""
MOST_OWED: Final = 1024
"""Messages of a connection that wait for their acknowledgement, beyond which no more are read."""
SMALL: Final = 256 * 1024
"""Bytes of a frame that is read in the loop; a larger one, or one that is compressed, in a thread."""
LARGE_AT_ONCE: Final = 2
EVENT_BYTES: Final = 64
"""Bytes that an event takes beside those that came."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all connections of an input.

    Attributes:
        limits: what one can make of us.
        warn_above: bytes of a message that are worth a warning.
        gate: who may send; None for everybody.
        names: looks up names, where they are wanted.
        is_single: whether a connection ends behind its first message.
        is_probed: whether the kernel is to find out that a peer is gone.
    """

    limits: FrameLimits
    warn_above: int | None = None
    gate: Gate | None = None
    names: PeerNames | None = None
    is_single: bool = False
    is_probed: bool = False


class Sessions:
    """Serves the connections of an input."""

    def __init__(self, host: InputHost, terms: Terms, intake: Intake, room: Room) -> None:
        self.host = host
        self.terms = terms
        self.intake = intake
        self.room = room
        self.large = asyncio.Semaphore(LARGE_AT_ONCE)
        self.is_quiet = False
        self._open: set[_Session] = set()
        warning, monotonic = host.log.warning, host.clock.monotonic
        self._say_denied = Seldom(warning, monotonic, "connections")
        self._say_broken = Seldom(warning, monotonic, "connections")
        self._say_not_taken = Seldom(warning, monotonic, "connections")
        self.say_too_large = Seldom(warning, monotonic, "messages")
        self.say_large = Seldom(warning, monotonic, "messages")
        self.broken = host.counter("broken_connections", "Connections that were closed for what came over them.")
        self.denied = host.counter("denied_connections", "Connections whose handshake failed.")
        self.oversized = host.counter("oversized_messages", "Messages that were dropped for their size.")

    async def quiesce(self, *, leaves: bool) -> None:
        """Read no more: what is under way of a message, and what the kernel has, is waited for, a second at most.

        A sender that does not wait for acknowledgements takes for sent what it has written. It is told first that the
        connection ends, so that it writes nothing more, and what it has written meanwhile is read.

        Args:
            leaves: whether the next graph goes on with the connections; nothing has to be waited for then.
        """
        self.is_quiet = True
        if leaves:
            self.intake.quiesce()
            return
        loop = asyncio.get_running_loop()
        latest = loop.time() + HURRY
        told: dict[_Session, float] = {}
        left = set(self._open)
        while left:
            now = loop.time()
            for session in list(left):
                if now < latest and not session.is_settled:
                    if session in told:
                        told[session] = now + NOTICE
                elif now < latest and session not in told and session.ends_answers():
                    told[session] = now + NOTICE
                elif now >= min(latest, told.get(session, now)):
                    session.connection.quiesce()
                    left.discard(session)
            left &= self._open
            if left:
                await asyncio.sleep(TICK)
        self.intake.quiesce()

    async def serve(self, connection: Connection) -> None:
        """Serve one connection to its end."""
        terms = self.terms
        if terms.is_probed and connection.peer:
            connection.probe()
        address = connection.peer
        name = await terms.names.of(address) if terms.names is not None and address else address
        peer = Peer(address, name or "a local process")
        session = _Session(self, connection, peer)
        self._open.add(session)
        try:
            await session.run()
        except RefusedError as problem:
            self.denied.add(1)
            self._say_denied("%s is not let in: %s", peer.name, problem)
        except ProtocolError as problem:
            self.broken.add(1)
            self._say_broken("unreadable data from %s, its connection is closed: %s", peer.name, problem)
        except NotTakenError as problem:
            self._say_not_taken("%s: %s", peer.name, problem)
        finally:
            self._open.discard(session)


class _Session:
    """A connection while it is served."""

    def __init__(self, sessions: Sessions, connection: Connection, peer: Peer) -> None:
        self._sessions = sessions
        self._terms = sessions.terms
        self._host = sessions.host
        self.connection = connection
        self._peer = peer
        self._share = sessions.room.share()
        self._is_busy = False
        """Whether a message is under way, from its first byte until its events are taken."""
        self._owed = 0
        """Messages that wait for their acknowledgement."""
        self._answered = asyncio.Event()
        """Set where one is not owed any more."""
        self._is_json = False
        self._has_taken = False
        """Whether there was a message."""
        self._not_taken = ""
        """Why events have to be sent again."""
        self._warn_above = sessions.terms.warn_above

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to wait for before it is closed, beside acknowledgements."""
        return not self._is_busy and not self.connection.has_unread

    def ends_answers(self) -> bool:
        """Tell the sender that the connection ends, if it waits for nothing; returns whether it was told."""
        return not self._owed and self.connection.end_answers()

    async def run(self) -> None:
        """Serve it.

        Raises:
            ProtocolError: it was closed for what came over it.
            NotTakenError: events have to be sent again.
            ConnectionError: it has broken.
        """
        try:
            rest = await self._shake(self._terms.gate) if self._terms.gate is not None else b""
            await self._read_all(rest)
            await self._answer_all()
        finally:
            self._share.leave()

    async def _shake(self, gate: Gate) -> bytes:
        """Let the client in; returns what has come behind its PING.

        Raises:
            ProtocolError: it is not let in.
            ConnectionError: it has gone.
        """
        connection = self.connection
        reader = FrameReader(HANDSHAKE_LIMITS, json=False)
        try:
            async with self._host.clock.timeout(HANDSHAKE):
                handshake = gate.handshake()
                await connection.write(handshake.helo())
                frame = None
                while frame is None:
                    data = await connection.read()
                    if not data:
                        raise ConnectionError("it has gone before the handshake")
                    frame = next(reader.feed(data), None)
                if not isinstance(frame, Frame):
                    raise ProtocolError("invalid ping message")
                client = gate.client(self._peer.address)
                try:
                    if client is None:
                        raise RefusedError(f"anonymous source host '{self._peer.address}' denied")  # noqa: TRY301
                    pong = handshake.answer(frame.data, client)
                except RefusedError as problem:
                    await connection.write(handshake.refusal(str(problem)))
                    raise
                await connection.write(pong)
        except TimeoutError:
            raise ProtocolError(f"no handshake within {HANDSHAKE:g} seconds") from None
        return reader.rest()

    async def _read_all(self, data: bytes) -> None:
        """Take what comes until the end, or until the first message where there is to be one."""
        kept = self.connection.rest
        self.connection.rest = reader = kept if isinstance(kept, FrameReader) else FrameReader(self._terms.limits)
        while True:
            self._is_busy = True
            if data and await self._take(reader, data) and self._terms.is_single:
                return
            self._is_busy = reader.held > 0
            while self._owed >= MOST_OWED:
                await self._wait_for_answer()
            await self._share.cover(reader.announced)
            data = await self._read(is_within=reader.held > 0)
            if not data:
                if reader.held and not self._sessions.is_quiet:
                    raise ProtocolError(f"the connection ended within a message, after {reader.held} bytes of it")
                return

    async def _read(self, *, is_within: bool) -> bytes:
        try:
            async with self._host.clock.timeout(STALLED if is_within else None):
                return await self.connection.read()
        except TimeoutError:
            raise ProtocolError(f"a message went on with nothing for {STALLED:g} seconds") from None

    async def _take(self, reader: FrameReader, data: bytes) -> bool:
        """Take the messages that some bytes complete; returns whether there were any.

        Raises:
            ProtocolError: what comes behind them cannot be read.
            NotTakenError: events have to be sent again.
        """
        messages: list[Message] = []
        try:
            await self._read_frames(reader.feed(data), messages)
        finally:  # also what comes before data that cannot be read
            await self._emit(messages)
        if self._not_taken:
            raise NotTakenError(self._not_taken)
        self._share.leave()
        return self._has_taken

    async def _emit(self, messages: list[Message]) -> None:
        """Emit the events of messages, and take these off the list."""
        if not messages:
            return
        read, messages[:] = messages[:], []
        self._has_taken = True
        self._owed += sum(message.option.chunk is not None for message in read)
        try:
            await self._sessions.intake.take(read, self._peer, self._acknowledge)
        except NotTakenError as problem:  # what comes behind may be of who does not wait for it
            self._not_taken = str(problem)

    async def _read_frames(self, frames: Iterator[Frame | Oversized], messages: list[Message]) -> None:
        """Read frames, and add what they hold to the messages; before a ProtocolError, what came before its cause."""
        small: list[Frame] = []
        try:
            for frame in frames:
                if isinstance(frame, Oversized):
                    self._say_too_large(frame)
                    continue
                self._is_json = frame.form == "json"
                if len(frame.data) <= SMALL and not frame.may_be_compressed:
                    small.append(frame)
                    continue
                self._read_small(small, messages)
                await self._read_large(frame, messages)
                await self._emit(messages)  # so that one such message is held at a time
        finally:
            self._read_small(small, messages)

    def _read_small(self, frames: list[Frame], messages: list[Message]) -> None:
        """Read frames, and take them off the list."""
        if not frames:
            return
        read, frames[:] = frames[:], []
        if self._warn_above is not None:
            for frame in read:
                if len(frame.data) > self._warn_above:
                    self._say_large(frame)
        messages.extend(read_messages(read, self._host.clock.now(), self._terms.limits))

    async def _read_large(self, frame: Frame, messages: list[Message]) -> None:
        """Read a frame in a thread, since it takes a while."""
        if self._warn_above is not None and len(frame.data) > self._warn_above:
            self._say_large(frame)
        async with self._sessions.large:
            found = await self._host.in_thread(read_message, frame, self._host.clock.now(), self._terms.limits)
            if found is not None:
                await self._share.cover(len(found.events.block) + EVENT_BYTES * len(found.events.times))
                messages.append(found)

    def _say_too_large(self, frame: Oversized) -> None:
        self._sessions.oversized.add(1)
        message = "Input chunk size is larger than 'chunk_size_limit', dropped: tag=%r host=%s limit=%d size=%d"
        self._sessions.say_too_large(message, frame.tag, self._peer.name, self._terms.limits.frame, frame.size)

    def _say_large(self, frame: Frame) -> None:
        message = "Input chunk size is larger than 'chunk_size_warn_limit': tag=%r host=%s limit=%d size=%d"
        self._sessions.say_large(message, frame.tag, self._peer.name, self._warn_above, len(frame.data))

    def _acknowledge(self, chunks: Sequence[Any]) -> None:
        for chunk in chunks:
            self.connection.send(acknowledgement(chunk, "json" if self._is_json else "msgpack"))
        self._owed -= len(chunks)
        self._answered.set()

    async def _wait_for_answer(self) -> None:
        self._answered.clear()
        await self._answered.wait()

    async def _answer_all(self) -> None:
        """Wait for what is owed, so that its acknowledgements are sent."""
        try:
            async with self._host.clock.timeout(None if self._sessions.is_quiet else LINGER):
                while self._owed:
                    await self._wait_for_answer()
                await self.connection.write(b"")
        except TimeoutError:
            raise ConnectionError("it has gone before its events were safe") from None
