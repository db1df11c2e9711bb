"""What acts: the base of every plugin, and inputs, filters and outputs."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from logpipe.config.compat import NONE_OWN, Group
from logpipe.config.element import Element
from logpipe.config.options import Options
from logpipe.event import EventBatch, Payloads, Record, Time
from logpipe.metrics import SourceAccount
from logpipe.plugin.chunk import Chunk
from logpipe.plugin.failures import check_shape, failure_of, told
from logpipe.plugin.host import FilterHost, Host, InputHost, OutputHost
from logpipe.plugin.peer import Peer

O = TypeVar("O", bound=Options)  # noqa: E741 - the one letter that reads as "options"


class Plugin(Generic[O]):
    """Built from options without doing any I/O; `start` is the first moment to touch the world.

    A constructor may raise `InvalidSetting`: the user sees the message with the place of the parameter.
    """

    kind: ClassVar[str] = ""
    """input, filter, output, parser, formatter, buffer or service_discovery; set by the base classes below."""
    types: ClassVar[tuple[str, ...]] = ()
    """The `@type` names."""
    options_class: ClassVar[type[Options]] = Options
    several_workers: ClassVar[bool] = True
    """Whether several processes may run it with the same settings (`multi_workers_ready?` in fluentd).

    False for an input until it says otherwise: where each worker reads all, each event comes once from every one. What
    is False is refused with `workers` above 1, but within a `<worker N>`.
    """
    compat: ClassVar[frozenset[Group]] = frozenset()
    """Which of 0.12's flat parameter groups (buffer, parser, formatter, inject, extract) its section may hold."""
    compat_kept: ClassVar[frozenset[str]] = frozenset()
    """Parameters of these groups that it reads flat as well (`time_slice_format`)."""

    compat_own: ClassVar[Mapping[str, Mapping[str, str]]] = NONE_OWN
    """0.12's flat parameters that it alone has, by the section that has them now: `{"inject": {"in_x": "x"}}`."""

    _one_of: ClassVar[tuple[str, ...]] = ()
    """The methods of which a plugin overrides one at least."""

    def __init_subclass__(cls, *, type: str | tuple[str, ...] = (), **kwargs: Any) -> None:  # noqa: A002 - the word in the config
        """Take the `@type` names and the Options class from the class statement.

        Raises:
            TypeError: such a plugin cannot work: it overrides nothing, or waits where nobody awaits it.
        """
        super().__init_subclass__(**kwargs)
        if type:
            cls.types = (type,) if isinstance(type, str) else type
        for base in vars(cls).get("__orig_bases__", ()):
            for argument in typing.get_args(base):
                if isinstance(argument, _TYPE) and issubclass(argument, Options):
                    cls.options_class = argument
        if not cls.__module__.startswith("logpipe.plugin."):
            check_shape(cls, cls._one_of)

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
    _one_of = ("run",)
    several_workers = False
    host: InputHost

    def __init__(self, options: O, host: InputHost) -> None:
        super().__init__(options, host)

    keeps_tag: ClassVar[bool] = False
    """Whether its events have the tag that its setting `tag` gives, and no other; a `*` in it may be filled in.

    Where all inputs keep theirs, `check` names the patterns that no tag matches.
    """
    listens: ClassVar[str] = ""
    """What anybody can do who reaches its settings `bind` and `port` ("send events"); "" for what does not listen."""
    protected_by: ClassVar[Mapping[str, str]] = {}
    """The sections or parameters that say who may come, with how each is written; `check` advises the first."""

    async def run(self) -> None:
        """Emit until cancelled. Called once after `start`.

        An exception is logged and counted, and `run` is called again after a back-off. Cancellation is the order to
        finish nothing and return at once. It comes before everything is drained, or after that where `quiesce` is
        written.
        """
        raise NotImplementedError

    async def quiesce(self) -> None:
        """Read nothing new from now on, and return at once; what is read is still emitted, acknowledged, committed.

        It may take a second to read the rest of what is under way and would be lost.

        Called once when the worker is to stop, while `run` and all tasks go on until everything is drained. An input
        that does not override it has its `run` cancelled instead. After an exception it is treated so, too.
        """

    def accounts(self) -> Iterable[SourceAccount]:
        """Return where the bytes of each source went so far; read by the ledger, also after `stop`."""
        return ()


