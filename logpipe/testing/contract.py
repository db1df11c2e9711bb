"""What every plugin promises, as assertions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from logpipe.config.compat import convert
from logpipe.config.diagnostic import ConfigError, Diagnostic
from logpipe.config.options import Options
from logpipe.engine.accounting import DROPPED, MADE
from logpipe.event import EventBatch, Receipt, Record
from logpipe.plugin import AsyncFilter, Filter, Formatter, Input, Output, Parser, Plugin
from logpipe.registry import Registry
from logpipe.testing.fake_host import FakeHost, found_by
from logpipe.testing.pipeline import parse


def configure(cls: type[Plugin[Any]], conf: str = "", *, section: str = "") -> Options:
    """Return the options of a plugin class read from the body of its section.

    Raises:
        ConfigError: there are mistakes.
    """
    name = section or {"input": "source", "output": "match", "parser": "parse", "formatter": "format"}.get(
        cls.kind, cls.kind
    )
    (element,) = parse(f"<{name}>\n@type {cls.types[0]}\n{conf}\n</{name}>\n").elements
    found: list[Diagnostic] = []
    registry = Registry()
    convert(element, cls.compat, keep=cls.compat_kept, own=cls.compat_own, of_parser=registry.flat_of_parser)

    options = cls.options_class.read(element, found.append, find=found_by(registry))
    if any(diagnostic.severity == "error" for diagnostic in found):
        raise ConfigError(found)
    return options


def build(cls: type[Plugin[Any]], conf: str = "", *, host: FakeHost | None = None) -> Any:
    """Construct a plugin from the body of its section, on a fake host."""
    return cls(configure(cls, conf), host or FakeHost())


RECORDS: Final[tuple[Record, ...]] = tuple({"message": f"event {number}"} for number in range(9))


async def check_plugin(cls: type[Plugin[Any]], conf: str = "", *, records: Sequence[Record] = RECORDS) -> None:
    """Assert what every plugin promises.

    It has types and a docstring; each setting has a sentence; constructing starts no task; `stop` is quiet without
    `start` and when called twice; an empty batch passes; a filter that is given `records` says of each that is missing
    or added that it dropped, made or holds it. One that holds events back lets go of all of them when it is drained, in
    order, and of the receipts of their batches not before; `records` that it holds some of show more. The traits of its
    class are true, as far as its settings show it, and what an output with `passes_to` does with `records`.
    """
    assert cls.types, f"{cls.__name__} has no type"
    assert cls.__doc__, f"{cls.__name__} has no docstring"
    for name, setting in cls.options_class.settings().items():
        assert setting.doc.strip().endswith("."), f"{cls.__name__}.{name}: its sentence does not end with a full stop"
    _check_traits(cls)
    host = FakeHost()
    plugin = build(cls, conf, host=host)
    assert not host.tasks, f"{cls.__name__} starts tasks when constructed"
    await plugin.stop()
    await plugin.stop()
    empty = EventBatch("test", [], [])
    if isinstance(plugin, (Filter, AsyncFilter)):
        assert len(await _processed(plugin, empty)) == 0
        await _check_count(plugin, host, records)
        if plugin.holds_back():
            await _check_drain(build(cls, conf, host=(of_drain := FakeHost())), of_drain, records)
            await of_drain.cancel_tasks()
    if isinstance(plugin, Output) and plugin.passes_to:
        await _check_passing(plugin, host, records)
    if isinstance(plugin, Parser):
        assert plugin.parse_lines([], 0).records == []
    if isinstance(plugin, Formatter):
        assert plugin.format_batch(empty, lambda _index, _error: None) == []
    await host.cancel_tasks()


def _check_traits(cls: type[Plugin[Any]]) -> None:
    """Assert that what a class says of itself fits its settings."""
    settings = {setting.name or name: setting for name, setting in cls.options_class.settings().items()}
    name = cls.__name__
    if issubclass(cls, Input):
        assert not cls.keeps_tag or "tag" in settings, f"{name} keeps_tag, and has no setting tag"
        has_address = {"bind", "port"} <= settings.keys()
        assert not cls.listens or has_address, f"{name} listens, and has no settings bind and port"
        assert cls.listens or not has_address, f"{name} has bind and port: listens says what who reaches it can do"
        for section in cls.protected_by:
            assert section in settings, f"{name} is protected_by <{section}>, which it does not have"
    if issubclass(cls, Output) and cls.passes_to in {"store", "stores"}:
        nested = any(setting.plugin_kind == "output" or setting.role == "raw" for setting in settings.values())
        assert nested, f"{name} passes to {cls.passes_to}, and has no section of outputs"
    if issubclass(cls, Output) and cls.takes_any_chunk:
        assert cls.is_buffered(), f"{name} takes_any_chunk, and has no write"


async def _check_passing(output: Output[Any], host: FakeHost, records: Sequence[Record]) -> None:
    """Assert that an output passes on what it takes, or says why not, and under which tags."""
    name, taken = type(output).__name__, len(records)
    try:
        await output.process(EventBatch("test", [0] * taken, [dict(record) for record in records]))
    except Exception:  # noqa: BLE001 - then its input makes them again
        return
    given = [len(collector.events()) for collector in host.outlets]
    left = taken + host.counter(*MADE).value - host.counter(*DROPPED).value - len(host.errors)
    if output.passes_to == "stores":
        assert {*given} <= {0, left}, f"{name} gives its stores {given} of {left} events: each gets all that others get"
        assert left in {0, *given}, f"{left} of {taken} events are lost in {name}: tell host.dropped"
    else:
        left -= sum(given) + sum(map(len, host.emitted))
        assert left <= 0, f"{left} of {taken} events are lost in {name}: pass them on or tell host.dropped"
        assert left == 0, f"{-left} events more than came are made in {name}: tell host.made"
    tags = {batch.tag for batch in host.emitted}
    assert not output.keeps_tag or tags <= {"test"}, f"{name} makes the tags {tags}: write keeps_tag = False"


async def _processed(plugin: Filter[Any] | AsyncFilter[Any], batch: EventBatch) -> EventBatch:
    return plugin.process(batch) if isinstance(plugin, Filter) else await plugin.process(batch)


async def _check_count(plugin: Filter[Any] | AsyncFilter[Any], host: FakeHost, records: Sequence[Record]) -> None:
    """Assert that a filter speaks for every event that it does not pass."""
    batch = EventBatch("test", [0] * len(records), [dict(record) for record in records])
    batch.dropped = dropped = host.counter(*DROPPED)
    try:
        passed = len(await _processed(plugin, batch))
    except Exception:  # noqa: BLE001 - then all of the batch goes to `@ERROR`
        return
    passed += sum(map(len, host.forwarded))
    lost = len(records) + host.counter(*MADE).value - passed - plugin.held() - dropped.value - len(host.errors)
    name = type(plugin).__name__
    assert lost <= 0, f"{lost} of {len(records)} events are lost in {name}: leave them out by keep or tell host.dropped"
    assert lost == 0, f"{-lost} events more than came are made in {name}: tell host.made, and keep which are errors"


async def _check_drain(plugin: Filter[Any] | AsyncFilter[Any], host: FakeHost, records: Sequence[Record]) -> None:
    """Assert that what a filter holds back comes out at the end, in order, and that nothing is settled before."""
    name = type(plugin).__name__
    settled: list[int] = []
    passed: list[EventBatch] = []
    for number, record in enumerate(records):
        receipt = Receipt(lambda number=number: settled.append(number))  # type: ignore[misc]
        batch = EventBatch("test", [number], [dict(record)], receipt)
        batch.dropped = host.counter(*DROPPED)
        before = len(host.forwarded)
        result = await _processed(plugin, batch)
        passed += [*host.forwarded[before:], result]
        if result.receipt is not receipt and result.receipt is not None:
            result.receipt.release()
        receipt.release()
    held, owed = plugin.held(), len(records) - len(settled)
    assert not held or owed, f"{name} holds {held} events and none of their receipts: hold a receipt with its events"
    before = len(host.forwarded)
    await plugin.drain()
    passed += host.forwarded[before:]
    assert not plugin.held(), f"{name} still holds {plugin.held()} events after drain: forward them"
    assert len(settled) == len(records), (
        f"{name} still holds {len(records) - len(settled)} receipts after drain: release what it has held"
    )
    times = [time for batch in passed for time in batch.times]
    assert times == sorted(times), f"{name} changes the order of events: {times}"
