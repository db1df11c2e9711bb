"""What the engine lends a plugin: the host, of which each kind has one of its own, the clock, and ways to outputs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from logpipe.config.diagnostic import Report
from logpipe.config.element import Element
from logpipe.config.options import PluginConf
from logpipe.errors import ParseError
from logpipe.event import EventBatch, LineBatch, Receipt, Record, Time
from logpipe.files import Files
from logpipe.metrics import Counter, Measurement, SourceAccount
from logpipe.plugin.chunk import Chunk
from logpipe.plugin.service import Discovery
from logpipe.sockets.address import Address
from logpipe.sockets.endpoint import Endpoint


class Parsed(NamedTuple):
    """What a parser made of many lines."""

    times: list[Time]
    records: list[Record]
    unmatched: list[int]
    """Numbers of the lines that are not in the format, counted from 0."""

    @property
    def numbers(self) -> Sequence[int] | None:
        """The number of each record's line; None where each line that is not in `unmatched` has one record."""
        return None

    @property
    def errors(self) -> Mapping[int, ParseError]:
        """What is wrong with those lines in `unmatched` that are in the format but for their time, as far as known."""
        return {}

    def lines_of_records(self, lines: int) -> Sequence[int] | None:
        """Return the number of each record's line, of so many lines; None where nothing says it."""
        if self.numbers is not None:
            return self.numbers
        if len(self.records) + len(self.unmatched) != lines:
            return None
        unmatched = {*self.unmatched}
        return [number for number in range(lines) if number not in unmatched]


class ParsedLines(Parsed):
    """The same, from a parser that says of which line each record is, and why some are unmatched."""

    _numbers: Sequence[int]
    _errors: Mapping[int, ParseError]

    def __new__(
        cls,
        times: list[Time],
        records: list[Record],
        unmatched: list[int],
        numbers: Sequence[int],
        errors: Mapping[int, ParseError],
    ) -> Self:
        """Make it of its parts, in the order of the attributes."""
        made = super().__new__(cls, times, records, unmatched)
        made._numbers, made._errors = numbers, errors
        return made

    @property
    def numbers(self) -> Sequence[int]:
        """The number of each record's line."""
        return self._numbers

    @property
    def errors(self) -> Mapping[int, ParseError]:
        """What is wrong with those lines in `unmatched` that are in the format but for their time."""
        return self._errors


class Joined(NamedTuple):
    """Which lines belong together to events."""

    alone: int
    """Lines at the beginning that belong to no event, each for itself: the beginning of theirs is not there."""
    ends: list[int]
    """Behind how many lines, from the first, each event ends that is whole; what follows the last may still go on."""


class Splitter(Protocol):
    """Cuts one stream of bytes into messages; what it holds of an unfinished one has a limit."""

    left_out: list[int]
    """The sizes of messages that were longer; whoever has read it empties the list."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole now.

        Raises:
            ParseError: nothing says where the next one begins.
        """

    def finish(self) -> list[bytes]:
        """Return what is left at the end of the stream."""


class LineParser(Protocol):
    """A `Parser`, to the stage whose `<parse>` section it is of."""

    @property
    def options(self) -> Any:
        """Its settings."""

    @property
    def lines(self) -> Callable[[bytes, int, int, Time], tuple[LineBatch, list[int]] | None] | None:
        """The method that takes lines undecoded, None where there is none; see `Parser.lines`."""

    @property
    def splitter(self) -> Callable[[], Splitter] | None:
        """The method that returns what cuts a stream into messages, None where they are lines."""

    @property
    def join(self) -> Callable[[list[bytes]], Joined] | None:
        """The method that tells which lines are one event, None where each is its own; see `Parser.join`."""

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of one line; see `Parser.parse`."""

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines; see `Parser.parse_lines`."""

    def parse_value(self, value: Any) -> list[tuple[Time | None, Record]]:
        """Return the events of a field that is no text; see `Parser.parse_value`."""


class RecordFormatter(Protocol):
    """A `Formatter`, to the stage whose `<format>` section it is of."""

    @property
    def is_binary(self) -> bool:
        """Whether what it writes are no lines; see `Formatter.is_binary`."""

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's bytes; see `Formatter.format`."""

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's bytes; see `Formatter.format_batch`."""