class FilterBase(Plugin[O]):
    """What filters have in common: most change or drop events at once, some hold events back.

    One that joins lines, say, keeps events in `process`, holds the receipts of their batches, and lets go of them with
    what it returns for a later batch of that tag, or with `host.forward` from a task or from `drain`. It overrides both
    methods below. What gets past it is sent again by the engine until it is accepted, so that its input never has to
    read again what it has kept a part of. Where it returns a batch with another receipt than it was given, one hold of
    it goes with the batch, as for `host.forward`.
    """

    kind = "filter"
    host: FilterHost

    def __init__(self, options: O, host: FilterHost) -> None:
        super().__init__(options, host)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Look whether a filter that holds events back lets go of them, too.

        Raises:
            TypeError: it does not say how many it holds, or has no `drain`.
        """
        super().__init_subclass__(**kwargs)
        if (cls.held is FilterBase.held) != (cls.drain is FilterBase.drain):
            raise TypeError(f"{cls.__name__} holds events back: write both def held and async def drain")

    def held(self) -> int:
        """Return how many events it holds back now; read by the ledger, also after `stop`."""
        return 0

    async def drain(self) -> None:
        """Forward all that is held back: whoever brings the rest is not read any more.

        Called while the worker stops, after the last call of `process`, again if events came since, and within the
        shutdown's deadline. What is not forwarded then stays owed to its source, which brings it again.
        """

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return the ways on which it sends events into labels, not behind itself, for `check` to find circles."""
        del element
        return ()

    @classmethod
    def holds_back(cls) -> bool:
        """Return whether it may hold events back."""
        return cls.drain is not FilterBase.drain


