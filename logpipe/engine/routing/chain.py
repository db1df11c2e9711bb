"""What becomes of the events of one tag: the rules that match it, compiled into runs of filters and an outlet."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from logpipe.engine.accounting import DROPPED, ERRORS, MADE, PASSED, TAKEN, UNNAMED, Edge, Edges, Taker
from logpipe.engine.sizes import sized, sized_later
from logpipe.event import EventBatch, LineBatch
from logpipe.expression.time_limit import TimeLimitExceeded
from logpipe.metrics import Counter
from logpipe.plugin import AsyncFilter, Filter, Host


class Passage(Protocol):
    """The way past a filter that holds events back: gate.py."""

    async def pass_on(self, batch: EventBatch, chain: Chain, *, is_own: bool) -> None:
        """Send on what the filter has returned, with its own receipt or the input's; returns when it is accepted."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One `<filter>` or `<match>`, in file order."""

    matches: Callable[[str], bool]
    stage: Filter[Any] | AsyncFilter[Any] | Taker
    host: Host
    gate: Passage | None = None
    """The way past a filter that holds events back."""
    sizes: Counter | None = None
    """Counts the bytes of what a filter lets pass."""


R = TypeVar("R", EventBatch, Awaitable[EventBatch])


@dataclass(frozen=True, slots=True)
class Step(Generic[R]):
    """One filter of a chain, with what it adds to the books."""

    process: Callable[[EventBatch], R]
    host: Host
    edge: Edge
    """The link that leads to it."""
    taken: Counter
    passed: Counter
    dropped: Counter
    made: Counter
    errors: Counter
    name: str
    """The class's, for messages."""
    is_checked: bool
    """Whether what it returns is looked at: not where it is ours, or comes event by event, each looked at already."""

    @property
    def spoken_for(self) -> int:
        """How many events it has said not to pass, so far."""
        return self.dropped.value - self.made.value + self.errors.value

    def take_back(self, count: int) -> None:
        """Note that it has failed on a batch of which it had spoken for so many events: all of them are there still."""
        if count > 0:
            self.made.value += count
        else:
            self.dropped.value -= count


@dataclass(frozen=True, slots=True)
class Chain:
    """What happens to the batches of one tag: runs of synchronous filters, a waiting filter after each, an outlet.

    It ends with the first filter that holds events back, and goes on in `rest`. The outlet is in both of them.
    """

    runs: tuple[tuple[tuple[Step[EventBatch], ...], Step[Awaitable[EventBatch]] | None], ...]
    outlet: Callable[[EventBatch, Edge], Awaitable[None]] | None
    host: Host | None
    edge: Edge = UNNAMED
    """The link that leads to the outlet."""
    unknown: TimeLimitExceeded | None = None
    """Why nobody knows where the tag goes; `host` is whose pattern it is."""
    gate: Passage | None = None
    """The way past the last of these filters, which holds events back; it leads to `rest`."""
    rest: Chain | None = None


def compile_chain(rules: Sequence[Rule], tag: str, *, giver: str, edges: Edges) -> Chain:
    """Return what the rules make of a tag.

    Args:
        rules: in file order.
        tag: of the events.
        giver: how links call what the events come from.
        edges: keep the links.
    """
    runs: list[tuple[tuple[Step[EventBatch], ...], Step[Awaitable[EventBatch]] | None]] = []
    steps: list[Step[EventBatch]] = []
    for number, rule in enumerate(rules, start=1):
        try:
            matches = rule.matches(tag)
        except TimeLimitExceeded as error:
            return Chain((), None, rule.host, unknown=error)
        if not matches:
            continue
        edge = edges.between(giver, title_of(rule))
        giver = edge.taker
        if isinstance(rule.stage, AsyncFilter):
            later = rule.stage.process if rule.sizes is None else sized_later(rule.stage.process, rule.sizes)
            runs.append((tuple(steps), _step(rule.stage, later, rule.host, edge)))
            steps = []
        elif isinstance(rule.stage, Filter):
            process = rule.stage.process if rule.sizes is None else sized(rule.stage.process, rule.sizes)
            steps.append(_step(rule.stage, process, rule.host, edge))
        else:
            return Chain(_with(runs, steps), rule.stage.process, rule.host, edge)
        if rule.gate is not None:
            rest = compile_chain(rules[number:], tag, giver=giver, edges=edges)
            return replace(rest, runs=_with(runs, steps), gate=rule.gate, rest=rest)
    return Chain(_with(runs, steps), None, None)


def _with(
    runs: list[tuple[tuple[Step[EventBatch], ...], Step[Awaitable[EventBatch]] | None]], steps: list[Step[EventBatch]]
) -> tuple[tuple[tuple[Step[EventBatch], ...], Step[Awaitable[EventBatch]] | None], ...]:
    return (*runs, (tuple(steps), None)) if steps else tuple(runs)


def title_of(rule: Rule) -> str:
    """Return how links call a rule's stage."""
    kind = "filter" if isinstance(rule.stage, (Filter, AsyncFilter)) else "output"
    return f"{kind} {rule.host.plugin_id}"


def _step(stage: Filter[Any] | AsyncFilter[Any], process: Callable[[EventBatch], R], host: Host, edge: Edge) -> Step[R]:
    cls = type(stage)
    is_checked = not cls.__module__.startswith("logpipe.") and cls.process is not Filter.process
    taken, passed, dropped = host.counter(*TAKEN), host.counter(*PASSED), host.counter(*DROPPED)
    made, errors = host.counter(*MADE), host.counter(*ERRORS)
    return Step(process, host, edge, taken, passed, dropped, made, errors, cls.__name__, is_checked)


def problem_of(passed: Any, stage: str) -> TypeError | None:
    """Return what is wrong with what a filter's `process` returned; None where nothing is."""
    if not isinstance(passed, EventBatch):
        if inspect.iscoroutine(passed):
            passed.close()
        return TypeError(f"{stage}.process returned a {type(passed).__name__}: return an EventBatch")
    if passed.is_uneven:
        lengths = f"{len(passed.times)} times and {len(passed.records)} records"
        return TypeError(f"{stage}.process returned a batch of {lengths}: both must be as many")
    if isinstance(passed, LineBatch) and passed.is_unread:
        return None
    records: list[Any] = passed.records
    for kind in {*map(type, records)}:
        if not issubclass(kind, dict):
            return TypeError(f"{stage}.process returned a {kind.__name__} in the place of a record: records are dicts")
    return None


def mended(batch: EventBatch) -> EventBatch:
    """Return the events of a batch that a filter has changed in place before it failed, as far as they are events."""
    given: list[Any] = batch.records
    records = [each if isinstance(each, dict) else {"message": str(each)} for each in given]
    times = [*batch.times[: len(records)]]
    times += [times[-1] if times else 0] * (len(records) - len(times))
    return EventBatch(batch.tag, times, records, batch.receipt)
