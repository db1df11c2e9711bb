"""Where events go: for each tag one chain of filters and one outlet, compiled once and kept.

Rules are scanned in file order (fluentd's event_router.rb): every `<filter>` that matches and stands before the first
matching `<match>` is in the chain. Where none matches the filters run all the same, and what they leave is unmatched.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Final, Protocol

from logpipe.engine.accounting import DROPPED, MADE, PASSED, REJECTED, TAKEN, UNNAMED, Edge, Edges
from logpipe.engine.logging.repeats import trace_of
from logpipe.engine.routing.chain import Chain, Rule, Step, compile_chain, mended, problem_of, title_of
from logpipe.engine.routing.gate import Gate
from logpipe.errors import BufferFull, RetryLater
from logpipe.event import EventBatch
from logpipe.metrics import Counter
from logpipe.plugin import AsyncFilter, Filter, Host
from logpipe.plugin.failures import failure_of

MOST_CHAINS: Final = 65536
"""A node sees thousands of container tags; past this many the oldest chain is compiled again when needed."""

LONGEST_KEPT_TAG: Final = 1024
"""Characters; the chain of a longer tag is compiled each time, so that strangers' tags take no memory."""

MOST_UNMATCHED: Final = 1024


class DeadLetters(Protocol):
    """Takes events that a stage could not handle."""

    def reject(self, batch: EventBatch, error: Exception, *, culprit: Host) -> None:
        """Send every event of a batch to `@ERROR`, or to the log where there is none."""

    @property
    def is_full(self) -> bool:
        """Whether there are so many waiting that who emits should wait for `room`."""

    async def room(self) -> None:
        """Return when there are not too many waiting; this is their back-pressure."""

    @property
    def has_label(self) -> bool:
        """Whether there is a `<label @ERROR>` with a place for them."""


