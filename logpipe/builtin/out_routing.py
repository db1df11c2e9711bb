"""Outputs that forward or drop events: copy, relabel, null. Fluentd's out_copy, out_relabel and out_null."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, ClassVar, Literal

from logpipe import (
    Chunk,
    EventBatch,
    InvalidSetting,
    Options,
    Output,
    OutputHost,
    PluginConf,
    RetryingSender,
    param,
    plugin_section,
)
from logpipe.builtin.ignored_store import IgnoredStore
from logpipe.codec import LineBatch


class CopyOptions(Options):
    """Settings of `<match> @type copy`."""

    copy_mode: Literal["no_copy", "shallow", "deep", "marshal"] = param(
        "How records are copied for each store: their top level (no_copy, shallow), or nested values as well (deep, "
        "marshal).",
        default="no_copy",
    )
    deep_copy: bool = param("The old name of `copy_mode shallow`.", default=False, deprecated="use copy_mode")
    store: list[PluginConf] = plugin_section(
        "An output that gets every event. Failures of a `<store ignore_error>` are ignored; a `<store "
        "ignore_if_prev_success>` gets only events that the store before it did not accept.",
        kind="output",
        many=True,
        required=True,
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an error for `ignore_if_prev_success` on the first store."""
        if self.store and "ignore_if_prev_success" in self.store[0].element.arg:
            yield "ignore_if_prev_success must specify 2nd or later <store> directives"


@dataclass(frozen=True, slots=True)
class Store:
    """One store of a copy."""

    name: str
    process: Callable[[EventBatch], Awaitable[None]]
    """The way to its outlet, past `IgnoredStore` where there is one."""
    later: RetryingSender
    """Retries batches that a store before it has accepted."""
    is_buffered: bool
    """Whether it puts events into a buffer, without changing their records."""
    ignore_error: bool
    ignore_if_prev_success: bool


class Copy(Output[CopyOptions], type="copy"):
    """Passes every batch to each store in turn.

    A store may change its records without effect on the others, whereas fluentd's no_copy shares them. An exception of
    the first store goes back to the input, which sends the events again; a later store is retried while the input
    waits, so that those before it do not get the events twice. Failures with `ignore_error` are skipped.
    """

    passes_to = "stores"

    def __init__(self, options: CopyOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._stores = [_store(number, conf, host) for number, conf in enumerate(options.store, start=1)]
        is_deep = options.copy_mode in {"deep", "marshal"}
        self._copied: Callable[[EventBatch], EventBatch] = _deep_copy if is_deep else methodcaller("copy")
        conditional = any(store.ignore_if_prev_success for store in self._stores)
        if all(store.ignore_error for store in self._stores) and not conditional:
            host.log.warning(
                "ignore_errors are specified in all <store>, but ignore_if_prev_success is not specified. "
                "Is this intended?"
            )

    async def process(self, batch: EventBatch) -> None:
        """Deliver to each store.

        Raises:
            Exception: a store's without `ignore_error`, if no store has the batch, or nothing sends it again.
        """
        last, count = self._stores[-1], len(batch)
        succeeded = taken = False
        for store in self._stores:
            # compat: out_copy.rb considers only the store right before, and a skipped one has not succeeded
            if succeeded and store.ignore_if_prev_success:
                succeeded = False
                continue
            if taken and not store.ignore_error:
                # a store that may be retried, and may have changed the records before it failed, gets copies, too
                is_original = store is last and store.is_buffered
                await store.later.send(batch, _itself if is_original else self._copied)
                succeeded = True
            else:
                succeeded = await self._deliver(store, batch if store is last else self._copied(batch))
            taken = taken or succeeded
        if not taken:
            self.host.dropped(count)

    async def _deliver(self, store: Store, batch: EventBatch) -> bool:
        try:
            await store.process(batch)
        except Exception as error:
            if not store.ignore_error:
                raise
            self.host.log.error("ignore emit error in %s: %r", store.name, error)  # noqa: TRY400 - one line an error
            return False
        return True


def _store(number: int, conf: PluginConf, host: OutputHost) -> Store:
    words = conf.element.arg
    name = conf.element.get("@id") or f"store {number} ({conf.type})"
    outlet = host.outlet(conf)
    process = outlet.process
    has_buffer = any(conf.element.sections("buffer"))
    # only an outlet that can be flushed, that is with a buffer, accepts events before it delivers them
    delivers_later = conf.plugin_class.flush is not Output.flush and not has_buffer
    if delivers_later and "ignore_error" in words:
        process = IgnoredStore(outlet, host, name).process
    later = RetryingSender(process, host, name)
    is_buffered = has_buffer or not conf.plugin_class.is_direct()
    return Store(name, process, later, is_buffered, "ignore_error" in words, "ignore_if_prev_success" in words)


def _itself(batch: EventBatch) -> EventBatch:
    """Return the original, where nobody needs the records after it."""
    return batch


def _deep_copy(batch: EventBatch) -> EventBatch:
    if isinstance(batch, LineBatch) and batch.is_unread:
        return batch.copy()  # which decodes records of its own
    copied = EventBatch(batch.tag, list(batch.times), [_deep(record) for record in batch.records], batch.receipt)
    copied.origin = batch.origin
    return copied


def _deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _deep(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_deep(item) for item in value]
    return value


class RelabelOptions(Options):
    """Settings of `<match> @type relabel`."""

    label: str = param("The label that events go to.", name="@label")


class Relabel(Output[RelabelOptions], type="relabel"):
    """Sends events on to another label, with the same tag."""

    passes_to = "route"

    async def process(self, batch: EventBatch) -> None:
        """Emit a batch into the label."""
        await self.host.emit(batch)


class NullOptions(Options):
    """Settings of `<match> @type null`."""

    never_flush: bool = param("Fail always, for tests.", default=False)


class Null(Output[NullOptions], type="null"):
    """Drops events."""

    buffer_argument = "tag"
    buffer_defaults: ClassVar = {"flush_at_shutdown": "true", "chunk_limit_size": "10240"}

    async def process(self, batch: EventBatch) -> None:
        """Drop a batch."""
        del batch
        self._fail_if_configured()

    async def write(self, chunk: Chunk) -> None:
        """Drop a chunk."""
        del chunk
        self._fail_if_configured()

    def _fail_if_configured(self) -> None:
        if self.options.never_flush:
            raise RuntimeError("failed to flush, as set by never_flush")
