"""Makes batches of messages, emits them, and says when they are safe."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import accumulate
from typing import Any, Final, NamedTuple

from logpipe import EventBatch, InputHost, Receipt, Record, Time
from logpipe.builtin.forward_protocol import Events, Message
from logpipe.codec import Const, LineBatch, unpack_records

PIECE_BYTES: Final = 1 << 20
PIECE_EVENTS: Final = 16_384
"""The most of a message that is emitted, and may be decoded, at a time."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds until events that were not taken are emitted again."""
MERGED: Final = 16_384
"""Bytes of a message up to which it shares a batch with others of its tag."""


class Peer(NamedTuple):
    """Who sends."""

    address: str
    name: str


class _Group(NamedTuple):
    """Messages that go on together."""

    tag: str
    events: Events
    peer: Peer
    receipt: Receipt | None


class NotTakenError(ConnectionError):
    """Events that have to be acknowledged were not taken: the sender has to send them again."""


class Intake:
    """What all connections of an input share.

    Args:
        host: the input's.
        tag: the tag of all events, where it is not theirs.
        prefix: what is put before tags.
        address_key: the field for where an event came from.
        name_key: the field for the name of that host.
    """

    def __init__(
        self,
        host: InputHost,
        *,
        tag: str | None = None,
        prefix: str | None = None,
        address_key: str | None = None,
        name_key: str | None = None,
    ) -> None:
        self._host = host
        self._tag = tag
        self._prefix = f"{prefix}." if prefix else ""
        self._address_key = address_key
        self._name_key = name_key
        self._quiet = asyncio.Event()
        self.lost = host.counter("lost_records", "Events that no output accepted, and whose sender does not wait for.")
        self.refused = host.counter("invalid_records", "What was in the place of an event and is none.")

    def quiesce(self) -> None:
        """Try no more what is not taken."""
        self._quiet.set()

    async def take(self, messages: Sequence[Message], peer: Peer, safe: Callable[[list[Any]], None]) -> None:
        """Emit the events of messages.

        Args:
            messages: they came together, from one peer.
            peer: who has sent them.
            safe: is called with the chunks of messages whose events are safe.

        Raises:
            NotTakenError: some of them are not taken, and their senders wait; all others are.
        """
        not_taken = ""
        for group in _groups(messages):
            chunks = [message.option.chunk for message in group if message.option.chunk is not None]
            receipt = Receipt(partial(safe, chunks), is_awaited=True) if chunks else None
            events = group[0].events if len(group) == 1 else _merged([message.events for message in group])
            try:
                await self._emit(_Group(self._tag_of(group[0].tag), events, peer, receipt))
            except NotTakenError as problem:
                not_taken = str(problem)
                continue
            if receipt is not None:
                receipt.release()
        if not_taken:
            raise NotTakenError(not_taken)

    def _tag_of(self, tag: str) -> str:
        return self._prefix + (tag if self._tag is None else self._tag)

    async def _emit(self, group: _Group) -> None:
        if group.events.refused_count:
            self._refuse(group)
        for start, stop in _pieces(group.events):
            await self._emit_piece(partial(self._batch, group, start, stop), group.receipt)

    async def _emit_piece(self, make: Callable[[], EventBatch], receipt: Receipt | None) -> None:
        """Emit a batch; where its sender does not wait for it, until it is taken."""
        pause = FIRST_PAUSE
        while True:
            batch = make()
            try:
                await self._host.emit(batch)
            except Exception as error:
                if receipt is not None:
                    raise NotTakenError(f"events were not taken, and it has to send them again: {error!r}") from error
                if self._quiet.is_set():
                    self.lost.add(len(batch.times))
                    self._host.log.warning(
                        "%d events are lost, since no output takes them: %r", len(batch.times), error
                    )
                    return
                self._host.log.warning("events were not taken, trying again in %g seconds: %r", pause, error)
            else:
                return
            with suppress(TimeoutError):
                async with self._host.clock.timeout(pause):
                    await self._quiet.wait()
            pause = min(2 * pause, LONGEST_PAUSE)

    def _batch(self, group: _Group, start: int, stop: int) -> EventBatch:
        tag, events, peer, receipt = group
        times = events.times[start:stop]
        fields = {}
        if self._address_key is not None:
            fields[self._address_key] = peer.address
        if self._name_key is not None:
            fields[self._name_key] = peer.name
        if events.records is not None:
            records = [record | fields for record in events.records[start:stop]]
            return EventBatch(tag, times, records, receipt)
        edits = tuple(Const(name, value) for name, value in fields.items())
        spans = array("I", events.spans[2 * start : 2 * stop])
        return LineBatch(tag, times, events.block, spans, form="msgpack", edits=edits, receipt=receipt)

    def _refuse(self, group: _Group) -> None:
        """Hand what is no event to `@ERROR`."""
        tag, events, peer, receipt = group
        self.refused.add(events.refused_count)
        now = self._host.clock.now()
        for reason, shown in events.refused:
            error = ValueError(f"invalid event from {peer.name}: {reason}")
            self._host.emit_error(tag, now, {"message": shown}, error, receipt=receipt)
        more = events.refused_count - len(events.refused)
        if more:
            self._host.log.warning("%d more invalid events of one message from %s are dropped", more, peer.name)


def _groups(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield messages one behind the other whose events may be one batch: small, and of one tag."""
    group: list[Message] = []
    for message in messages:
        is_small = len(message.events.block) <= MERGED and len(message.events.times) <= 1
        if group and not (is_small and message.tag == group[0].tag):
            yield group
            group = []
        group.append(message)
        if not is_small:
            yield group
            group = []
    if group:
        yield group


def _merged(several: Sequence[Events]) -> Events:
    """Return the events of several messages as those of one."""
    refused = [each for events in several for each in events.refused]
    count = sum(events.refused_count for events in several)
    if any(events.records is not None for events in several):
        return _read(several)._replace(refused=refused, refused_count=count)
    times: list[Time] = []
    spans = array("I")
    blocks: list[bytes] = []
    place = 0
    for events in several:
        times += events.times
        spans.extend(place + each for each in events.spans)
        blocks.append(events.block)
        place += len(events.block)
    return Events(times, b"".join(blocks), spans, refused=refused, refused_count=count)


def _read(several: Sequence[Events]) -> Events:
    times: list[Time] = []
    records: list[Record] = []
    for events in several:
        times += events.times
        if events.records is not None:
            records += events.records
        else:
            spans = events.spans
            lines = [events.block[start:stop] for start, stop in zip(spans[::2], spans[1::2], strict=True)]
            records += unpack_records(lines)
    return Events(times, b"", (), records)


def _pieces(events: Events) -> Iterator[tuple[int, int]]:
    """Yield which events go together: from, and until before."""
    count = len(events.times)
    if len(events.block) <= PIECE_BYTES and count <= PIECE_EVENTS:
        if count:
            yield 0, count
        return
    start, limit = 0, PIECE_BYTES
    for number, size in enumerate(
        accumulate(b - a for a, b in zip(events.spans[::2], events.spans[1::2], strict=True))
    ):
        if number > start and (size > limit or number - start >= PIECE_EVENTS):
            yield start, number
            start, limit = number, size + PIECE_BYTES
    yield from ((at, min(at + PIECE_EVENTS, count)) for at in range(start, count, PIECE_EVENTS))
