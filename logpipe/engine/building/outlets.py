"""Builds outputs: direct ones as they are, buffered ones behind their `<buffer>`, each with its `<secondary>`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from functools import partial
from typing import Any, Final, TypeAlias

from logpipe.config.buffer_options import BufferOptions
from logpipe.config.conversion import converter
from logpipe.config.declare import InvalidSetting, describe
from logpipe.config.diagnostic import Report, error
from logpipe.config.element import Element
from logpipe.config.options import PluginConf
from logpipe.engine.accounting import EMITS, MISSING, TAKEN, UNNAMED, Edge, Passing, Taker, passing
from logpipe.engine.buffering.chunk_keys import Slices, compile_place
from logpipe.engine.buffering.chunking import Staging
from logpipe.engine.building.buffer_lint import lint_buffer, lint_placeholders, lint_repeated, lint_secondary
from logpipe.engine.building.construction import Construction
from logpipe.engine.delivery.outlet import SLOW_FLUSH_SECONDS, BufferedOutlet
from logpipe.engine.delivery.sending import GivingUp
from logpipe.engine.hosts.host import PluginHost, StartError, started
from logpipe.engine.hosts.kinds import OutputPluginHost, Stage
from logpipe.engine.routing.router import Router
from logpipe.engine.sizes import SizedOutlet
from logpipe.errors import RetryLater
from logpipe.event import EventBatch
from logpipe.plugin import Buffer, Outlet, Output, OutputHost
from logpipe.plugin.failures import failure_of
from logpipe.time_format import find_zone

Replace: TypeAlias = Callable[[PluginConf, OutputHost], Output[Any] | None]
"""Returns what stands in for an output, for tests of a configuration; None to leave it."""
DEFAULT_BUFFER: Final = "memory"
"""fluentd's, plugin/output.rb: part of what a section without `<buffer>` means."""


class Nowhere:
    """Stands where an output could not be built, so that the rest of the configuration is still checked."""

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Refuse: a graph with mistakes never runs."""
        del edge
        raise RuntimeError(f"a batch of {batch.tag} reached an output that could not be built")


class DirectOutlet:
    """An output without a buffer: what it accepts is counted."""

    def __init__(self, output: Output[Any], host: OutputPluginHost) -> None:
        self._process = output.process
        self._taken = host.counter(*TAKEN)
        self._emits = host.counter(*EMITS)

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Have the output deliver a batch."""
        count = len(batch.times)
        edge.taken += count
        self._emits.value += 1
        try:
            await self._process(batch)
        except (asyncio.CancelledError, SystemExit) as raised:
            error = failure_of(raised)
            if error is None:
                raise
            raise error from raised
        self._taken.value += count


