"""The contracts: what a plugin is, what the engine does with it, and what it may reach.

Every method's docstring says who calls it, when, how often, and what the engine does about each exception. The life
of a plugin is: constructed (no I/O), `start`, work, `stop`.
"""

from __future__ import annotations

import logging
import typing
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from logpipe.config.options import Group, Options, PluginConf
from logpipe.errors import ParseError
from logpipe.event import EventBatch, Receipt, Record, Time
from logpipe.metrics import Counter

T = TypeVar("T")
O = TypeVar("O", bound=Options)  # noqa: E741 - the one letter that reads as "options"


class ChunkKey(NamedTuple):
    """What the events of a chunk have in common."""

    timekey: int | None = None
    """The start of the time slice, seconds since the epoch; None unless `time` is a chunk key."""
    tag: str | None = None
    """The tag; None unless `tag` is a chunk key."""
    variables: tuple[tuple[str, Any], ...] = ()
    """The other chunk keys with their values, in the order of `<buffer ARG>`; a missing field is None."""


class Chunk(Protocol):
    """Events on their way to one `Output.write`."""

    id: str
    """32 hexadecimal digits, the same at each attempt."""
    key: ChunkKey
    size: int
    """Bytes of payload; an estimate where the chunk holds records."""
    progress: Any
    """None at first; whatever the output wants to remember from one attempt to the next."""

    def __len__(self) -> int:
        """Return the number of events."""
        ...

    def batches(self) -> Iterator[EventBatch]:
        """Yield the events, oldest first; the output owns nothing of them and changes nothing in them.

        A batch's receipt is for handing to `host.emit_error`, with an event that can never be delivered.
        """
        ...

    def payloads(self) -> Iterator[bytes]:
        """Yield what `Output.encode` made, in order."""
        ...


class Clock(Protocol):
    """Time, so that tests can hold it still."""

    def now(self) -> Time:
        """Return the wall clock's time."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump; for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class Outlet(Protocol):
    """Where an output's events go in: the output itself, or its buffer."""

    async def process(self, batch: EventBatch) -> None:
        """Accept a batch; returns when it is accepted, raises when it is not."""
        ...


class Host(Protocol):
    """What the engine offers to one plugin, and all of the engine that a plugin may reach.

    In a constructor only the attributes, `counter`, `gauge`, `claim`, `parser`, `formatter` and `outlet` may be used.
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

    @property
    def root_dir(self) -> Path | None:
        """`<system> root_dir`/workerN/PLUGIN_ID where it is configured: the plugin's own folder."""
        ...

    @property
    def is_secondary(self) -> bool:
        """Whether an output stands in a `<secondary>`: its chunks are cut, and may be encoded, for another output."""
        ...

    async def emit(self, batch: EventBatch) -> None:
        """Send a batch into the router that `@label` names; for inputs and for outputs that emit again.

        Returns when every output that matched has accepted it (this is back-pressure). Raises when one has not: the
        caller is still responsible for the source and makes the batch again later; it never re-sends the object.
        The batch's receipt is not released: that is its creator's to do after `emit` returned.
        """
        ...

    def emit_error(
        self, tag: str, time: Time, record: Record, error: Exception, *, receipt: Receipt | None = None
    ) -> None:
        """Hand one bad event to `<label @ERROR>`, or to the log where there is none.

        The receipt is held until the dead letter was accepted.
        """
        ...

    def counter(self, name: str, doc: str) -> Counter:
        """Return a counter of this plugin, to be added to once per batch."""
        ...

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Register a number that the monitor reads when asked."""
        ...

    def claim(self, kind: str, name: str) -> None:
        """Reserve a thing that two plugins must not share (a position file, a buffer path).

        Raises:
            InvalidSetting: another plugin has it.
        """
        ...

    def start_task(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run `work` beside the plugin until it ends or the plugin stops; from `start` on.

        A task that raises is logged, counted and not restarted: loop inside.
        """
        ...

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in a bounded pool of threads."""
        ...

    def parser(self, conf: PluginConf) -> Parser[Any]:
        """Build the parser of a `<parse>` section."""
        ...

    def formatter(self, conf: PluginConf) -> Formatter[Any]:
        """Build the formatter of a `<format>` section."""
        ...

    def outlet(self, conf: PluginConf) -> Outlet:
        """Build the output of a `<store>` section, with its buffer; the engine starts and stops it."""
        ...

    def expand(self, template: str, chunk: Chunk) -> str:
        """Fill `${tag}`, `${tag[1]}`, `${key}`, `${chunk_id}` and `%Y…` from what the chunk's events share.

        Raises:
            PermanentError: a value holds a path component that would leave the folder (`..`, a NUL).
        """
        ...

    @property
    def chunk_keys(self) -> tuple[str, ...]:
        """The ARG of the output's `<buffer ARG>`, or the default; empty for a direct output."""
        ...