@dataclass(frozen=True, slots=True)
class RetryState:
    """How far an output that fails has come with its retries."""

    start: Time
    """When it failed first."""
    steps: int
    next_time: Time


class PluginState(Protocol):
    """One input, filter or output."""

    plugin_id: str
    kind: str
    """input, filter or output."""
    type: str
    """Its `@type`, as it was written."""

    def measurements(self) -> Iterable[Measurement]:
        """Return its counters and gauges as they are now; NaN for what cannot be read."""

    def config(self) -> Mapping[str, str | None]:
        """Return the parameters of its own section, without those of nested sections; secrets are masked."""

    def retry(self) -> RetryState | None:
        """Return how a failing output is tried again; None while nothing fails."""

    def timekeys(self) -> Sequence[int] | None:
        """Return the time slices in its buffer, seconds since the epoch in order; None where there is no buffer."""

    def accounts(self) -> Iterable[SourceAccount]:
        """Return what an input says of its sources; see `Input.accounts`."""


class Monitor(Protocol):
    """The running graph of one worker, to be read only."""

    def plugins(self) -> Sequence[PluginState]:
        """Return all inputs, then the outputs and filters of the root, then those of each label."""

    def output_of(self, tag: str) -> PluginState | None:
        """Return the output that events of that tag go to outside of labels, None where there is none."""

    def measurements(self) -> Iterable[Measurement]:
        """Return what is counted of routes, dead letters and the ledger, and of no plugin."""

    def ledger(self) -> Mapping[str, Any]:
        """Return where every byte and every event of this run went so far, as JSON has it."""

    def process(self) -> Mapping[str, Any]:
        """Return pid, ppid, version, and what the command line and `<system>` say about files, by fluentd's names."""


T = TypeVar("T")


class Clock(Protocol):
    """Time, so that tests can hold it still."""

    def now(self) -> Time:
        """Return the wall clock's time."""

    def monotonic(self) -> float:
        """Return seconds that never jump; for durations."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[asyncio.Timeout]:
        """Do what `asyncio.timeout` does: end the block with a TimeoutError after so long; None never does."""


class Outlet(Protocol):
    """Where an output's events go in: the output itself, or its buffer."""

    async def process(self, batch: EventBatch) -> None:
        """Accept a batch; returns when it is accepted, raises when it is not."""


