"""Parses a field of each record. Settings and rules: fluentd's plugin/filter_parser.rb."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from logpipe import (
    EventBatch,
    Filter,
    FilterHost,
    Options,
    Parsed,
    ParseError,
    PluginConf,
    Record,
    Time,
    param,
    plugin_section,
)
from logpipe.ruby import RecordAccessor

_UNTIMED: Final = -(1 << 80)
"""Stands for the time of an event that has none of its own; nothing else is so long ago."""
_REPLACEMENT: Final = "\ufffd"
_SHOWN: Final = 200
"""Characters of what is not matched that an error shows; the record has all of them."""

_TEXT: Final = frozenset({str})


class Outcome(NamedTuple):
    """What was found in one record's field."""

    events: list[tuple[Time | None, Record]]
    error: Exception | None = None
    is_unmatched: bool = False
    """Whether the error is that the field is missing or in no format: such a record is kept with `reserve_data`."""


class ParserOptions(Options):
    """Settings of `<filter> @type parser`."""

    key_name: RecordAccessor = param("The field to parse: a name, or a path such as `$.a.b`.")
    reserve_data: bool = param(
        "Keep the record's other fields, and records that cannot be parsed; a parsed field replaces one of its name.",
        default=False,
    )
    reserve_time: bool = param("Keep the event's time, whatever the parser finds.", default=False)
    remove_key_name_field: bool = param(
        "With `reserve_data`, take the field out that was parsed, where that succeeded.", default=False
    )
    inject_key_prefix: str | None = param("What to put before the names of parsed fields.", default=None)
    replace_invalid_sequence: bool = param(
        "Put `?` for what is not UTF-8 before the field is parsed; else such bytes are kept as they are.", default=False
    )
    hash_value_field: str | None = param("Field that gets all parsed fields, as an object.", default=None)
    emit_invalid_record_to_error: bool = param(
        "Hand records that cannot be parsed to `@ERROR`; false drops them silently, or keeps them with `reserve_data`.",
        default=True,
    )
    suppress_parse_error_log: bool = param(
        "Accepted for compatibility with 0.12.",
        default=False,
        no_effect="what cannot be parsed goes to @ERROR: write emit_invalid_record_to_error false to drop it silently",
    )
    parse: PluginConf = plugin_section("How to read the field.", kind="parser", required=True)


