"""Makes an event of each value of a field. Settings and rules: fluent-plugin-fork 1.0.0, out_fork.rb."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from logpipe import EventBatch, LogpipeError, Options, Output, OutputHost, Record, param
from logpipe.ruby import to_s
from logpipe.tree import Element, Way
from logpipe_community.retagging import Emitters

MOST_VALUES: Final = 10_000
"""Events that are made of one: more would fill the memory, since each has all other fields."""


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

    async def process(self, batch: EventBatch) -> None:
        """Emit what the events of a batch become."""
        made = EventBatch(self.options.output_tag, [], [], batch.receipt)
        dropped = errors = 0
        for time, record in zip(batch.times, batch.records, strict=True):
            try:
                values = self._values(record)
            except LogpipeError as error:
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)
                errors += 1
                continue
            if not values:
                dropped += 1
                continue
            rest = {name: value for name, value in record.items() if name != self.options.fork_key}
            for number, value in enumerate(values):
                event = rest | {self.options.output_key: value}
                if self.options.index_key is not None:
                    event[self.options.index_key] = number
                made.times.append(time)
                made.records.append(event)
        if dropped:
            self.host.dropped(dropped)
        if len(made):
            await self._emitters.emit("", made, is_first=not errors)

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
            found = found.split(self.options.separator, MOST_VALUES)
        elif not isinstance(found, list):
            raise LogpipeError(f"{key} is a {type(found).__name__}, and no list: write fork_value_type csv for text")
        values = found if self.options.no_unique else _unique(found)
        most = self.options.max_size
        if most is not None and len(values) > most:
            values = self._bounded(values, most)
        if len(values) > MOST_VALUES:
            raise LogpipeError(f"{key} has more than {MOST_VALUES} values: set max_size")
        return [value for value in values if to_s(value) != ""]

    def _bounded(self, values: list[Any], most: int) -> list[Any]:
        match self.options.max_fallback:
            case "skip":
                self.host.log.warning("an event with too many values (max=%d) is left out: %d", most, len(values))
                return []
            case "drop":
                self.host.log.warning("values of an event (max=%d) are left out: %d", most, len(values) - most)
                return values[:most]
        self.host.log.info("an event has too many values (max=%d): %d", most, len(values))
        return values


def _unique(values: list[Any]) -> list[Any]:
    """Return each value once; what is nested is compared by its text."""
    seen: set[str] = set()
    found = []
    for value in values:
        key = f"{type(value).__name__} {to_s(value)}"
        if key not in seen:
            seen.add(key)
            found.append(value)
    return found
