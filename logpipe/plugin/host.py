"""What the engine lends a plugin: the host, the clock, and what outputs and inputs are given or give to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from logpipe.config.options import PluginConf
from logpipe.event import EventBatch, Receipt, Record, Time
from logpipe.files import Files
from logpipe.metrics import Counter
from logpipe.plugin.monitor import Monitor

if TYPE_CHECKING:
    from logpipe.plugin.codecs import Formatter, Parser

T = TypeVar("T")


class ChunkKey(NamedTuple):
    """What the events of a chunk have in common."""

    timekey: int | None = None
    """The start of the time slice, seconds since the epoch; None unless `time` is a chunk key."""
    tag: str | None = None
    """The tag; None unless `tag` is a chunk key."""
    variables: tuple[tuple[str, Any], ...] = ()
    """The other chunk keys with their values, in the order of `<buffer ARG>`; a missing field is None.

    Values hold their type: the keys of true, 1 and 1.0 are three.
    """
    came_through_error: bool = False
    """Whether the events have been in `<label @ERROR>`: those that fail again are dead letters."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and len(other) == len(self) and self._typed == ChunkKey(*other)._typed

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._typed)

    @property
    def _typed(self) -> tuple[Any, ...]:
        variables = ((name, identity(value)) for name, value in self.variables)
        return (self.timekey, self.tag, self.came_through_error, *variables)


def identity(value: Any) -> Any:
    """Return what is equal for equal values of one type only, and can be hashed: Python takes true for 1 and 0.0 for 0.

    Raises:
        RecursionError, ValueError: it is nested too deeply, or holds a number of too many digits.
    """
    return value if type(value) is str else (type(value), repr(value))


class Chunk(Protocol):
    """Events on their way to one `Output.write`."""

    id: str
    """32 hexadecimal digits, the same at each attempt."""
    key: ChunkKey
    size: int
    """Bytes of payload; an estimate where the chunk holds records."""
    progress: Any
    """None at first; whatever the output wants to remember from one attempt to the next.

    A number of events, a set of their numbers, or a sequence with something true for each event: those need no other
    attempt. Such a `progress` is kept when the chunk is divided, and what it says is delivered makes no dead letters.
    """

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

    In a constructor only the attributes and `counter`, `gauge`, `claim`, `emitter`, `parser`, `formatter`, `outlet`
    may be used.
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

    def emitter(self, label: str) -> Callable[[EventBatch], Awaitable[None]]:
        """Return what sends a batch into another label than `@label` names, on the terms of `emit`.

        Raises:
            InvalidSetting: there is no such label.
        """
        ...

    def emit_error(
        self, tag: str, time: Time, record: Record, error: Exception, *, receipt: Receipt | None = None
    ) -> None:
        """Hand one bad event to `<label @ERROR>`, or to the log where there is none.

        The receipt is held until the dead letter was accepted.
        """
        ...

    def dropped(self, count: int) -> None:
        """Say that so many events were dropped on purpose, where neither `Filter.filter` nor `EventBatch.keep` did it.

        Of an output these are events that its settings say to throw away.
        """
        ...

    def made(self, count: int) -> None:
        """Say that so many events were made of others: one that was split in three has made two."""
        ...

    def passed(self, outlet: Outlet, count: int) -> None:
        """Say that an outlet of `outlet` is given so many events now; again at each attempt.

        The ledger compares it with what came to the outlet; an output that never says it is not looked at.
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
    def monitor(self) -> Monitor:
        """A view of all plugins and of the ledger, from `start` on."""
        ...

    @property
    def chunk_keys(self) -> tuple[str, ...]:
        """The ARG of the output's `<buffer ARG>`, or the default; empty for a direct output."""
        ...