class Host(Protocol):
    """What every plugin may reach of the engine; parsers, formatters and buffers share the host of their owner.

    In a constructor only the attributes and `counter`, `gauge`, `claim`, and of the hosts below `emitter`, `endpoint`,
    `parser`, `formatter`, `discovery`, `outlet` may be used.
    """

    plugin_id: str
    """The `@id`, or a name made of kind, type and number."""
    log: logging.Logger | logging.LoggerAdapter[Any]
    """Messages get the plugin's id; levels by what the operator must do."""
    clock: Clock
    hostname: str
    worker_id: int
    workers: int
    """How many worker processes run the same configuration."""
    files: Files
    """Makes files and folders with the modes that `<system>` asks for."""

    @property
    def root_dir(self) -> Path | None:
        """`<system> root_dir`/workerN/PLUGIN_ID where it is configured: the plugin's own folder."""

    def counter(self, name: str, doc: str) -> Counter:
        """Return a counter of this plugin, to be added to once per batch."""

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Register a number that the monitor reads when asked."""

    def claim(self, kind: str, name: str) -> None:
        """Reserve a thing that two plugins must not share (a position file, a buffer path).

        Raises:
            InvalidSetting: another plugin has it.
        """

    def start_task(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run `work` beside the plugin until it ends or the plugin stops; from `start` on.

        A task that raises is logged, counted and not restarted: loop inside.
        """

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in a bounded pool of threads."""

    @property
    def monitor(self) -> Monitor:
        """A view of all plugins and of the ledger, from `start` on."""

    def parser(self, conf: PluginConf) -> LineParser:
        """Build the parser of a `<parse>` section."""

    def formatter(self, conf: PluginConf) -> RecordFormatter:
        """Build the formatter of a `<format>` section."""

    def discovery(self, conf: PluginConf) -> Discovery:
        """Build what finds the services of a `<service_discovery>` section; its owner starts and stops it."""

    def emit_error(
        self, tag: str, time: Time, record: Record, error: Exception, *, receipt: Receipt | None = None
    ) -> None:
        """Hand one bad event to `<label @ERROR>`, or to the log where there is none.

        The receipt is held until the dead letter was accepted.
        """


class InputHost(Host, Protocol):
    """What an input has."""

    async def emit(self, batch: EventBatch) -> None:
        """Send a batch into the router that `@label` names.

        Returns when every output that matched has accepted it (this is back-pressure). Raises when one has not: the
        caller is still responsible for the source and makes the batch again later; it never re-sends the object.
        The batch's receipt is not released: that is its creator's to do after `emit` returned.
        """

    def emitter(self, label: str) -> Callable[[EventBatch], Awaitable[None]]:
        """Return what sends a batch into another label than `@label` names, on the terms of `emit`.

        Raises:
            InvalidSetting: there is no such label.
        """

    def endpoint(self, address: Address) -> Endpoint:
        """Declare, in a constructor, that the plugin listens there; `logpipe.net` has what to start at it.

        Raises:
            InvalidSetting: another plugin listens there.
        """


class FilterHost(Host, Protocol):
    """What a filter has."""

    def dropped(self, count: int) -> None:
        """Say that so many events were dropped on purpose, where neither `filter` nor `EventBatch.keep` did it."""

    def made(self, count: int) -> None:
        """Say that so many events were made of others: one that was split in three has made two."""

    async def forward(self, batch: EventBatch) -> None:
        """Send events that were held back into the rules after this filter, as those for the batch's tag.

        It returns when they are accepted. What is refused is sent again, after longer and longer pauses, and meanwhile
        nothing else of that tag gets past the filter, nor does a forward overtake what has: its place in the order is
        that of the call. It raises only when it is cancelled, and the events then come from their source again.

        One hold of the batch's receipt goes with it: the filter has held the receipt when it kept the event, or it was
        born held, as `Receipt.joint` is, and the engine releases it.
        """

    def emitter(self, label: str) -> Callable[[EventBatch], Awaitable[None]]:
        """Return what sends events that were held back into a label, in the place of `forward` and on its terms.

        Raises:
            InvalidSetting: there is no such label.
        """


class OutputHost(InputHost, Protocol):
    """What an output has; `emit` and `emitter` are for those that pass batches on."""

    @property
    def is_secondary(self) -> bool:
        """Whether it stands in a `<secondary>`: its chunks are cut, and may be encoded, for another output."""

    @property
    def chunk_keys(self) -> tuple[str, ...]:
        """The ARG of its `<buffer ARG>`, or the default; empty for a direct output."""

    def expand(self, template: str, chunk: Chunk, *, quote: Callable[[str], str] | None = None) -> str:
        """Fill `${tag}`, `${tag[1]}`, `${key}`, `${chunk_id}` and `%Y…` from what the chunk's events share.

        `quote` is given each value that comes from an event, to write it as the place wants it, in a URL say.

        Raises:
            PermanentError: a value holds a path component that would leave the folder (`..`, a NUL).
        """

    def configured(self, section: Element, report: Report) -> PluginConf | None:
        """Read the section of an output that the plugin itself has made, for `outlet`; it is changed.

        None where it cannot be used; `report` is given the reasons, and warnings.
        """

    def outlet(self, conf: PluginConf) -> Outlet:
        """Build the output of a `<store>` section, with its buffer; the engine starts and stops it.

        From `start` on, too, for as many outlets of one section as are needed; such a one starts with its first batch,
        which it refuses where it cannot start. Of one `@id` the second is called `ID_2`.

        Raises:
            InvalidSetting: it cannot be built; while the configuration is read this is reported instead.
        """

    def dropped(self, count: int) -> None:
        """Say that so many events were thrown away because the output's settings say so."""