class PassingOutlet(DirectOutlet):
    """An output that passes on what it takes: what it does not, and says nothing of, is counted as missing."""

    def __init__(self, output: Output[Any], host: OutputPluginHost) -> None:
        super().__init__(output, host)
        self._host = host
        self._missing = host.counter(*MISSING)

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Have the output pass a batch on."""
        mine = Passing(self._host, len(batch))
        before = passing.set(mine)
        try:
            await super().process(batch, edge)
        finally:
            passing.reset(before)
        if mine.left and not mine.is_served:
            self._missing.value += mine.left


class OutletBuilder:
    """Builds the outlets of one graph; `in_memory` keeps every buffer in memory, whatever the configuration says."""

    def __init__(self, plugins: Construction, *, in_memory: bool, replace: Replace | None = None) -> None:
        self._plugins = plugins
        self._in_memory = in_memory
        self._replace = replace
        self._is_building_late = False
        """Whether an outlet is being built whose parts start with its first batch."""
        self.buffered: list[BufferedOutlet] = []
        """Every buffered output, in the order they were built."""
        self.by_id: dict[str, Outlet] = {}
        """Every output's way in, but for secondaries', by the output's id."""

    def top(self, element: Element, router: Router) -> tuple[Taker, OutputPluginHost] | None:
        """Build the output of a `<match>`."""
        conf = self._plugins.configured("output", element)
        return None if conf is None else self._guarded(conf, self._plugins.host(conf, router, OutputPluginHost, self))

    def configured(self, section: Element, report: Report) -> PluginConf | None:
        """Read the section of an output that another has made."""
        return self._plugins.find("output", section.type, section, report)

    def nested_outlet(self, conf: PluginConf, parent: PluginHost) -> tuple[Taker, str]:
        """Build the output of a `<store>`, and say how links call it.

        Raises:
            InvalidSetting: it cannot be built, and the graph runs; else that is reported.
        """
        if not self._plugins.world.is_starting or self._is_building_late:
            return self._nested(conf, parent)
        outputs = self._plugins.stages.outputs
        known_outputs, known_buffers = len(outputs), len(self.buffered)
        self._is_building_late = True
        try:
            outlet, title = self._plugins.raising(lambda: self._nested(conf, parent))
        finally:
            self._is_building_late = False
        return LateOutlet(outlet, outputs[known_outputs:], self.buffered[known_buffers:]), title

    def _nested(self, conf: PluginConf, parent: PluginHost) -> tuple[Taker, str]:
        host = self._plugins.host(conf, parent.router or self._plugins.routers["@ROOT"], OutputPluginHost, self)
        built = self._guarded(conf, host)
        return Nowhere() if built is None else built[0], host.title

    def _guarded(self, conf: PluginConf, host: OutputPluginHost) -> tuple[Taker, OutputPluginHost] | None:
        """Build an output; what its class's own methods raise is reported."""
        return self._plugins.guarded(conf, lambda: self._build(conf, host))

    def router(self, label: str) -> Router | None:
        """Return a label's router."""
        return self._plugins.routers.get(label)

    def _build(self, conf: PluginConf, host: OutputPluginHost) -> tuple[Taker, OutputPluginHost] | None:
        lint_repeated(conf, self._plugins.report)
        cls: type[Output[Any]] = conf.plugin_class
        written = next(conf.element.sections("buffer"), None)
        buffered = cls.is_buffered() and (written is not None or not cls.is_direct())
        if written is not None and not buffered:
            message = f"{describe(conf.element)}: <buffer> section on a non-buffered plugin"
            self._plugins.report(error("unwanted-section", message, written.position, "remove it"))
            return None
        buffer_conf = self._buffer_conf(conf, written, host) if buffered else None
        if buffered and buffer_conf is None:
            return None
        if buffer_conf is not None:
            zone = self._zone(buffer_conf)
            keys = tuple(_options(buffer_conf).chunk_keys)
            host.zone_and_keys = lambda: (zone, keys)
        host.passes_to = cls.passes_to
        host.emits_unsaid = cls.keeps_tag and not any(cls.ways(conf.element))
        output = self._plugins.construct(conf, host)
        if not isinstance(output, Output):
            return None
        replaced = None if self._replace is None else self._replace(conf, host)
        self._plugins.stages.outputs.append(Stage(replaced or output, host))
        if replaced is not None:
            self.by_id[host.plugin_id] = direct = DirectOutlet(replaced, host)
            return direct, host
        secondary = self._secondary(conf, host, buffered=buffered)
        outlet: Taker | None = (PassingOutlet if cls.passes_to else DirectOutlet)(output, host)
        if buffer_conf is not None:
            if secondary is not None:
                written = next(conf.element.sections("secondary"))
                lint_secondary(_options(buffer_conf), output, secondary, written, self._plugins.report)
            outlet = self._buffered(conf, buffer_conf, output, host, secondary)
        if outlet is None:
            return None
        self.by_id[host.plugin_id] = outlet
        if host.sizes is not None:
            outlet = SizedOutlet(outlet, host.sizes)
        return outlet, host

    def _buffer_conf(self, conf: PluginConf, written: Element | None, host: OutputPluginHost) -> PluginConf | None:
        element = written or Element("buffer", position=conf.element.position, arg_position=conf.element.position)
        given = frozenset(element.params)
        if not element.arg:
            element.arg = conf.plugin_class.buffer_argument
        self._default(element, conf, host)
        if self._in_memory and "@type" in element.params:
            element.set("@type", DEFAULT_BUFFER, element.position)
        kind = element.type or DEFAULT_BUFFER
        path = "" if host.root_dir is not None else conf.plugin_class.buffer_path(conf.options)
        if path and "path" not in element.params and self._plugins.has_setting("buffer", kind, "path"):
            element.set("path", path, element.position)
        found = self._plugins.find("buffer", kind, element, self._plugins.report)
        if found is not None:
            lint_buffer(_options(found), element, given, self._plugins.report)
            lint_placeholders(conf, _options(found).chunk_keys, self._plugins.report)
        return found

    def _default(self, element: Element, conf: PluginConf, host: OutputPluginHost) -> None:
        """Add to a `<buffer>` what the output sets where the user did not."""
        defaults = dict(conf.plugin_class.buffer_defaults)
        kind = element.type or defaults.get("@type") or DEFAULT_BUFFER
        if not element.type and "@type" in defaults:
            element.set("@type", kind, element.position)
        # a <buffer> that was made of flat parameters has its output's own place
        was_flat = element.position is conf.element.position and "flush_interval" in element.params
        if (was_flat or "flush_interval" in conf.element.params) and "flush_mode" not in element.params:
            # compat: output.rb takes the mode from it; how long the interval is, <buffer> says
            host.log.info(
                "'flush_interval' is configured at out side of <buffer>. 'flush_mode' is set to 'interval' to keep "
                "existing behaviour"
            )
            element.set("flush_mode", "interval", element.position)
        if element.get("flush_mode", "interval") != "interval":
            defaults.pop("flush_interval", None)  # the user has said when chunks are flushed
        for name, value in defaults.items():
            if name not in element.params and self._plugins.has_setting("buffer", kind, name):
                element.set(name, value, element.position)

    def _zone(self, buffer_conf: PluginConf) -> tzinfo | None:
        """Return the zone of time slices, None for the machine's own."""
        options = _options(buffer_conf)
        if options.timekey_use_utc:
            return UTC
        if not options.timekey_zone:
            return None
        try:
            return find_zone(options.timekey_zone)
        except ValueError as problem:
            message = f"{buffer_conf.element.title}: timekey_zone: {problem}"
            place = buffer_conf.element.params["timekey_zone"].value_position
            self._plugins.report(error("invalid-value", message, place))
            return UTC

    def _secondary(self, conf: PluginConf, host: OutputPluginHost, *, buffered: bool) -> Output[Any] | None:
        element = next(conf.element.sections("secondary"), None)
        if element is None:
            return None
        problem = "Invalid <secondary> section for non-buffered plugin" if not buffered else ""
        if any(element.sections("buffer", "secondary")):
            problem = "<secondary> must not hold a <buffer> or <secondary> of its own"
        if problem:
            self._plugins.report(error("invalid-secondary", f"{describe(conf.element)}: {problem}", element.position))
            return None
        if not element.type:
            element.set("@type", conf.type, element.position)
        found = self._plugins.find("output", element.type, element, self._plugins.report)
        if found is None:
            return None
        if not found.plugin_class.is_buffered():
            message = f"{describe(conf.element)}: @type {found.type} cannot take chunks, so it is no <secondary>"
            self._plugins.report(error("invalid-secondary", message, element.position))
            return None
        own = self._plugins.host(found, host.router or self._plugins.routers["@ROOT"], OutputPluginHost, self)
        own.zone_and_keys = host.zone_and_keys
        own.is_secondary = True
        output = self._plugins.construct(found, own)
        if not isinstance(output, Output):
            return None
        self._plugins.stages.outputs.append(Stage(output, own))
        return output

    def _buffered(
        self,
        conf: PluginConf,
        buffer_conf: PluginConf,
        output: Output[Any],
        host: OutputPluginHost,
        secondary: Output[Any] | None,
    ) -> BufferedOutlet | None:
        buffer = self._plugins.construct(buffer_conf, host)
        if not isinstance(buffer, Buffer):
            return None
        options = _options(buffer_conf)
        slices = Slices.of(options, self._zone(buffer_conf))
        try:
            place = compile_place(options, slices)
        except ValueError as problem:
            self._plugins.report(error("invalid-argument", str(problem), buffer_conf.element.arg_position))
            return None
        world = self._plugins.world
        culprits = (host,) if secondary is None else (host, secondary.host)
        giving_up = GivingUp(
            host,
            world.dead_letters.files,
            host.culprit,
            has_label=lambda: world.dead_letters.has_label and not host.in_error_label,
            settle_errors=partial(world.dead_letters.settle, *culprits),
            is_thrown_away=options.disable_chunk_backup,
        )
        staging = Staging(output, buffer, options, place, host, slices=slices, has_secondary=secondary is not None)
        slow = self._slow_flush(conf)
        outlet = BufferedOutlet(output, buffer, staging, giving_up, secondary, host=host, slow_flush_seconds=slow)
        self.buffered.append(outlet)
        return outlet

    def _slow_flush(self, conf: PluginConf) -> float:
        text = conf.element.get("slow_flush_log_threshold")
        return SLOW_FLUSH_SECONDS if text is None else float(converter(float)(text))


