"""Lines of one file to a batch of events: parsed, the unmatched ones reported, the path added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, Final, NamedTuple

from logpipe import EventBatch, Host, Parsed, ParseError, Parser, Receipt, Record, Time
from logpipe.builtin.in_tail.complaints import Complaints
from logpipe.builtin.in_tail.lines import inspect
from logpipe.builtin.in_tail.trail import Trail
from logpipe.codec import escaped, text_or_bytes

_NOT_MATCHED: Final = "pattern not matched"

_NO_TIME: Final[Time] = -(1 << 80)
"""What stands for the time of a line that has none; no parser makes it."""


class Made(NamedTuple):
    """What became of some lines."""

    batch: EventBatch
    """It may be empty."""
    unmatched: int
    """Lines that are not in the format."""
    surplus: int
    """Events beyond one for each line that is in the format; negative where lines hold none, as JSON's `[]`."""


class EventMaker:
    """Makes the batches of a `<source>`."""

    def __init__(
        self,
        parser: Parser[Any],
        host: Host,
        complaints: Complaints,
        *,
        path_key: str | None,
        emit_unmatched_lines: bool,
    ) -> None:
        self._parse = parser.parse
        self._parse_lines = parser.parse_lines
        self._estimates = bool(getattr(parser.options, "estimate_current_event", True))
        needs_records = path_key is not None or emit_unmatched_lines or not self._estimates
        self._take_lines = None if needs_records else parser.lines
        self._host = host
        self._complaints = complaints
        self._add_path = _path_adder(path_key)
        self._emit_unmatched = emit_unmatched_lines

    def make(self, trail: Trail, lines: list[bytes], receipt: Receipt) -> Made:
        """Return the events of some lines of a file."""
        now = self._host.clock.now()
        stand_in = now if self._estimates else _NO_TIME
        try:
            parsed = self._parse_lines(lines, stand_in)
        except MemoryError:
            raise  # no line is to blame, and all of them are read again
        except Exception as error:  # noqa: BLE001 - a parser that breaks on one line must not cost the others
            parsed = self._one_by_one(trail, lines, stand_in, error)
        if not self._estimates and _NO_TIME in parsed.times:
            parsed = self._with_time(lines, parsed)
        unmatched = len(parsed.unmatched)
        surplus = len(parsed.records) + unmatched - len(lines)
        if unmatched:
            parsed = self._report(trail, lines, parsed, now)
        if self._add_path is not None:
            self._add_path(parsed.records, trail.name)
        return Made(EventBatch(trail.tag, parsed.times, parsed.records, receipt), unmatched, surplus)

    @property
    def takes_whole(self) -> bool:
        """Whether the parser may take lines without decoding them, and no setting needs their records."""
        return self._take_lines is not None

    def whole(self, trail: Trail, data: bytes, start: int, stop: int, count: int) -> Callable[[Receipt], Made] | None:
        """Return what makes a batch of `count` whole lines as they are; None where they have to be decoded."""
        now = self._host.clock.now()
        try:
            found = None if self._take_lines is None else self._take_lines(data, start, stop, now)
        except Exception:  # noqa: BLE001 - whichever line is to blame, `make` finds it
            return None
        if found is None:
            return None
        batch, unmatched = found

        def made(receipt: Receipt) -> Made:
            batch.tag, batch.receipt = trail.tag, receipt
            if unmatched:
                self._report(trail, data[start:stop].split(b"\n"), Parsed([], [], unmatched), now)
            return Made(batch, len(unmatched), len(batch) + len(unmatched) - count)

        return made

    def _one_by_one(self, trail: Trail, lines: list[bytes], now: Time, error: Exception) -> Parsed:
        """Parse each line apart; those that break the parser count as unmatched."""
        whole = Parsed([], [], [])
        for number, line in enumerate(lines):
            try:
                times, records, unmatched = self._parse_lines([line], now)
            except MemoryError:
                raise
            except Exception as caught:  # noqa: BLE001 - as above
                error, times, records, unmatched = caught, [], [], [0]
            whole.times.extend(times)
            whole.records.extend(records)
            whole.unmatched.extend(number for _ in unmatched)
        if self._complaints.room(trail.name, "invalid line found", 1):
            self._host.log.warning("invalid line found file=%s error=%r", trail.name, str(error))
        return whole

    def _report(self, trail: Trail, lines: list[bytes], parsed: Parsed, now: Time) -> Parsed:
        """Warn about the unmatched lines, and make events of them where the user wants that."""
        numbers = parsed.unmatched
        for number in numbers[: self._complaints.room(trail.name, _NOT_MATCHED, len(numbers))]:
            line = lines[number]
            if problem := self._problem(line):
                self._host.log.warning("invalid line found: %s: %s", inspect(line), inspect(problem))
            else:
                self._host.log.warning("%s: %s", _NOT_MATCHED, inspect(line))
        return _with_unmatched(lines, parsed, now) if self._emit_unmatched else parsed

    def _problem(self, line: bytes) -> bytes:
        """Return what is wrong with the time of a line that is in the format otherwise; else nothing."""
        try:
            self._parse(escaped(line))
        except ParseError as error:
            return str(error).encode("utf-8", "surrogateescape")
        except Exception:  # noqa: BLE001 - it was told already
            return b""
        return b""

    def _with_time(self, lines: list[bytes], parsed: Parsed) -> Parsed:
        """Return the events that have a time; the lines of the others are unmatched.

        compat: in_tail.rb takes a line without a time, where `estimate_current_event` is false, for one that its
        format does not match.
        """
        if len(parsed.records) + len(parsed.unmatched) == len(lines):
            known = set(parsed.unmatched)
            numbers = [number for number in range(len(lines)) if number not in known]
        else:  # lines of several events
            parts = [self._parse_lines([line], _NO_TIME) for line in lines]
            numbers = [number for number, part in enumerate(parts) for _ in part.records]
        has_time = [time != _NO_TIME for time in parsed.times]
        without = {number for number, has in zip(numbers, has_time, strict=True) if not has}
        times, records = compress(parsed.times, has_time), compress(parsed.records, has_time)
        return Parsed(list(times), list(records), sorted(without.union(parsed.unmatched)))


def _with_unmatched(lines: list[bytes], parsed: Parsed, now: Time) -> Parsed:
    """Return the events with one more for each unmatched line, in the order of the lines.

    Where lines gave several events each, nobody knows which came from which: then the unmatched ones come last.
    """
    raw = [{"unmatched_line": text_or_bytes(lines[number])} for number in parsed.unmatched]
    if len(parsed.records) + len(raw) != len(lines):
        return Parsed([*parsed.times, *[now] * len(raw)], [*parsed.records, *raw], parsed.unmatched)
    times: list[Time] = []
    records: list[Record] = []
    begin = 0
    for place, (number, record) in enumerate(zip(parsed.unmatched, raw, strict=True)):
        end = number - place
        times += parsed.times[begin:end]
        records += parsed.records[begin:end]
        times.append(now)
        records.append(record)
        begin = end
    return Parsed([*times, *parsed.times[begin:]], [*records, *parsed.records[begin:]], parsed.unmatched)


def _path_adder(key: str | None) -> Callable[[Sequence[Record], str], None] | None:
    """Return the loop that writes a file's path into its records."""
    if key is None:
        return None

    def add(records: Sequence[Record], path: str) -> None:
        for record in records:
            # compat: in_tail.rb writes `record[path_key] ||= path`: null and false give way, "" does not
            if (present := record.get(key)) is None or present is False:
                record[key] = path

    return add
