"""The ledger: where every byte and every event of a run went, added up from what each part has counted.

Three kinds of lines. Of a *source* (a file): bytes written = read earlier + read + skipped + abandoned + waiting. Of a
*route* (the root, a label): events in = dropped by filters + errors of filters + held by filters + unmatched + passed
to outputs + refused, which whoever emitted them makes again. Of an *output*: events taken + resumed = delivered +
errors + dead letters + dropped + thrown away + damaged + refused by the disk + waiting. Of an *edge*, a link between
two of them: what the one has given = what the other has taken. Each number is counted where it happens and none is
what the others leave; what is in none of these is *unexplained*, and a mistake of ours, or of the plugin that it was
lost in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from logpipe.engine.accounting import MISSING, Edge
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.engine.hosts.host import World
from logpipe.engine.hosts.kinds import FilterPluginHost, InputPluginHost, OutputPluginHost, Stage, Stages
from logpipe.engine.routing.router import Router
from logpipe.engine.running.left_behind import Left, reload_edges
from logpipe.metrics import SourceAccount
from logpipe.plugin import FilterBase, Input


@dataclass(frozen=True, slots=True)
class InputLine:
    """The events of one input."""

    plugin_id: str
    emitted: int
    """What the outputs of its route accepted."""
    errors: int
    """What it could make no events of."""
    unmatched: int = 0
    """Lines in no format that its parser knows; they are in the log, and events with emit_unmatched_lines only."""


@dataclass(frozen=True, slots=True)
class RouteLine:
    """The events of the root or of one label."""

    name: str
    emitted: int
    filtered: Mapping[str, int] = field(default_factory=dict)
    """Events that each filter dropped on purpose, by plugin id; below zero where it made more of them."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Events that each filter could not handle."""
    unmatched: int = 0
    passed: int = 0
    refused: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    """Events that filters hold back, by plugin id; what they still hold at the end comes from its source again."""
    unexplained: int = 0
    """Of a running graph: events that are in the middle of the route."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """Of the unexplained ones: events that are missing from what a filter returned, by plugin id, without a word that
    it dropped them; below zero where there are more than came."""


@dataclass(frozen=True, slots=True)
class OutputLine:
    """The events of one output."""

    plugin_id: str
    taken: int
    resumed: int = 0
    """What a previous run had left in the buffer."""
    delivered: int = 0
    errors: int = 0
    dead_letters: int = 0
    dropped: int = 0
    """By `overflow_action drop_oldest_chunk`, or as the plugin's own settings say."""
    thrown_away: int = 0
    damaged: int = 0
    refused_by_disk: int = 0
    waiting: int = 0
    unexplained: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """All lines of one worker."""

    sources: tuple[SourceAccount, ...]
    inputs: tuple[InputLine, ...]
    routes: tuple[RouteLine, ...]
    outputs: tuple[OutputLine, ...]
    edges: tuple[Edge, ...] = ()
    errors_unexplained: int = 0
    """Error events that are neither in `@ERROR` nor in a file nor on their way there."""

    @property
    def unexplained(self) -> int:
        """How much is in no line: 0 after a graph has stopped, whatever has happened."""
        sources = sum(abs(source.unexplained) for source in self.sources)
        routes = sum(max(abs(line.unexplained), sum(map(abs, line.lost.values()))) for line in self.routes)
        outputs = sum(abs(line.unexplained) for line in self.outputs)
        return sources + routes + outputs + sum(abs(line.lost) for line in self.edges) + abs(self.errors_unexplained)

    def gaps(self) -> list[str]:
        """Return in words where events were lost or came from nowhere: `lost in filter p: 3`."""
        found = [(f"in filter {name}", lost) for line in self.routes for name, lost in line.lost.items()]
        found += [(f"in route {line.name}", line.unexplained - sum(line.lost.values())) for line in self.routes]
        found += [(f"in output {line.plugin_id}", line.unexplained) for line in self.outputs]
        found += [(f"between {line.giver} and {line.taker}", line.lost) for line in self.edges]
        found.append(("among errors", self.errors_unexplained))
        return [f"{'lost' if lost > 0 else 'made'} {where}: {abs(lost)}" for where, lost in found if lost]

    def document(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "sources": list(map(_source_document, self.sources)),
            "inputs": list(map(asdict, self.inputs)),
            "routes": list(map(asdict, self.routes)),
            "outputs": list(map(asdict, self.outputs)),
            "edges": [{**asdict(edge), "lost": edge.lost} for edge in self.edges],
            "gaps": self.gaps(),
            "sums": self.sums(),
            "unexplained": self.unexplained,
        }

    def lines(self) -> list[str]:
        """Return it as text for people: what is not zero, the sums in the last line."""
        # of the sources those that somebody should look at: there may be thousands of others
        odd = (source for source in self.sources if source.abandoned or source.unexplained)
        shown = [f"ledger of source {source.name}: {_numbers(_source(source))}" for source in odd]
        shown += [f"ledger of input {line.plugin_id}: {_numbers(_counts(line))}" for line in self.inputs]
        shown += [f"ledger of route {line.name}: {_numbers(_route(line))}" for line in self.routes if line.emitted]
        shown += [f"ledger of output {line.plugin_id}: {_numbers(_counts(line))}" for line in self.outputs]
        shown += [
            f"ledger of edge {line.giver} to {line.taker}: given={line.given} taken={line.taken} lost={line.lost}"
            for line in self.edges
            if line.lost
        ]
        return [*shown, f"ledger: {_numbers(self.sums())} unexplained={self.unexplained}"]

    def sums(self) -> dict[str, int]:
        """Return the numbers that matter, over all lines."""
        totals: dict[str, int] = {
            "emitted": sum(line.emitted for line in self.inputs),
            "input_errors": sum(line.errors for line in self.inputs),
            "unmatched_lines": sum(line.unmatched for line in self.inputs),
        }
        for source in self.sources:
            for name, count in _source(source).items():
                totals[f"{name}_bytes"] = totals.get(f"{name}_bytes", 0) + count
        for line in self.outputs:
            for name, count in _counts(line).items():
                totals[name] = totals.get(name, 0) + count
        totals["filtered"] = sum(sum(line.filtered.values()) for line in self.routes)
        totals["filter_errors"] = sum(sum(line.errors.values()) for line in self.routes)
        totals["unmatched"] = sum(line.unmatched for line in self.routes)
        totals["held"] = sum(sum(line.held.values()) for line in self.routes)
        totals["refused"] = sum(line.refused for line in self.routes)
        return totals