class Filter(FilterBase[O]):
    """Changes or drops events. Override `filter` (easy) or `process` (fast)."""

    _one_of = ("filter", "process")

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the record, changed or not, or None to drop the event.

        Called once per event, in order. An exception sends this event to `@ERROR`; the rest of its batch goes on.
        """
        raise NotImplementedError

    def process(self, batch: EventBatch) -> EventBatch:
        """Return what is left of a batch, in order. Called once per batch, never concurrently.

        It must not wait. An exception sends the whole batch to `@ERROR`: catch what one record can cause. Events that
        are missing from what it returns are left out by `batch.keep`, or told to `host.dropped`, or handed to
        `host.emit_error`, or `held`, and those that are more are told to `host.made`: what is not is lost in the
        ledger, or made.
        """
        times: list[Time] = []
        records: list[Record] = []
        errors = dropped = 0
        for time, record in zip(batch.times, batch.records, strict=True):
            try:
                result: Any = self.filter(batch.tag, time, record)
                if type(result) is not dict and result is not None and not isinstance(result, dict):
                    raise TypeError(told(self, "filter", result, "a record, or None"))  # noqa: TRY301 - one record's
            except MemoryError:  # not the record's fault, and the batch is made again
                self.host.made(errors)
                raise
            except BaseException as raised:
                error = failure_of(raised)  # a bad record must not stop its batch, whatever it broke
                if error is None:
                    raise
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)
                errors += 1
                continue
            if result is None:
                dropped += 1
            else:
                times.append(time)
                records.append(result)
        if dropped:
            self.host.dropped(dropped)
        return EventBatch(batch.tag, times, records, batch.receipt)


class AsyncFilter(FilterBase[O]):
    """A filter that must wait now and then, for a metadata look-up say."""

    _one_of = ("process",)

    async def process(self, batch: EventBatch) -> EventBatch:
        """Return what is left of a batch. Called once per batch; batches of different inputs may overlap."""
        raise NotImplementedError


class Way(NamedTuple):
    """A way on which an output emits what it takes, as far as its section shows it."""

    label: str = ""
    """The label that events go into; "" for the one that `@label` names, or in which the output stands."""
    retag: Callable[[str], str | None] | None = None
    """Gives the new tag for a tag, any text for a part that only the event shows; None if such an event is dropped."""
    condition: tuple[str | None, ...] = ()
    """What decides whether an event takes it; ways with the same condition are taken by the same events."""
    may_drop: bool = False
    """Whether events may be dropped on it for reasons that no section shows: then no circle is certain."""


class Output(Plugin[O]):
    """Takes events out. Override `write` to be buffered, `process` to be direct, or both.

    With both, the user decides by writing `<buffer>` or not. What it throws away because its settings say so it counts
    in the counter `discarded_records`, which the ledger reads.
    """

    kind = "output"
    _one_of = ("write", "process")
    host: OutputHost
    buffer_defaults: ClassVar[dict[str, str]] = {}
    """Parameters of `<buffer>` where the user wrote none (`{"timekey": "1d"}`)."""
    buffer_argument: ClassVar[str] = ""
    """The ARG of `<buffer ARG>` where the user wrote none (`"tag"`)."""
    compat_chunk_key: ClassVar[str | None] = None
    """That of a `<buffer>` which 0.12's flat parameters stand for, where it is another."""

    passes_to: ClassVar[Literal["", "route", "store", "stores"]] = ""
    """Where the events of a `process` are when it returns: no longer in the graph (""), or passed on to others.

    "route": each was emitted. "store": each was given to one outlet of `host.outlet`. "stores": all were given to each
    outlet that was given any, and to one at least. Others were told to `host.dropped` or handed to `host.emit_error`.
    The ledger compares: the rest is lost in the output.
    """
    keeps_tag: ClassVar[bool] = True
    """Whether what it emits has the tag that it came with; False lets `check` say nothing of patterns without a tag."""
    takes_any_chunk: ClassVar[bool] = False
    """Whether it can write, as a `<secondary>`, the payloads that any other output has encoded."""

    delayed_commit: ClassVar[bool] = False
    """Whether `write` hands the chunk over and then waits for the peer to confirm it (`try_write` in fluentd).

    Such a `write` is cancelled after `delayed_commit_timeout`, and the chunk is tried again.
    """

    def __init__(self, options: O, host: OutputHost) -> None:
        super().__init__(options, host)

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk. Called for one chunk at a time, or `flush_thread_count` of them.

        Returning means delivered: the chunk is gone. `RetryLater` waits as told, `PermanentError` sends the chunk to
        `<secondary>`, or divides it until the records to blame are found, `RefusedRecords` names them where all others
        are delivered, anything else follows the `retry_*` settings, with the same chunk.
        """
        raise NotImplementedError

    async def peers(self) -> Sequence[Peer]:
        """Return whom it sends to, for `logpipe check --connect` to try each; none by default.

        Called in the place of `start`, with `stop` behind it. It may look up who they are; an exception says why it
        cannot.
        """
        return ()

    async def begun(self, chunk: Chunk, file: Path | None) -> None:
        """Hear of a chunk that has its first events of this run, and of its file; None where it has none, as in memory.

        Called once per chunk; the input waits meanwhile. An exception is logged, and has no other consequence.
        """

    async def process(self, batch: EventBatch) -> None:
        """Deliver a batch, without a buffer. Called once per batch; batches of different inputs may overlap.

        Returning means accepted. Where delivery goes on after the return, hold the batch's receipt and release it
        when the peer has confirmed, and count what it confirms in the counter `emit_records`. An exception means that
        the input is still responsible for the events.
        """
        raise NotImplementedError

    async def flush(self) -> None:
        """Wait until what `process` accepted is delivered.

        Called while draining, again if events came since, and within the shutdown's deadline.
        """

    encode: Callable[[EventBatch], Payloads] | None = None
    """Override as a method to make the payloads once, on entry to the buffer; `Chunk.payloads` yields them.

    One payload per event, in order: a new list, or an `Encoded`, which costs no object for each and stays in one
    piece all the way through a buffer. A record that cannot be encoded goes to `host.emit_error`, and its payload is
    empty: then the payloads are a list.
    """

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return how it emits what it takes, for `check` to find circles; override it where tags or labels are made.

        Called before anything was checked or converted, also for sections that turn out to be wrong: it must not raise.
        """
        del element
        return (Way(),) if cls.passes_to == "route" else ()

    @classmethod
    def buffer_path(cls, options: Any) -> str:
        """Return where a buffer in files goes for which the user gave neither `path` nor `root_dir`; "" for nowhere."""
        del options
        return ""

    @classmethod
    def is_buffered(cls) -> bool:
        """Return whether it can have a `<buffer>`."""
        return cls.write is not Output.write

    @classmethod
    def is_direct(cls) -> bool:
        """Return whether it can work without one."""
        return cls.process is not Output.process