class Plugin(Generic[O]):
    """Built from options without doing any I/O; `start` is the first moment to touch the world.

    A constructor may raise `InvalidSetting`: the user sees the message with the place of the parameter.
    """

    kind: ClassVar[str] = ""
    """input, filter, output, parser, formatter or buffer; set by the base classes below."""
    types: ClassVar[tuple[str, ...]] = ()
    """The `@type` names."""
    options_class: ClassVar[type[Options]] = Options
    compat: ClassVar[frozenset[Group]] = frozenset()
    """Which of 0.12's flat parameter groups (buffer, parser, formatter, inject, extract) its section may hold."""
    compat_kept: ClassVar[frozenset[str]] = frozenset()
    """Parameters of these groups that it reads flat as well (`time_slice_format`)."""

    def __init_subclass__(cls, *, type: str | tuple[str, ...] = (), **kwargs: Any) -> None:  # noqa: A002 - the word in the config
        """Take the `@type` names and the Options class from the class statement."""
        super().__init_subclass__(**kwargs)
        if type:
            cls.types = (type,) if isinstance(type, str) else type
        for base in vars(cls).get("__orig_bases__", ()):
            for argument in typing.get_args(base):
                if isinstance(argument, _TYPE) and issubclass(argument, Options):
                    cls.options_class = argument

    def __init__(self, options: O, host: Host) -> None:
        self.options = options
        self.host = host

    async def start(self) -> None:
        """Touch the world: open, connect, begin tasks. Called once, outputs before filters before inputs.

        An exception stops the worker, with the plugin named; what may come later (a peer that is down) is no reason
        to raise.
        """

    async def stop(self) -> None:
        """Let go of everything. Called once at the end, without `start` too, and safe to call twice."""


_TYPE = type


class Input(Plugin[O]):
    """Brings events in."""

    kind = "input"

    async def run(self) -> None:
        """Emit until cancelled. Called once after `start`.

        An exception is logged and counted, and `run` is called again after a back-off. Cancellation is the order to
        stop reading: finish nothing, return at once.
        """
        raise NotImplementedError


class Filter(Plugin[O]):
    """Changes or drops events. Override `filter` (easy) or `process` (fast)."""

    kind = "filter"

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the record, changed or not, or None to drop the event.

        Called once per event, in order. An exception sends this event to `@ERROR`; the rest of its batch goes on.
        """
        raise NotImplementedError

    def process(self, batch: EventBatch) -> EventBatch:
        """Return what is left of a batch, in order. Called once per batch, never concurrently.

        It must not wait. An exception sends the whole batch to `@ERROR`: catch what one record can cause.
        """
        times: list[Time] = []
        records: list[Record] = []
        for time, record in zip(batch.times, batch.records, strict=True):
            try:
                result = self.filter(batch.tag, time, record)
            except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch, whatever it broke
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)
                continue
            if result is not None:
                times.append(time)
                records.append(result)
        return EventBatch(batch.tag, times, records, batch.receipt)


class AsyncFilter(Plugin[O]):
    """A filter that must wait now and then, for a metadata look-up say."""

    kind = "filter"

    async def process(self, batch: EventBatch) -> EventBatch:
        """Return what is left of a batch. Called once per batch; batches of different inputs may overlap."""
        raise NotImplementedError


class Output(Plugin[O]):
    """Takes events out. Override `write` to be buffered, `process` to be direct, or both.

    With both, the user decides by writing `<buffer>` or not.
    """

    kind = "output"
    buffer_defaults: ClassVar[dict[str, str]] = {}
    """Parameters of `<buffer>` where the user wrote none (`{"timekey": "1d"}`)."""
    buffer_argument: ClassVar[str] = ""
    """The ARG of `<buffer ARG>` where the user wrote none (`"tag"`)."""

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk. Called for one chunk at a time, or `flush_thread_count` of them.

        Returning means delivered: the chunk is gone. `RetryLater` waits as told, `PermanentError` sends the chunk to
        `<secondary>` or to the backup folder, anything else follows the `retry_*` settings, with the same chunk.
        """
        raise NotImplementedError

    async def process(self, batch: EventBatch) -> None:
        """Deliver a batch, without a buffer. Called once per batch; batches of different inputs may overlap.

        Returning means accepted. Where delivery goes on after the return, hold the batch's receipt and release it
        when the peer has confirmed. An exception means that the input is still responsible for the events.
        """
        raise NotImplementedError

    async def flush(self) -> None:
        """Wait until what `process` accepted is delivered; called while draining, within the shutdown's deadline."""

    encode: Callable[[EventBatch], list[bytes]] | None = None
    """Override as a method to make the payloads once, on entry to the buffer; `Chunk.payloads` yields them.

    One payload per event, in order. A record that cannot be encoded goes to `host.emit_error`, and its payload is
    empty.
    """

    @classmethod
    def is_buffered(cls) -> bool:
        """Return whether it can have a `<buffer>`."""
        return cls.write is not Output.write

    @classmethod
    def is_direct(cls) -> bool:
        """Return whether it can work without one."""
        return cls.process is not Output.process