def _source_document(source: SourceAccount) -> dict[str, Any]:
    """Return a source as JSON has it; there may be thousands, for which asdict would take a second."""
    return {
        "name": source.name,
        "written": source.written,
        "before": source.before,
        "read": source.read,
        "skipped": dict(source.skipped),
        "abandoned": dict(source.abandoned),
        "waiting": source.waiting,
        "unexplained": source.unexplained,
    }


def _numbers(numbers: Mapping[str, int]) -> str:
    return " ".join(f"{name}={count}" for name, count in numbers.items() if count) or "nothing"


def _counts(line: InputLine | OutputLine) -> dict[str, int]:
    """Return the numbers of a line by their names."""
    return {name: count for name, count in asdict(line).items() if name != "plugin_id"}


def _source(source: SourceAccount) -> dict[str, int]:
    numbers = {"written": source.written, "before": source.before, "read": source.read}
    numbers.update((f"skipped.{reason}", count) for reason, count in source.skipped.items())
    numbers.update((f"abandoned.{reason}", count) for reason, count in source.abandoned.items())
    return {**numbers, "waiting": source.waiting, "unexplained": source.unexplained}


def _route(line: RouteLine) -> dict[str, int]:
    numbers = {"in": line.emitted}
    for what in ("filtered", "errors", "held", "lost"):
        numbers.update((f"{what}.{name}", count) for name, count in getattr(line, what).items())
    rest = {"unmatched": line.unmatched, "passed": line.passed, "refused": line.refused}
    return {**numbers, **rest, "unexplained": line.unexplained}


def take(
    stages: Stages, routers: Iterable[Router], outlets: Iterable[BufferedOutlet], world: World, before: Left
) -> Ledger:
    """Return the ledger as it is now; `before` is what the run before has left in buffers."""
    outlets = list(outlets)
    buffered = {id(outlet.output): outlet for outlet in outlets}
    errors_of_secondaries = {
        id(stage.plugin): stage.host.errors.value for stage in stages.outputs if stage.host.is_secondary
    }
    outputs = []
    for stage in stages.outputs:
        outlet = buffered.get(id(stage.plugin))
        if outlet is not None:
            outputs.append(_buffered_line(stage, outlet, errors_of_secondaries.get(id(outlet.secondary), 0)))
        elif not stage.host.is_secondary:
            outputs.append(_direct_line(stage))
    return Ledger(
        sources=tuple(chain(*(each.plugin.accounts() for each in stages.inputs if isinstance(each.plugin, Input)))),
        inputs=tuple(map(_input_line, stages.inputs)),
        routes=tuple(_route_line(router, stages.filters) for router in routers),
        outputs=tuple(outputs),
        edges=tuple(map(copy, (*world.edges, _errors(stages, world), *reload_edges(before, outlets)))),
        errors_unexplained=world.dead_letters.unexplained,
    )


