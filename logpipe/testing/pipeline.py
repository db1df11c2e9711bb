"""Runs a stage or a configuration in the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from logpipe.config.diagnostic import ConfigError, Diagnostic
from logpipe.config.element import Element
from logpipe.config.parser import parse_text
from logpipe.engine.building.outlets import Replace
from logpipe.engine.dead_letters.letters import Letter, decode
from logpipe.engine.hosts.host import SystemClock
from logpipe.engine.running.graph import THREADS, Graph
from logpipe.event import Event, EventBatch, Receipt, Record, Time
from logpipe.plugin import Clock, Plugin
from logpipe.registry import Registry
from logpipe.testing.clock import ManualClock, Threads, wait_for
from logpipe.testing.collector import Collector, LogCapture

_OWN_LOG: Final = "<label @FLUENT_LOG>\n  <match **>\n    @type test\n    name own_log\n  </match>\n</label>\n"


class Pipeline:
    """A configuration that runs in this process."""

    def __init__(self, graph: Graph, log: LogCapture, warnings: list[Diagnostic]) -> None:
        self.graph = graph
        self.log = log
        self.warnings = warnings
        self.errors: list[tuple[str, Time, Record, Exception]] = []
        """What stages handed to `host.emit_error`, whether there is an `@ERROR` or not."""
        self._letters: list[Letter] = []

    def keep_letters(self) -> None:
        """Remember the dead letters: their folder goes when the block ends."""
        self._letters = self.dead_letters()

    async def feed(
        self,
        tag: str,
        *records: Record,
        times: list[Time] | None = None,
        receipt: Receipt | None = None,
        label: str = "@ROOT",
    ) -> None:
        """Emit a batch as an input would."""
        moments = times if times is not None else [self.graph.world.clock.now()] * len(records)
        await self.emit(EventBatch(tag, moments, list(records), receipt), label=label)

    async def emit(self, batch: EventBatch, *, label: str = "@ROOT") -> None:
        """Emit a batch that was made elsewhere, a `LineBatch` say; it is given away."""
        await self.graph.routers[label].emit(batch)

    def dead_letters(self) -> list[Letter]:
        """Return the letters in the files of dead letters, the oldest file first."""
        base = self.graph.world.dead_letters.files.base
        return read_letters(base) if base.exists() else self._letters

    def collector(self, name: str = "") -> Collector:
        """Return the `@type test` output with that `name` setting."""
        for stage in self.graph.stages.outputs:
            if isinstance(stage.plugin, Collector) and stage.plugin.options.name == name:
                return stage.plugin
        raise LookupError(f'no <match> with @type test and name "{name}"')

    def events(self, pattern: str = "**", *, name: str = "") -> list[Event]:
        """Return what a collector holds, by tag pattern."""
        return self.collector(name).events(pattern)

    def records(self, pattern: str = "**", *, name: str = "") -> list[Record]:
        """Return the records a collector holds, by tag pattern."""
        return [event.record for event in self.events(pattern, name=name)]

    def plugin(self, cls: type[Plugin[Any]]) -> Any:
        """Return the first plugin of a class."""
        stages = self.graph.stages
        for stage in (*stages.inputs, *stages.filters, *stages.outputs):
            if isinstance(stage.plugin, cls):
                return stage.plugin
        raise LookupError(f"no {cls.__name__} in this configuration")

    def metric(self, name: str) -> float:
        """Return a counter or gauge by name, added up over all plugins."""
        stages = self.graph.stages
        every = (*stages.inputs, *stages.filters, *stages.outputs)
        return sum(stage.host.metrics.snapshot().get(name, 0) for stage in every)

    async def wait_for(self, condition: Callable[[], object], what: str = "") -> None:
        """Return when `condition()` is true."""
        await wait_for(condition, what)

    async def flush(self) -> None:
        """Queue everything that is staged and wait until it is delivered, and the buffers are rid of it."""
        self.graph.flush()
        await wait_for(lambda: all(outlet.is_idle for outlet in self.graph.outlets), "the buffers to empty")


def read_letters(folder: Path) -> list[Letter]:
    """Return the letters in a folder and those below, the oldest file first."""
    files = sorted(folder.rglob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return [decode(line) for path in files for line in path.read_bytes().splitlines()]


def parse(text: str, file: str = "test.conf") -> Element:
    """Return a configuration text's tree.

    Raises:
        ConfigError: it has mistakes.
    """
    found: list[Diagnostic] = []
    root = parse_text(text, file, report=found.append, file_type="guess")
    if any(diagnostic.severity == "error" for diagnostic in found):
        raise ConfigError(found)
    return root


@asynccontextmanager
async def pipeline(
    text: str,
    *plugins: type[Plugin[Any]],
    clock: Clock | None = None,
    worker_id: int = 0,
    file: str = "test.conf",
    after: Pipeline | None = None,
    expect_gaps: bool = False,
    replace: Replace | None = None,
) -> AsyncIterator[Pipeline]:
    """Run a configuration until the block ends; `plugins` are known by their `@type` beside the installed ones.

    The text is YAML where the name of its `file`, which is for places only, ends so. With `after` it comes after one
    that has ended, as after a reload. With `expect_gaps` its ledger need not add up. `replace` may give another output
    in the place of each, say `lambda conf, host: collecting(host) if conf.type == "kafka2" else None`.

    Raises:
        AssertionError: its ledger does not add up.
        ConfigError: the configuration has mistakes.
    """
    capture = LogCapture()
    log = capture.logger("logpipe_test")
    registry = Registry(log=log)
    registry.add(Collector, Path(__file__))
    for cls in plugins:
        registry.add(cls, Path(__file__))
    found: list[Diagnostic] = []
    with TemporaryDirectory(prefix="logpipe-backup-", ignore_cleanup_errors=True) as backup_dir:
        graph = Graph.build(
            parse(text, file),
            registry=registry,
            report=found.append,
            log=log,
            clock=clock or SystemClock(),
            worker_id=worker_id,
            backup_dir=Path(backup_dir),
            replace=replace,
        )
        if isinstance(clock, ManualClock):
            clock.threads = graph.world.threads = Threads(THREADS)
        if after is not None:
            graph.comes_after(after.graph.left())
        running = Pipeline(graph, capture, found)
        graph.world.dead_letters.seen = lambda *letter: running.errors.append(letter)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(graph.run(), name="graph")
            started = group.create_task(_started(graph), name="started")
            await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            try:
                if not task.done():
                    yield running
            finally:
                graph.request_stop()
        running.keep_letters()
    ledger = graph.ledger()
    assert expect_gaps or ledger.unexplained == 0, "\n".join([*ledger.lines(), *ledger.gaps()])


async def _started(graph: Graph) -> None:
    await graph.started.wait()


@asynccontextmanager
async def drive(
    cls: type[Plugin[Any]],
    conf: str = "",
    *,
    arg: str = "**",
    clock: Clock | None = None,
    plugins: tuple[type[Plugin[Any]], ...] = (),
) -> AsyncIterator[Pipeline]:
    """Run one input, filter or output with `conf` as the body of its section.

    A filter is followed by a collector, an input feeds one; `errors` holds what went to `@ERROR`.
    """
    name = {"input": "source", "filter": "filter", "output": "match"}[cls.kind]
    head = f"<{name}>" if name == "source" else f"<{name} {arg}>"
    collect = "" if name == "match" else "<match **>\n  @type test\n</match>\n"
    text = f"{head}\n  @type {cls.types[0]}\n{conf}\n</{name}>\n{collect}{_OWN_LOG}"
    async with pipeline(text, cls, *plugins, clock=clock) as running:
        yield running
