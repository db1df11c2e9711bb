"""Makes an event of each value of a field. Settings and rules: fluent-plugin-fork 1.0.0, out_fork.rb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from logpipe import EventBatch, InvalidSetting, LogpipeError, Options, Output, OutputHost, Record, param
from logpipe.net import Seldom
from logpipe.ruby import to_s
from logpipe.tree import Element, Way
from logpipe_community.identity import identity_of
from logpipe_community.joining import memory_of
from logpipe_community.retagging import Emitters

MOST_VALUES: Final = 10_000
"""Events that are made of one."""
MOST_READ: Final = 100_000
"""Values of one event that are looked at."""
MOST_BYTES: Final = 16 << 20
"""What the events that are made of one have together of its other fields, about: each has all of them."""
PART: Final = 1000
"""Events that are emitted at once."""


class ForkOptions(Options):
    """Settings of `<match> @type fork`."""

    output_tag: str = param("The tag of the events that are made.")
    output_key: str = param("Their field for the value.")
    fork_key: str = param("The field that holds the values; it is taken out, and events without it are left out.")
    fork_value_type: Literal["csv", "array"] = param("Whether it is a text or a list.", default="csv")
    separator: str = param("What stands between the values of a text.", default=",")
    max_size: int | None = param("How many values there may be.", default=None)
    max_fallback: Literal["skip", "drop", "log"] = param(
        "What becomes of an event with more: it is left out (skip), those that are too many are (drop), or nothing is, "
        "and it is only named in the log (log).",
        default="log",
    )
    no_unique: bool = param("Whether a value that comes twice makes two events.", default=False)
    index_key: str | None = param("Their field for the value's number, from 0.", default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a separator that divides nothing."""
        if not self.separator:
            yield InvalidSetting("separator must not be empty: write what stands between the values", param="separator")


class Fork(Output[ForkOptions], type="fork"):
    """Emits an event for each value of a field, with all other fields; empty values are left out."""

    keeps_tag = False

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return the one way."""
        tag = element.get("output_tag") or ""
        return (Way(retag=lambda _: tag),)

    def __init__(self, options: ForkOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._emitters = Emitters(host, set())
        self._warn = Seldom(host.log.warning, host.clock.monotonic, "events")
        self._info = Seldom(host.log.info, host.clock.monotonic, "events")

    async def process(self, batch: EventBatch) -> None:
        """Emit what the events of a batch become, a part at a time."""
        made = EventBatch(self.options.output_tag, [], [], batch.receipt)
        dropped, is_first = 0, True
        for time, record in zip(batch.times, batch.records, strict=True):
            try:
                values = self._values(record)
            except LogpipeError as error:
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)
                is_first = False
                continue
            dropped += not values
            for event in self._events(record, values):
                made.times.append(time)
                made.records.append(event)
                if len(made) >= PART:
                    await self._emitters.emit("", made, is_first=is_first)
                    made, is_first = EventBatch(self.options.output_tag, [], [], batch.receipt), False
        if len(made):
            await self._emitters.emit("", made, is_first=is_first)
        if dropped:
            self.host.dropped(dropped)

    def _events(self, record: Record, values: list[Any]) -> Iterator[Record]:
        """Yield the records that one becomes."""
        rest = {name: value for name, value in record.items() if name != self.options.fork_key}
        for number, value in enumerate(values):
            event = rest | {self.options.output_key: value}
            if self.options.index_key is not None:
                event[self.options.index_key] = number
            yield event

    def _values(self, record: Record) -> list[Any]:
        """Return the values of an event's field.

        Raises:
            LogpipeError: they are too many, or the field is of another type.
        """
        key, found = self.options.fork_key, record.get(self.options.fork_key)
        if found is None:
            return []
        if self.options.fork_value_type == "csv":
            if not isinstance(found, str):
                raise LogpipeError(
                    f"{key} is a {type(found).__name__}: text is divided, or write fork_value_type array"
                )
            found = found.split(self.options.separator, MOST_READ)
        elif not isinstance(found, list):
            raise LogpipeError(f"{key} is a {type(found).__name__}, and no list: write fork_value_type csv for text")
        is_read, found = len(found) <= MOST_READ, found[:MOST_READ]
        values = found if self.options.no_unique else _unique(found)
        most = self.options.max_size
        if most is not None and (len(values) > most or not is_read):
            values = self._bounded(values, most)
        is_bounded = most is not None and self.options.max_fallback != "log"
        if len(values) > MOST_VALUES or not (is_read or is_bounded):
            raise LogpipeError(f"{key} has more than {MOST_VALUES} values: set max_size, and max_fallback drop")
        rest = memory_of(record) - memory_of({key: record[key]})
        if rest * len(values) > MOST_BYTES:
            raise LogpipeError(f"{key} has {len(values)} values, and each would get the other fields, {rest} bytes")
        return [value for value in values if to_s(value) != ""]

    def _bounded(self, values: list[Any], most: int) -> list[Any]:
        match self.options.max_fallback:
            case "skip":
                self._warn("an event with too many values (max=%d) is left out: %d", most, len(values))
                return []
            case "drop":
                self._warn("values of an event (max=%d) are left out: %d", most, len(values) - most)
                return values[:most]
        self._info("an event has too many values (max=%d): %d", most, len(values))
        return values


def _unique(values: list[Any]) -> list[Any]:
    """Return each value once; what is nested is compared by its text."""
    seen: set[str] = set()
    found = []
    for value in values:
        key = f"{type(value).__name__} {identity_of(value)}"
        if key not in seen:
            seen.add(key)
            found.append(value)
    return found