class Router:
    """The rules of the root or of one label."""

    def __init__(
        self,
        name: str,
        *,
        log: logging.Logger | logging.LoggerAdapter[Any],
        dead_letters: DeadLetters,
        edges: Edges,
        is_error_label: bool = False,
    ) -> None:
        self.name = name
        self.title = f"route {name}"
        """What links call it."""
        self.emitted = Counter("emit_records", "Events that came in.")
        self.unmatched = Counter("unmatched_records", "Events that no <match> wanted.")
        self.passed = Counter("passed_records", "Events that an output accepted, or could not take and gave to @ERROR.")
        self.refused = Counter("refused_records", "Events given back to who emitted them, who makes them again.")
        self._log = log
        self._dead_letters = dead_letters
        self._edges = edges
        self.is_error_label = is_error_label
        self._rules: list[Rule] = []
        self._gates: dict[str, Gate] = {}
        """The ways past filters that hold events back, by plugin id."""
        self._chains: dict[str, Chain] = {}
        self._unmatched_seen: dict[str, int] = {}

    def add(self, rule: Rule) -> None:
        """Append a rule; file order is routing order."""
        stage, host = rule.stage, rule.host
        is_filter = isinstance(stage, (Filter, AsyncFilter))
        for name in (TAKEN, PASSED, DROPPED, MADE) if is_filter else (REJECTED,):
            host.counter(*name)  # so that whoever looks finds a 0 before the first event
        if isinstance(stage, (Filter, AsyncFilter)) and stage.holds_back():
            place = len(self._rules) + 1
            gate = Gate(self, host, self._dead_letters, compiled=lambda tag: self._compile(tag, after=place))
            self._gates[host.plugin_id] = gate
            host.gauge("held_records", stage.held)
            rule = replace(rule, gate=gate)
        self._rules.append(rule)

    async def forward(self, batch: EventBatch, host: Host) -> None:
        """Send events that a filter has held back into the rules after it.

        Raises:
            RuntimeError: it is no filter of this route that holds events back.
        """
        gate = self._gates.get(host.plugin_id)
        if gate is None:
            raise RuntimeError(f"{host.plugin_id} holds nothing back: write its methods held and drain to forward")
        await gate.forward(batch)

    def entrance(self, host: Host, home: Router) -> Gate:
        """Return the way in for what a filter, which stands in another route or in this one, has held back."""
        return Gate(self, host, self._dead_letters, compiled=self.chain, home=home)

    async def enter(self, batch: EventBatch, edge: Edge, entrance: Gate) -> None:
        """Take events that a filter has held back, from the first rule on; returns when they are accepted.

        Args:
            batch: the events, given away with one hold of their receipt.
            edge: the link that they come over.
            entrance: the filter's way in.
        """
        edge.taken += len(batch.times)
        self.emitted.value += len(batch.times)
        await entrance.forward(batch)

    def matches(self, tag: str) -> bool:
        """Return whether some outlet wants the tag."""
        return self.chain(tag).outlet is not None

    def chain(self, tag: str) -> Chain:
        """Return the compiled chain of a tag."""
        chain = self._chains.get(tag)
        if chain is None:
            if len(tag) > LONGEST_KEPT_TAG:
                return self._compile(tag)
            while len(self._chains) >= MOST_CHAINS:
                del self._chains[next(iter(self._chains))]
            chain = self._chains[tag] = self._compile(tag)
        return chain

    def destination(self, tag: str) -> Host | None:
        """Return the host of the outlet that a tag's events go to; unlike `chain`, it keeps nothing of the tag."""
        chain = self._compile(tag)
        return None if chain.outlet is None else chain.host

    def _compile(self, tag: str, *, after: int = 0) -> Chain:
        giver = title_of(self._rules[after - 1]) if after else self.title
        return compile_chain(self._rules[after:], tag, giver=giver, edges=self._edges)

    async def emit(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Run a batch through its chain; returns when the outlet has accepted it, raises when it has not.

        Args:
            batch: the events, given away.
            edge: the link that they come over.
        """
        count = len(batch.times)
        edge.taken += count
        if batch.is_uneven:
            raise ValueError(f"a batch of {count} times and {len(batch.records)} records: both must be as many")
        if not count:
            return
        if self._dead_letters.is_full and not self.is_error_label:
            await self._dead_letters.room()
        self.emitted.value += count
        await self.run(self._chains.get(batch.tag) or self.chain(batch.tag), batch)

    async def run(self, chain: Chain, batch: EventBatch) -> None:
        """Run a batch through the rest of its way, on the terms of `emit`."""
        count = len(batch.times)
        receipt = batch.receipt
        for steps, waiting in chain.runs:
            for step in steps:
                step.edge.given += count
                taken = len(batch.times)
                step.edge.taken += taken
                step.taken.value += taken
                batch.dropped = step.dropped
                before = step.spoken_for if step.is_checked else 0
                try:
                    passed = step.process(batch)
                except BaseException as raised:  # noqa: BLE001 - a broken filter costs its batch, never the pipeline
                    if step.is_checked:
                        step.take_back(step.spoken_for - before)
                    self._filter_failed(step, batch, raised, taken)
                    return
                if step.is_checked and (problem := problem_of(passed, step.name)) is not None:
                    step.take_back(step.spoken_for - before)
                    self._filter_failed(step, batch, problem, taken)
                    return
                batch = passed
                count = len(batch.times)
                step.passed.value += count
            if waiting is not None and count:
                waiting.edge.given += count
                left = await self._wait_for(waiting, batch)
                if left is None:
                    return
                batch = left
                count = len(batch.times)
            if not count:
                break
            batch.dropped = None
        if chain.gate is not None:
            await chain.gate.pass_on(batch, chain, is_own=batch.receipt is not receipt)
        elif not count:
            return
        elif chain.outlet is None:
            self._without_outlet(batch, chain)
        else:
            await self._deliver(chain, batch)

    def _filter_failed(self, step: Step[Any], batch: EventBatch, raised: BaseException, taken: int) -> None:
        """Give a batch up that a filter raised on, or raise where the batch, of so many events, is not to blame."""
        error = failure_of(raised)
        if error is None or isinstance(error, MemoryError):
            step.taken.value -= taken
            self.refused.value += taken
            raise raised
        self._dead_letters.reject(mended(batch), error, culprit=step.host)

    async def _wait_for(self, step: Step[Awaitable[EventBatch]], batch: EventBatch) -> EventBatch | None:
        """Return what a filter that waits leaves of a batch; None where it failed."""
        count = len(batch.times)
        step.edge.taken += count
        batch.dropped = dropped = Counter(*DROPPED)  # of this batch alone, while others may be in the filter as well
        try:
            passed = await step.process(batch)
        except BaseException as raised:  # noqa: BLE001 - as above
            step.taken.value += count
            self._filter_failed(step, batch, raised, count)
            return None
        step.taken.value += count
        if step.is_checked and (problem := problem_of(passed, step.name)) is not None:
            self._filter_failed(step, batch, problem, count)
            return None
        step.dropped.value += dropped.value
        step.passed.value += len(passed.times)
        return passed

    async def _deliver(self, chain: Chain, batch: EventBatch) -> None:
        assert chain.outlet is not None and chain.host is not None  # noqa: S101, PT018 - emit has looked
        count = len(batch.times)
        chain.edge.given += count
        try:
            await chain.outlet(batch, chain.edge)
        except (BufferFull, RetryLater, MemoryError):
            # fluentd hands these to @ERROR too; an input that waits and reads again keeps order and loses nothing
            self.refused.value += count
            raise
        except BaseException as raised:
            error = failure_of(raised)
            if error is None:
                self.refused.value += count
                raise
            chain.host.log.warning(
                "emit transaction failed: error_class=%s error=%r tag=%r",
                type(error).__name__,
                str(error),
                batch.tag,
                exc_info=trace_of(chain.host.log, error),
            )
            if self.is_error_label or not self._dead_letters.has_label or batch.is_uneven:
                self.refused.value += count
                raise error  # noqa: B904 - it is what was raised, or has it for its cause
            chain.host.counter(*REJECTED).add(count)
            self._dead_letters.reject(batch, error, culprit=chain.host)
        self.passed.value += count

    def _without_outlet(self, batch: EventBatch, chain: Chain) -> None:
        if chain.unknown is not None and chain.host is not None:
            chain.host.counter(*REJECTED).add(len(batch.times))
            self.passed.value += len(batch.times)
            self._dead_letters.reject(batch, chain.unknown, culprit=chain.host)
            return
        self.unmatched.value += len(batch.times)
        seen = self._unmatched_seen.get(batch.tag, 0) + 1
        if len(self._unmatched_seen) < MOST_UNMATCHED:
            self._unmatched_seen[batch.tag] = seen
        # compat: agent.rb warns at the 1st, 2nd, 4th … 512th time, then at every 512th
        if seen & (seen - 1) == 0 if seen <= 512 else seen % 512 == 0:
            self._log.warning("no patterns matched tag=%r", batch.tag)
