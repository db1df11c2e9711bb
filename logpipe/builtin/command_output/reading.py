"""What a command writes, to events: read no faster than outputs take them, so that the command waits."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable
from typing import Final

from logpipe import EventBatch, InputHost, ParseError, PluginConf, Record, Time, failure_of
from logpipe.builtin.message_inputs.delivery import Delivery
from logpipe.builtin.message_limit import MessageLimit, shortened
from logpipe.builtin.parsers.splitting import LineSplitter
from logpipe.codec import ExtractOptions, Splitter, by_tag, compile_extract_tag, compile_extract_time, readable
from logpipe.processes import Child

_NO_TIME: Final[Time] = -(1 << 80)
"""What stands for the time of an event that has none; no parser makes it."""
UNMATCHED: Final = "a command writes what is not in the format"


class Events:
    """Makes events of what commands write, and emits them until they are taken.

    Args:
        host: of the stage.
        parse: `<parse>`.
        extract: `<extract>`.
        tag: of events whose record does not say theirs.
        prefix: what stands before the tag of those whose record does.
        block: bytes that are read at a time.
        encoding: what is read, by Python's name; UTF-8 and whatever else parsers take as it is where it is empty.
        quiet_seconds: after a message about what cannot be read, how long there is no other.
    """

    def __init__(
        self,
        host: InputHost,
        *,
        parse: PluginConf,
        extract: ExtractOptions | None,
        tag: str | None,
        prefix: str = "",
        block: int,
        encoding: str = "",
        quiet_seconds: float = 0.0,
    ) -> None:
        self._host = host
        self._parser = host.parser(parse)
        self._estimates = bool(getattr(self._parser.options, "estimate_current_event", True))
        self._tag_of = compile_extract_tag(extract)
        self._time_of = compile_extract_time(extract, host)
        self._tag = tag
        self._prefix = prefix
        self._block = max(1, block)
        self._encoding = encoding
        self._quiet_seconds = quiet_seconds
        self._quiet_until = -math.inf
        self._limit = MessageLimit(host.log, host.clock)
        self._unmatched = host.counter("unmatched_lines", "Messages that are not in the parser's format.")
        self._delivery = Delivery(host)
        self._oversized = host.counter("oversized_messages", "Messages that were left out for their size.")

    async def read(self, child: Child) -> None:
        """Emit what a command writes, to its end.

        Raises:
            ParseError: there is more, and nothing says where in it the next event begins.
        """
        splitter: Splitter = (self._parser.splitter or LineSplitter)()
        decode = self._decoder()
        while data := await child.read(self._block):
            await self._take(splitter.feed(decode(data, False)), splitter)
        await self._take([*splitter.feed(decode(b"", True)), *splitter.finish()], splitter)

    def quiesce(self) -> None:
        """Try no more what outputs refuse."""
        self._delivery.quiesce()

    def stop(self) -> None:
        """Say what was not said."""
        self._limit.sum_up(everything=True)

    def _decoder(self) -> Callable[[bytes, bool], bytes]:
        """Return what makes UTF-8 of the pieces of a stream, and is told which is the last."""
        if not self._encoding:
            return lambda data, _is_last: data
        decode = codecs.getincrementaldecoder(self._encoding)("replace").decode
        return lambda data, is_last: decode(data, is_last).encode("utf-8", "replace")

    async def _take(self, messages: list[bytes], splitter: Splitter) -> None:
        if splitter.left_out:
            self._report_left_out(splitter)
        if messages:
            now = self._host.clock.now()
            await self._delivery.send(lambda is_first: self._batches(messages, now, is_first=is_first))

    def _report_left_out(self, splitter: Splitter) -> None:
        self._oversized.add(len(splitter.left_out))
        what = "a command writes a message that is too long, it is left out"
        for size in splitter.left_out[: self._allowed(what, len(splitter.left_out))]:
            self._host.log.warning("%s: size=%d", what, size)
        splitter.left_out.clear()

    def _allowed(self, what: str, count: int) -> int:
        """Return how many of so many messages may be logged now."""
        now = self._host.clock.monotonic()
        if now < self._quiet_until:
            return 0
        if self._quiet_seconds:
            self._quiet_until, count = now + self._quiet_seconds, 1
        self._limit.sum_up()
        return self._limit.allowed(self._host.plugin_id, what, count)

    def _batches(self, messages: list[bytes], now: Time, *, is_first: bool) -> list[EventBatch]:
        """Return the events of messages, by tag; what cannot be read is counted and said where `is_first`."""
        is_whole = self._time_of is None  # no field has the time of an event for which the parser has found none
        times, records, unmatched = self._parsed(messages, now if self._estimates or is_whole else _NO_TIME)
        if unmatched and is_first:
            self._report_unmatched([messages[number] for number in unmatched])
        if is_whole and self._tag_of is None and self._tag is not None:
            return [EventBatch(self._tag, times, records)] if records else []
        tags: list[str | None] = []
        for number, record in enumerate(records):
            try:
                # compat: in_exec.rb takes the tag first, and looks for a time only where the parser has found none
                tag = self._tag_in(record)
                if times[number] == _NO_TIME:
                    times[number] = self._time_in(record, now)
            except BaseException as raised:
                error = failure_of(raised)
                if error is None or isinstance(error, MemoryError):
                    raise
                if is_first:
                    self._refuse(record, now if times[number] == _NO_TIME else times[number], error)
                tag = None
            tags.append(tag)
        return by_tag(tags, times, records)

    def _parsed(self, messages: list[bytes], now: Time) -> tuple[list[Time], list[Record], list[int]]:
        """Return times, records, and the numbers of messages that are not in the format; one costs no other."""
        try:
            parsed = self._parser.parse_lines(messages, now)
        except MemoryError:
            raise  # no message is to blame
        except Exception:  # noqa: BLE001 - whichever breaks it is found
            if len(messages) == 1:
                return [], [], [0]
            each = [self._parsed([message], now) for message in messages]
            unmatched = [number for number, one in enumerate(each) if one[2]]
            return [time for one in each for time in one[0]], [record for one in each for record in one[1]], unmatched
        return parsed.times, parsed.records, parsed.unmatched

    def _tag_in(self, record: Record) -> str:
        found = None if self._tag_of is None else self._tag_of(record)
        if found is not None:
            return f"{self._prefix}{readable(found)}"
        if self._tag is None:
            raise ParseError("the record has no field for the tag")
        return self._tag

    def _time_in(self, record: Record, now: Time) -> Time:
        found = None if self._time_of is None else self._time_of(record)
        return now if found is None else found

    def _report_unmatched(self, messages: list[bytes]) -> None:
        self._unmatched.add(len(messages))
        for message in messages[: self._allowed(UNMATCHED, len(messages))]:
            self._host.log.warning("%s: %s", UNMATCHED, shortened(message))

    def _refuse(self, record: Record, time: Time, error: Exception) -> None:
        if self._allowed("an event of a command has no tag or no time", 1):
            self._host.log.error("exec failed to emit error_class=%s error=%r", type(error).__name__, str(error))
        self._host.emit_error(self._tag or "", time, record, error)
