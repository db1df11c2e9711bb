"""Generates events, for trying configurations out. Settings: fluentd's plugin/in_sample.rb, dummy in 0.12."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

from logpipe import EventBatch, Input, InputHost, InvalidSetting, LogpipeError, Options, Record, param, section
from logpipe.storage import Storage, StorageOptions

_SLICES: Final = 10
"""The number of parts in which a second's events are emitted."""
_LAST_NUMBER: Final = "auto_increment_value"
"""What fluentd calls it in its file."""


def _samples(text: str) -> list[Record]:
    try:
        found: Any = json.loads(text)
    except ValueError as problem:
        raise ValueError(f'"{text[:60]}" is not JSON: {problem}') from None
    samples = found if isinstance(found, list) else [found]
    odd = [number for number, sample in enumerate(samples) if not isinstance(sample, dict)]
    if odd:
        shown = json.dumps(samples[odd[0]])[:60]
        raise ValueError(f"{odd[0]}th element of sample, {shown}, is not a hash: write {{…}}")
    if not samples:
        raise ValueError("sample is empty: write a JSON object, or a list of objects")
    return samples


class SampleOptions(Options):
    """Settings of `<source> @type sample`."""

    tag: str = param("Tag of the events.")
    size: int = param("Number of events at a time, `rate` times a second.", default=1)
    rate: int = param("How many times a second events are emitted.", default=1)
    auto_increment_key: str | None = param(
        "Field for a number that counts up from 0, after a restart from where `<storage>` has it.", default=None
    )
    sample: list[Record] = param(
        "A JSON object, or a list of objects that are emitted in turn.",
        default='[{"message":"sample"}]',
        alias="dummy",
        convert=_samples,
    )
    reuse_record: bool = param("Accepted for compatibility: each event has a record of its own.", default=False)
    suspend: bool = param("Without effect, in fluentd too.", default=False, deprecated="remove it")
    storage: StorageOptions | None = section("Where the last number of `auto_increment_key` is kept.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield numbers that are out of range."""
        if self.size < 1:
            yield InvalidSetting("size must be at least 1", param="size")
        if self.rate < 0:
            yield InvalidSetting("rate must not be negative", param="rate")


class Sample(Input[SampleOptions], type=("sample", "dummy")):
    """Emits `rate` times `size` events a second, spread over it.

    Delays are not made up for. An event that no output accepts is lost, since it has no source to read again.
    """

    several_workers = True
    keeps_tag = True

    def __init__(self, options: SampleOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self._turns = itertools.cycle(options.sample)
        is_counting = options.auto_increment_key is not None
        self._storage = Storage(options.storage, host, usage="suspend") if is_counting else None
        self._is_quiet = False
        self._lost = host.counter("lost_records", "Sample events that no output accepted.")

    async def start(self) -> None:
        """Read how far the numbers had come.

        Raises:
            LogpipeError, OSError: the file of `<storage>` cannot be used.
        """
        if self._storage is None:
            return
        await self._storage.start()
        last = self._storage.get(_LAST_NUMBER)
        if last is not None and type(last) is not int:
            raise LogpipeError(f"the storage has {last!r} for {_LAST_NUMBER}, which is no integer: move its file away")
        if self.options.storage is not None and not self._storage.is_kept:
            self.host.log.warning("both of Plugin @id and path for <storage> are not specified. Using on-memory store.")

    async def stop(self) -> None:
        """Save how far the numbers have come."""
        if self._storage is not None:
            await self._storage.stop()

    async def run(self) -> None:
        """Emit until cancelled."""
        clock = self.host.clock
        each, first = divmod(self.options.rate, _SLICES)
        while not self._is_quiet:
            start = clock.monotonic()
            for part in range(_SLICES):
                await self._emit(each + first if part == 0 else each)
                await clock.sleep(max(0.0, start + (part + 1) / _SLICES - clock.monotonic()))

    async def quiesce(self) -> None:
        """Make no more events."""
        self._is_quiet = True

    async def _emit(self, times: int) -> None:
        count = times * self.options.size
        if count == 0 or self._is_quiet:
            return
        now = self.host.clock.now()
        records = await self._records(count)
        try:
            await self.host.emit(EventBatch(self.options.tag, [now] * count, records))
        except Exception as error:  # noqa: BLE001 - compat: in_sample.rb goes on, whatever an output says
            self._lost.add(count)
            self.host.log.debug("sample events were not accepted: %r", error)

    async def _records(self, count: int) -> list[Record]:
        records = [dict(next(self._turns)) for _ in range(count)]
        if self._storage is not None:
            last = await self._storage.update(_LAST_NUMBER, lambda last: (-1 if last is None else last) + count)
            for number, record in enumerate(records, start=last - count + 1):
                record[str(self.options.auto_increment_key)] = number
        return records