class ParserFilter(Filter[ParserOptions], type="parser"):
    """Makes of each record what a parser finds in one of its fields.

    A field that is missing, or not in the format, makes an error event; with `reserve_data` the record goes on all the
    same. Where a parser finds several events in a field, each of them becomes one.
    """

    compat = frozenset({"parser"})

    def __init__(self, options: ParserOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._parser = host.parser(options.parse)
        # compat: parser.rb gives the current time to an event without one, unless it is told to leave that to its user
        self._estimates = bool(getattr(options.parse.options, "estimate_current_event", False))
        self._shape = _shape(options)
        self._key = options.key_name
        self._get = options.key_name.get

    def process(self, batch: EventBatch) -> EventBatch:
        """Return what the fields hold, and with `reserve_data` the records that could not be parsed."""
        values = list(map(self._get, batch.records))
        if _TEXT.issuperset(map(type, values)):
            try:
                lines = [value.encode() for value in values]
            except UnicodeEncodeError:
                lines = list(map(self._line, values))
            parsed = self._parse(lines)
            if (
                parsed is not None
                and not parsed.unmatched
                and _is_each(parsed.lines_of_records(len(lines)), len(lines))
            ):
                return self._all(batch, parsed)
            return self._rest(batch, self._of_lines(lines, parsed))
        lines = [self._line(value) for value in values if isinstance(value, (str, bytes))]
        of_lines = iter(self._of_lines(lines, self._parse(lines)))
        outcomes = [
            next(of_lines) if isinstance(value, (str, bytes)) else self._of_other(record, value)
            for record, value in zip(batch.records, values, strict=True)
        ]
        return self._rest(batch, outcomes)

    def _all(self, batch: EventBatch, parsed: Parsed) -> EventBatch:
        """Return a batch of which each record was parsed."""
        if not self.options.reserve_time:
            times = parsed.times
            if not self._estimates:
                times = [old if new == _UNTIMED else new for old, new in zip(batch.times, times, strict=True)]
            batch.times = times
        fields = parsed.records if self._shape is None else list(map(self._shape, parsed.records))
        if self.options.reserve_data:
            for record, values in zip(batch.records, fields, strict=True):
                if self.options.remove_key_name_field:
                    self._key.delete(record)
                record.update(values)
        else:
            batch.records = fields
        return batch

    def _line(self, value: str | bytes) -> bytes:
        """Return a text as bytes."""
        try:
            return value.encode()  # type: ignore[union-attr]  # bytes are seldom
        except AttributeError:
            data = bytes(value)  # type: ignore[arg-type]  # it is bytes
        except UnicodeEncodeError:
            data = value.encode("utf-8", "surrogatepass")  # type: ignore[union-attr]  # it is text
        return _scrubbed(data) if self.options.replace_invalid_sequence else data

    def _parse(self, lines: list[bytes]) -> Parsed | None:
        """Return what the parser makes of texts; None where it fails, for whichever of them."""
        now = self.host.clock.now() if self._estimates else _UNTIMED
        try:
            return self._parser.parse_lines(lines, now)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - each is then parsed by itself
            return None

    def _of_lines(self, lines: list[bytes], parsed: Parsed | None) -> list[Outcome]:
        """Return what was found in each text, of all that were parsed together; None where that failed."""
        numbers = None if parsed is None else parsed.lines_of_records(len(lines))
        if parsed is None or numbers is None:
            return list(map(self._of_line, lines))
        return _outcomes(lines, parsed, numbers)

    def _of_line(self, line: bytes) -> Outcome:
        """Return what was found in one text, whatever the parser does."""
        now = self.host.clock.now() if self._estimates else _UNTIMED
        try:
            parsed = self._parser.parse_lines([line], now)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - it is this record's
            return Outcome([], error)
        return _outcomes([line], parsed, [0] * len(parsed.records))[0]

    def _of_other(self, record: Record, value: Any) -> Outcome:
        """Return what was found in a field that is no text, or is not there."""
        try:
            if value is None:
                # compat: record_accessor.rb fails where a step is applied to neither a hash nor an array
                self._key.dig(record)
                return Outcome([], ParseError(f"{self._key.text} does not exist"), is_unmatched=True)
            events = self._parser.parse_value(value)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - it is this record's
            return Outcome([], error)
        return Outcome(events) if events else Outcome([], _unmatched(str(value)[:_SHOWN]), is_unmatched=True)

    def _rest(self, batch: EventBatch, outcomes: list[Outcome]) -> EventBatch:
        """Return a batch of what was found, and hand on and count what was not."""
        options = self.options
        times: list[Time] = []
        records: list[Record] = []
        dropped = made = 0
        for time, record, outcome in zip(batch.times, batch.records, outcomes, strict=True):
            before = len(records)
            for own, fields in outcome.events:
                times.append(time if own is None or options.reserve_time else own)
                records.append(self._merged(record, fields, without_key=options.remove_key_name_field))
            if outcome.is_unmatched and options.reserve_data:
                times.append(time)
                records.append(self._merged(record, {}))
            results = len(records) - before
            if outcome.error is not None and options.emit_invalid_record_to_error:
                self.host.emit_error(batch.tag, time, record, outcome.error, receipt=batch.receipt)
                results += 1
            dropped += results == 0
            made += max(results - 1, 0)
        if dropped:
            self.host.dropped(dropped)
        if made:
            self.host.made(made)
        return EventBatch(batch.tag, times, records, batch.receipt)

    def _merged(self, record: Record, fields: Record, *, without_key: bool = False) -> Record:
        """Return a new record of parsed fields, and of the record's own with `reserve_data`."""
        shaped = fields if self._shape is None else self._shape(fields)
        if not self.options.reserve_data:
            return shaped
        merged = record.copy()
        if without_key:
            self._key.delete(merged)
        merged.update(shaped)
        return merged


def _outcomes(lines: list[bytes], parsed: Parsed, numbers: Sequence[int]) -> list[Outcome]:
    """Return what was found in each line; one with no event, and nothing wrong, is not in the format."""
    events: list[list[tuple[Time | None, Record]]] = [[] for _ in lines]
    for number, time, record in zip(numbers, parsed.times, parsed.records, strict=True):
        events[number].append((None if time == _UNTIMED else time, record))
    unmatched = {*parsed.unmatched}
    outcomes = []
    for number, (line, found) in enumerate(zip(lines, events, strict=True)):
        error: Exception | None = parsed.errors.get(number)
        is_unmatched = error is None and (number in unmatched or not found)
        if is_unmatched:
            error = _unmatched(line[:_SHOWN].decode("utf-8", "replace"))
        outcomes.append(Outcome(found, error, is_unmatched))
    return outcomes


def _unmatched(text: str) -> ParseError:
    return ParseError(f"pattern not matched with data {text!r}")


def _is_each(numbers: Sequence[int] | None, count: int) -> bool:
    """Return whether each of so many lines has one record, in order."""
    return numbers is not None and (numbers == range(count) or list(numbers) == list(range(count)))


def _shape(options: ParserOptions) -> Callable[[Record], Record] | None:
    """Return what makes of parsed fields those that are added; None where they are the same."""
    prefix, holder = options.inject_key_prefix, options.hash_value_field
    if prefix is None:
        return None if holder is None else lambda fields: {holder: fields}
    if holder is None:
        return lambda fields: {prefix + name: value for name, value in fields.items()}
    return lambda fields: {holder: {prefix + name: value for name, value in fields.items()}}


def _scrubbed(data: bytes) -> bytes:
    """Return bytes with a question mark for each part that is not UTF-8, as Ruby's `scrub` does."""
    real = _REPLACEMENT.encode()
    return real.join(part.decode("utf-8", "replace").replace(_REPLACEMENT, "?").encode() for part in data.split(real))