def _options(buffer_conf: PluginConf) -> BufferOptions:
    if not isinstance(buffer_conf.options, BufferOptions):
        message = f"@type {buffer_conf.type} does not extend BufferOptions: report it to its authors"
        raise InvalidSetting(message, param="@type")
    return buffer_conf.options


class LateOutlet:
    """Starts what was built with its first batch; the graph stops it with all others.

    Args:
        outlet: the way in.
        stages: the outputs that were built.
        buffers: theirs.
    """

    def __init__(self, outlet: Taker, stages: Sequence[Stage[Any]], buffers: Sequence[BufferedOutlet]) -> None:
        self._outlet = outlet
        self._starts = [(stage.plugin.start, stage.host) for stage in stages]
        self._starts += [(buffer.start, buffer.host) for buffer in buffers]
        self._one_at_a_time = asyncio.Lock()

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Accept a batch.

        Raises:
            RetryLater: something could not start, which is tried again with the next batch.
        """
        if self._starts:
            try:
                async with self._one_at_a_time:
                    await self._start()
            except RetryLater:
                edge.taken += len(batch.times)  # what is refused was taken
                raise
        await self._outlet.process(batch, edge)

    async def _start(self) -> None:
        while self._starts:
            start, host = self._starts[0]
            try:
                await started(start(), host)
            except StartError as problem:
                raise RetryLater(str(problem)) from problem
            del self._starts[0]