def _errors(stages: Stages, world: World) -> Edge:
    """Return the link from all stages to what takes their errors."""
    given = sum(stage.host.errors.value for stage in (*stages.inputs, *stages.filters, *stages.outputs))
    return Edge("stages", "errors", given, world.dead_letters.count.value)


def _count(stage: Stage[Any], name: str) -> int:
    counter = stage.host.metrics.counters.get(name)
    return 0 if counter is None else counter.value


def _input_line(stage: Stage[InputPluginHost]) -> InputLine:
    host = stage.host
    return InputLine(host.plugin_id, host.emitted.value, host.errors.value, _count(stage, "unmatched_lines"))


def _route_line(router: Router, filters: Iterable[Stage[FilterPluginHost]]) -> RouteLine:
    filtered: dict[str, int] = {}
    errors: dict[str, int] = {}
    held: dict[str, int] = {}
    lost: dict[str, int] = {}
    for stage in filters:
        if stage.host.label != router.name:
            continue
        name = stage.host.plugin_id
        filtered[name] = _count(stage, "filtered_records") - _count(stage, "made_records")
        errors[name] = stage.host.errors.value
        missing = _count(stage, "taken_records") - _count(stage, "passed_records") - filtered[name] - errors[name]
        if isinstance(stage.plugin, FilterBase) and (holding := stage.plugin.held()):
            held[name] = holding
            missing -= holding
        if missing:
            lost[name] = missing
    gone = sum(filtered.values()) + sum(errors.values()) + sum(held.values())
    unmatched, passed, refused = router.unmatched.value, router.passed.value, router.refused.value
    unexplained = router.emitted.value - gone - unmatched - passed - refused
    return RouteLine(
        router.name,
        router.emitted.value,
        filtered,
        errors,
        unmatched,
        passed,
        refused,
        held=held,
        unexplained=unexplained,
        lost=lost,
    )


def _direct_line(stage: Stage[OutputPluginHost]) -> OutputLine:
    """Return the line of an output without a buffer; one that confirms later counts what it has delivered itself."""
    taken = _count(stage, "taken_records") + _count(stage, "rejected_records")
    errors, dropped, missing = stage.host.errors.value, _count(stage, "discarded_records"), _count(stage, MISSING[0])
    confirmed = stage.host.metrics.counters.get("emit_records")
    left = taken - errors - dropped - missing
    delivered = left if confirmed is None else confirmed.value
    waiting = left - delivered
    return OutputLine(
        stage.host.plugin_id,
        taken,
        delivered=delivered,
        errors=errors,
        dropped=dropped,
        waiting=max(0, waiting),
        unexplained=missing + min(0, waiting),
    )


def _buffered_line(stage: Stage[OutputPluginHost], outlet: BufferedOutlet, errors_of_secondary: int) -> OutputLine:
    staging = outlet.staging
    rejected = _count(stage, "rejected_records")
    taken, left_out = staging.taken.value + rejected, staging.left_out.value + rejected
    errors = stage.host.errors.value + errors_of_secondary
    dropped = staging.dropped_records.value
    refused, discarded = _count(stage, "buffer_refused_records"), _count(stage, "discarded_records")
    given_up, thrown_away = outlet.giving_up.saved.value, outlet.giving_up.thrown_away.value
    damaged, flushed = _count(stage, "damaged_records"), _count(stage, "flushed_records")
    gone = given_up + thrown_away + dropped + damaged + refused
    # what came to the chunks, and not what these have counted: between the two an event may be lost as well
    entered = staging.entered + rejected
    unexplained = entered + staging.resumed.value - left_out - flushed - gone - staging.waiting
    return OutputLine(
        stage.host.plugin_id,
        taken,
        resumed=staging.resumed.value,
        # an event that a chunk holds and that was an error while the chunk was delivered is not delivered
        delivered=flushed - (errors - left_out) - discarded,
        errors=errors,
        dead_letters=given_up,
        dropped=dropped + discarded,
        thrown_away=thrown_away,
        damaged=damaged,
        refused_by_disk=refused,
        waiting=staging.waiting,
        unexplained=unexplained,
    )
