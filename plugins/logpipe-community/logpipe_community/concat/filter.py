"""Joins events that are parts of one. Settings and rules: fluent-plugin-concat 2.6.2, filter_concat.rb."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Final, NamedTuple

from logpipe import AsyncFilter, EventBatch, FilterHost, LogpipeError, Record, Time
from logpipe.net import Seldom
from logpipe.ruby import TimeLimitExceeded
from logpipe.tree import Element, Way
from logpipe_community.concat.modes import ByMetadata, Look, Place, mode_of
from logpipe_community.concat.options import ConcatOptions
from logpipe_community.identity import identity_of
from logpipe_community.joining import Group, Groups, joined, joint, joint_with, text_of

_OWN_LOG: Final = re.compile(r"fluent\.(?:trace|debug|info|warn|error|fatal)")
_PERIOD: Final = 1.0
"""Seconds between two looks for events that have waited for too long."""


class _Event(NamedTuple):
    time: Time
    record: Record
    text: str
    look: Look | TimeLimitExceeded


class _Done:
    """What a batch has become."""

    def __init__(self) -> None:
        self.times: list[Time] = []
        self.records: list[Record] = []
        self.groups: list[Group] = []
        """Those that are complete, or given up."""
        self.dropped = 0

    def add(self, time: Time, record: Record) -> None:
        """Add an event that goes on."""
        self.times.append(time)
        self.records.append(record)


class Concat(AsyncFilter[ConcatOptions], type="concat"):
    """Joins the texts of several events of a stream into one event, whose other fields are those of the first.

    What waits goes on when it is complete, when nothing has come for `flush_interval`, and at the end.
    """

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return that of what has waited for too long."""
        label = element.get("timeout_label")
        return () if not label else (Way(label, may_drop=True),)

    def __init__(self, options: ConcatOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._mode = mode_of(options)
        self._groups: Groups[Group] = Groups()
        self._limit = None if options.partial_key is None else int(options.buffer_limit_size)
        self._warn = Seldom(host.log.warning, host.clock.monotonic, "batches")
        self._let_go: Callable[[EventBatch], Awaitable[None]] = host.forward
        if options.timeout_label is not None:
            self._let_go = host.emitter(options.timeout_label)

    async def start(self) -> None:
        """Begin to look for events that wait for too long."""
        if self.options.flush_interval > 0:
            self.host.start_task(self._flush(), name="flush")

    def held(self) -> int:
        """Return how many events wait."""
        return self._groups.held()

    async def drain(self) -> None:
        """Let go of every event, as it is."""
        await self._forward(self._groups.all(), None)

    async def process(self, batch: EventBatch) -> EventBatch:
        """Return what passes and what is complete now; what is too much to be held is accepted elsewhere before."""
        if _OWN_LOG.fullmatch(batch.tag):
            return batch
        done, now = _Done(), self.host.clock.monotonic()
        texts = [self._text(record) for record in batch.records]
        looks = iter(self._mode.look([text for text in texts if isinstance(text, str)]))
        for time, record, text in zip(batch.times, batch.records, texts, strict=True):
            if text is None:
                done.add(time, record)
                continue
            try:
                if isinstance(text, LogpipeError):
                    raise text
                self._place(batch.tag, _Event(time, record, text, next(looks)), done, now)
            except LogpipeError as error:
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)
        given_up = list(self._groups.processed(batch.receipt))
        if done.dropped:
            self.host.dropped(done.dropped)
        passed = EventBatch(batch.tag, done.times, done.records, joint_with(batch, done.groups))
        if given_up:
            self._warn("too much is held to be joined: %d events go on as they are", len(given_up))
            await self._forward(given_up, None)  # where nothing is accepted, whoever brings more waits
        return passed

    def _text(self, record: Record) -> str | LogpipeError | None:
        """Return a record's text, None where it has none, or why it is no text."""
        try:
            return text_of(record[self.options.key]) if self.options.key in record else None
        except LogpipeError as error:
            return error

    def _place(self, tag: str, event: _Event, done: _Done, now: float) -> None:
        """Add an event to its group, or pass it on.

        Raises:
            LogpipeError: it cannot be told where it belongs; nothing was changed.
        """
        time, record, text, look = event
        if isinstance(look, LogpipeError):
            raise look
        stream = self._stream(tag, record)
        group = self._groups.get(stream)
        place: Place = self._mode.place(record, look, 0 if group is None else len(group))
        length = 0 if self._limit is None else _length(record)
        if place.begins and group is not None:
            self._complete(stream, group, time, done)
            group = None
        if not place.joins:
            done.add(time, record)
            return
        is_left_out = False
        if self._limit is not None and group is not None and group.length + length > self._limit:
            group, is_left_out = self._overflow(stream, group, time, done)
        if not is_left_out:
            group = group or Group(tag)
            group.length += length
            self._groups.put(stream, group, now, group.add(time, record, text))
            if place.ends:
                self._complete(stream, group, time, done)

    def _stream(self, tag: str, record: Record) -> Hashable:
        accessor = self.options.stream_identity_key
        return tag, None if accessor is None else identity_of(accessor.get(record)), self._mode.stream(record)

    def _overflow(self, stream: Hashable, group: Group, time: Time, done: _Done) -> tuple[Group | None, bool]:
        """Return what a text that is too much is added to, and whether it is left out."""
        match self.options.buffer_overflow_method:
            case "ignore":
                return group, False
            case "new":
                self._complete(stream, group, time, done)
                return None, False
            case "truncate":
                self._complete(stream, group, time, done)
            case "drop":
                self._groups.take(stream)
                done.groups.append(group)
                done.dropped += len(group)
        done.dropped += 1
        return None, True

    def _complete(self, stream: Hashable, group: Group, time: Time, done: _Done) -> None:
        self._groups.take(stream)
        done.groups.append(group)
        done.dropped += len(group) - 1
        first, _ = group.events[0]
        # compat: filter_concat.rb gives it the time of the event that has told that it is complete
        done.add(first if self.options.use_first_timestamp else time, self._record(group))

    def _record(self, group: Group) -> Record:
        """Return the record that a group becomes: the first one's fields go before the last one's."""
        texts = group.texts
        if isinstance(self._mode, ByMetadata):
            ordinals = [self._mode.ordinal(record) for _, record in group.events]
            texts = [texts[place] for place in sorted(range(len(texts)), key=ordinals.__getitem__)]
        (_, first), (_, last) = group.events[0], group.events[-1]
        merged = first | {self.options.key: joined(texts, self.options.separator)}
        if last is not first:
            merged = last | merged
        self._mode.finish(merged, last)
        return merged

    async def _flush(self) -> None:
        interval = float(self.options.flush_interval)
        while True:
            await self.host.clock.sleep(min(_PERIOD, interval))
            silent = [*self._groups.silent_since(self.host.clock.monotonic() - interval)]
            if silent:
                # a task of its own, so that a tag whose output takes nothing does not hold up the others
                self.host.start_task(self._forward(silent, self.host.clock.now()), name="forward")

    async def _forward(self, groups: Iterable[Group], now: Time | None) -> None:
        """Let go of groups that are not complete, tag by tag."""
        by_tag: dict[str, list[Group]] = {}
        for group in groups:
            by_tag.setdefault(group.tag, []).append(group)
        await asyncio.gather(*(self._forward_all(tag, of_tag, now) for tag, of_tag in by_tag.items()))

    async def _forward_all(self, tag: str, groups: list[Group], now: Time | None) -> None:
        with self._groups.leaving(groups):
            is_first = now is None or self.options.use_first_timestamp
            times = [group.events[0][0] if is_first or now is None else now for group in groups]
            self.host.dropped(sum(len(group) - 1 for group in groups))
            await self._let_go(EventBatch(tag, times, [self._record(group) for group in groups], joint(groups)))


def _length(record: Record) -> int:
    """Return what the original counts of a record: the bytes of its names and texts.

    Raises:
        LogpipeError: a value is nested too deeply, or has too many members, to be text.
    """
    texts = [*record, *map(text_of, record.values())]
    return sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts)