class Parser(Plugin[O]):
    """Turns lines into records. Override `parse` (easy) or `parse_lines` too (fast)."""

    kind = "parser"

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of one line: none where it is not in the format, several where a line holds several.

        A time of None means that the line has none and the caller's clock counts.

        Raises:
            ParseError: the line is in the format, but its time is not; among many lines it counts as unmatched.
        """
        raise NotImplementedError

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines, and the lines that are in no format. `now` stands in for a missing time.

        A line comes without its newline. Bytes that are not UTF-8 are replaced, never fatal.
        """
        parsed = Parsed([], [], [])
        for number, line in enumerate(lines):
            try:
                events = self.parse(line.decode("utf-8", "replace"))
            except ParseError:
                events = []
            if not events:
                parsed.unmatched.append(number)
            for time, record in events:
                parsed.times.append(now if time is None else time)
                parsed.records.append(record)
        return parsed


class Parsed(NamedTuple):
    """What a parser made of many lines."""

    times: list[Time]
    records: list[Record]
    unmatched: list[int]
    """Numbers of the lines that are not in the format, counted from 0."""


class Formatter(Plugin[O]):
    """Turns records into bytes. Override `format` (easy) or `format_batch` too (fast)."""

    kind = "formatter"

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's bytes, with the newline if the format has one.

        Raises:
            FormatError: the record cannot be written so.
        """
        raise NotImplementedError

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's bytes, in order; `failed(index, error)` is told of a bad one, whose bytes are empty."""
        payloads: list[bytes] = []
        for index, (time, record) in enumerate(zip(batch.times, batch.records, strict=True)):
            try:
                payloads.append(self.format(batch.tag, time, record))
            except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch
                failed(index, error)
                payloads.append(b"")
        return payloads


class Buffer(Plugin[O]):
    """Keeps chunks until they are delivered."""

    kind = "buffer"
    persistent: ClassVar[bool] = False
    """Whether a chunk survives a kill -9; then receipts settle when it is stored, else when it is delivered."""

    def new_chunk(self, key: ChunkKey) -> StoredChunk:
        """Return an empty chunk; called from the event loop, and must not wait."""
        raise NotImplementedError

    async def resume(self) -> list[StoredChunk]:
        """Return what a previous run left behind, oldest first. Called once, after `start`.

        A chunk that is not sealed is staged again, under its key and with its age; the others are queued.
        """
        return []

    @property
    def problem(self) -> str:
        """Why no events can be taken now, however small the buffer is; empty where they can. Read for each batch."""
        return ""

    async def room(self) -> None:
        """Wait until there is no such problem; called where `overflow_action` does not say to refuse."""

    async def prepare(self, chunk: StoredChunk) -> None:
        """Make a chunk ready to be read. Called before each attempt to deliver it.

        A chunk that turns out to be empty is purged. An exception counts as a failed attempt.
        """

    async def purge(self, chunk: StoredChunk) -> None:
        """Forget a chunk that was delivered or given up."""
        raise NotImplementedError


class StoredChunk(Chunk, Protocol):
    """A chunk as its buffer keeps it."""

    @property
    def created(self) -> Time:
        """When it was begun; read of chunks that `Buffer.resume` returned."""
        ...

    @property
    def is_sealed(self) -> bool:
        """Whether it takes no more events; read before each `append`."""
        ...

    @property
    def encoded(self) -> bool:
        """Whether it holds payloads instead of events."""
        ...

    def append(self, batch: EventBatch, payloads: list[bytes] | None, size: int) -> None:
        """Add the events of a batch, with their payloads where the output makes them; `size` is their bytes.

        A persistent chunk must be safe before `sync` returns, not before `append` does.
        """
        ...

    async def sync(self) -> None:
        """Return when all that was appended survives a kill -9; at once where nothing can.

        An exception means that it does not and that the chunk has forgotten it: the input makes it again. Called by
        each who appended, also concurrently.
        """
        ...
