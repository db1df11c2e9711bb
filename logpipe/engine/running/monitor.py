"""The view that the graph gives of itself, as `logpipe.Monitor`: nothing is kept, all is read when somebody asks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from logpipe.config.element import Unset
from logpipe.engine.building.construction import ROOT
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.engine.hosts.host import PluginHost, World
from logpipe.engine.hosts.kinds import Stage, Stages
from logpipe.engine.routing.router import Router
from logpipe.engine.running.ledger import Ledger
from logpipe.engine.secrets import masked, secret_finder
from logpipe.engine.sizes import SIZE
from logpipe.engine.system import SystemOptions
from logpipe.metrics import Measurement, SourceAccount, measure
from logpipe.plugin import Input, PluginState, RetryState
from logpipe.version import __version__

OF_INPUTS: Final = frozenset({"emitted_records", SIZE[0]})
"""What `enable_input_metrics false` leaves out; the ledger counts on."""


class Watched(Protocol):
    """The graph, as far as it is shown."""

    world: World
    stages: Stages
    routers: dict[str, Router]
    outlets: list[BufferedOutlet]
    command_line: Mapping[str, Any]

    def ledger(self) -> Ledger:
        """Return where every byte and every event went so far."""


class StageState:
    """Implements `logpipe.PluginState` for one stage."""

    def __init__(
        self, stage: Stage[PluginHost], outlet: BufferedOutlet | None, *, hidden: frozenset[str] = frozenset()
    ) -> None:
        self.plugin_id = stage.host.plugin_id
        self.kind = stage.host.kind
        self.type = stage.host.type_name
        self._stage = stage
        self._outlet = outlet
        self._hidden = hidden
        """The numbers that are not shown."""

    def measurements(self) -> Iterator[Measurement]:
        """Yield its counters and gauges."""
        numbers = self._stage.host.metrics.measurements(self._unreadable)
        return (number for number in numbers if number.name not in self._hidden)

    def _unreadable(self, name: str, error: Exception) -> None:
        self._stage.host.log.warning("the number %s cannot be read: %r", name, error)

    def config(self) -> dict[str, str | None]:
        """Return its own parameters, secrets masked."""
        element = self._stage.host.element
        is_secret = secret_finder({id(element): self._stage.plugin.options_class})
        return {
            name: masked(param.value, is_secret=is_secret(element, param))
            for name, param in element.params.items()
            if not isinstance(param.value, Unset)
        }

    def retry(self) -> RetryState | None:
        """Return its retries, by the wall clock."""
        retry = None if self._outlet is None else self._outlet.staging.queue.retry
        if retry is None:
            return None
        clock = self._stage.host.clock
        now, zero = clock.now(), clock.monotonic()
        start, following = (now + round((moment - zero) * 1_000_000_000) for moment in (retry.start, retry.next_time))
        return RetryState(start, retry.steps, following)

    def timekeys(self) -> list[int] | None:
        """Return the time slices in its buffer."""
        return None if self._outlet is None else self._outlet.staging.timekeys

    def accounts(self) -> Iterable[SourceAccount]:
        """Return the sources of an input."""
        plugin = self._stage.plugin
        return plugin.accounts() if isinstance(plugin, Input) else ()


class GraphMonitor:
    """Implements `logpipe.Monitor`."""

    def __init__(self, graph: Watched, system: SystemOptions) -> None:
        self._graph = graph
        self._system = system

    def plugins(self) -> list[PluginState]:
        """Return every plugin in the order of fluentd's in_monitor_agent.rb."""
        graph = self._graph
        outlets = {id(outlet.output): outlet for outlet in graph.outlets}
        stages: list[Stage[PluginHost]] = list(graph.stages.inputs)
        for name in graph.routers:
            for those in (graph.stages.outputs, graph.stages.filters):
                stages += [stage for stage in those if stage.host.label == name]
        hidden = {} if self._system.enable_input_metrics else {"input": OF_INPUTS}
        return [
            StageState(stage, outlets.get(id(stage.plugin)), hidden=hidden.get(stage.host.kind, frozenset()))
            for stage in stages
        ]

    def output_of(self, tag: str) -> PluginState | None:
        """Return the output that the root sends a tag to."""
        host = self._graph.routers[ROOT].destination(tag)
        return next((state for state in self.plugins() if host is not None and state.plugin_id == host.plugin_id), None)

    def measurements(self) -> Iterator[Measurement]:
        """Yield what is counted of routes and dead letters, and what the ledger cannot explain."""
        world = self._graph.world
        for router in self._graph.routers.values():
            for counter in (router.emitted, router.unmatched, router.passed, router.refused):
                yield measure(counter, prefix="route_", labels=(("label", router.name),))
        keeper = world.dead_letters.files.keeper
        for counter in (world.dead_letters.filed, world.dead_letters.rescued, keeper.deleted):
            yield measure(counter)
        yield Measurement("gauge", "dead_letter_bytes", keeper.size, "Bytes of the files of dead letters.")
        doc = "Most bytes of dead letters that are kept, the oldest are deleted then: dead_letter_limit_size."
        yield Measurement("gauge", "dead_letter_limit_bytes", keeper.limit, doc)
        doc = "Events that are neither in @ERROR nor in a file of dead letters yet: many, where no file can be written."
        yield Measurement("gauge", "waiting_error_records", world.dead_letters.waiting, doc)
        yield measure(world.failures)
        doc = "Bytes and events that are in no line of the ledger; of a running graph, those in the middle of a route."
        yield Measurement("gauge", "ledger_unexplained", self._graph.ledger().unexplained, doc)

    def ledger(self) -> Mapping[str, Any]:
        """Return the ledger as JSON has it."""
        return self._graph.ledger().document()

    def process(self) -> Mapping[str, Any]:
        """Return what fluentd says at /api/config."""
        given = self._graph.command_line
        return {
            "pid": os.getpid(),
            "ppid": os.getppid(),
            "version": __version__,
            "config_path": given.get("config_path"),
            "pid_file": given.get("pid_file"),
            "plugin_dirs": given.get("plugin_dirs", []),
            "log_path": given.get("log_path") or self._system.log.path,
            "root_dir": self._system.root_dir,
        }
