"""Half an hour, or as long as wanted, of the article's pipeline under everything at once, and the account of it."""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from examples.demo.kubernetes_api import kubernetes_api
from tests.e2e.program import Logpipe
from tests.faults.account import Account
from tests.faults.ledger import last_ledger
from tests.faults.outcome import Impossible
from tests.faults.process import Sample, sample, trend
from tests.faults.sinks import FileSink, KafkaSink
from tests.faults.soak.node import NAMESPACES, Node, pods
from tests.faults.soak.pipeline import Machine
from tests.faults.soak.readers import ContainerLines, Reading
from tests.faults.soak.troubles import POD_SECONDS, Troubles
from tests.services.in_thread import in_thread
from tests.services.jars import UnavailableError
from tests.services.kafka import Kafka

ALIVE: Final = 10
DRAIN_SECONDS: Final = 300
WARM_SECONDS: Final = 30
"""What a process takes until it has opened everything."""
CAUGHT_UP: Final = 10_000
"""With fewer lines than this to come, nothing waits."""
SPARED: Final = 0.4
"""The share of the time, its end, in which the process is not killed, so that its memory can be watched."""
MOST_MEGABYTES: Final = 250
MOST_GROWTH: Final = 15.0
"""Megabytes between the first and the last third of the spared time."""
MOST_MORE_DESCRIPTORS: Final = 8


def soak(*, minutes: float, per_second: int, seed: int) -> int:
    """Run and return the exit status: 0 if every line arrived, and memory and descriptors are flat.

    Raises:
        Impossible: this machine can't run it; the message says what is missing.
    """
    try:
        with contextlib.ExitStack() as running:
            return _Soak(running, minutes=minutes, per_second=per_second, seed=seed).run()
    except UnavailableError as error:
        raise Impossible(str(error)) from error


class _Soak:
    def __init__(self, running: contextlib.ExitStack, *, minutes: float, per_second: int, seed: int) -> None:
        self._seconds = minutes * 60
        self._containers, self._audit = Account(), Account()
        self._samples: list[tuple[float, Sample]] = []
        self._caught_up: list[tuple[float, Sample]] = []
        root = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="logpipe-soak-")))
        _say(f"seed {seed}, {minutes:g} minutes, {per_second} lines/s, in {root}; starting kafka and zookeeper")
        self._kafka = running.enter_context(Kafka.start())
        pace = min(1.0, max(0.05, minutes / 15))
        every = pods(ALIVE + 20 + round(3 * self._seconds / (POD_SECONDS * pace)))
        environment = running.enter_context(in_thread(lambda: kubernetes_api(every, root / "serviceaccount")))
        machine = Machine(root, zookeeper=self._kafka.zookeeper)
        running.enter_context(machine.mounts)
        self._node = Node(
            root,
            every,
            self._containers,
            self._audit,
            positions=machine.small["positions"],
            alive=ALIVE,
            per_second=per_second,
            rnd=random.Random(seed),
        )
        topics = ("default", *NAMESPACES)
        for topic in topics:
            self._kafka.create_topic(topic)
        self._lines = ContainerLines(self._containers, {pod.name: pod.namespace for pod in every})
        partitions = dict.fromkeys(topics, 1)
        delivered = running.enter_context(KafkaSink(self._kafka.bootstrap, partitions, self._lines.enter))
        running.enter_context(Reading(delivered.read, name="topics"))
        running.enter_context(Reading(FileSink(machine.delivered, self._audit).read, name="file"))
        # Bytecode is written here, whatever the tests are started with: programs are started often.
        self._logpipe = Logpipe(
            machine.config,
            root / "said",
            through=machine.through,
            environment={**environment, "PYTHONDONTWRITEBYTECODE": ""},
        )
        running.enter_context(self._logpipe.start())
        running.enter_context(self._node)
        self._troubles = Troubles(self._logpipe, self._kafka, self._node, machine, pace=pace, seed=seed)
        running.callback(self._troubles.stop)

    def run(self) -> int:
        self._began = time.monotonic()
        self._troubles.start()
        spare_at = self._seconds * (1 - SPARED)
        for _ in self._ticks(self._seconds):
            if time.monotonic() - self._began > spare_at:
                self._troubles.spare_the_process()
            if self._troubles.failure is not None:
                break
        self._troubles.stop()
        self._node.stop()
        self._show(0)
        _say("no more trouble and no more lines: waiting for what is on its way")
        for _ in self._ticks(DRAIN_SECONDS):
            if self._troubles.failure is not None or (self._containers.complete and self._audit.complete):
                break
        wrong = [*self._stop(), *self._judge(), *self._judge_process()]
        for complaint in wrong:
            _say(f"FAILED: {complaint}")
        if wrong:
            _say(f"the end of what logpipe said:\n{self._logpipe.said[-3000:]}")
        return 1 if wrong else 0

    def _ticks(self, seconds: float) -> Iterator[None]:
        """Yield several times a second, for so long, and show a line of figures now and then."""
        end = time.monotonic() + seconds
        show_at = 0.0
        show_every = min(30.0, self._seconds / 6)
        while (now := time.monotonic()) < end:
            self._node.tidy()
            if now >= show_at:
                self._show(end - now)
                show_at = now + show_every
            yield
            time.sleep(0.25)

    def _show(self, left: float) -> None:
        pid = self._logpipe.pid
        seen = sample(pid, age=time.monotonic() - self._troubles.started_at)
        accounts = (self._containers, self._audit)
        written, distinct = sum(a.written for a in accounts), sum(a.distinct for a in accounts)
        if seen is not None:
            self._samples.append((time.monotonic() - self._began, seen))
            if written - distinct < CAUGHT_UP:
                self._caught_up.append(self._samples[-1])
        duplicates = sum(a.duplicates for a in accounts)
        fired = ", ".join(f"{kind} {count}" for kind, count in sorted(self._faults().items()))
        _say(
            f"{left:5.0f} s left  written {written:,}  delivered {distinct:,}  twice {duplicates:,}"
            f"  behind {written - distinct:,}  {_process(seen)}  {fired}"
        )

    def _faults(self) -> dict[str, int]:
        return {**self._troubles.fired, **self._node.counts}

    def _stop(self) -> Iterator[str]:
        """End the program in good order, and yield what was wrong with that."""
        if self._troubles.failure is not None:
            yield f"trouble ended with {self._troubles.failure!r}"
            return
        status = self._logpipe.stop()
        if status:
            yield f"logpipe ended with status {status}"
        ledger = last_ledger(self._logpipe.said)
        _say(f"the last run's ledger: {ledger.text if ledger else '-'}")
        if ledger is not None and ledger.unexplained:
            yield f"the ledger leaves {ledger.unexplained} unexplained"

    def _judge(self) -> Iterator[str]:
        for name, account in (("containers", self._containers), ("file buffer", self._audit)):
            _say(
                f"{name}: written {account.written:,}, lost {account.missing:,}, twice {account.duplicates:,}, "
                f"altered {len(account.altered)}"
            )
            if account.missing:
                yield f"{account.missing} lines of {name} were lost, the first {account.first_missing()}"
            if account.altered:
                yield f"{len(account.altered)} lines of {name} are none that was written: {account.altered[:3]}"
        if self._lines.misrouted:
            yield f"{len(self._lines.misrouted)} lines are where they do not belong: {self._lines.misrouted[:3]}"
        expected = {"kill", "broker", "buffer full", "positions full", "renamed", "truncated", "pods removed"}
        if missing := sorted(expected - {kind for kind, count in self._faults().items() if count}):
            yield f"did not happen, so nothing was shown: {', '.join(missing)}; let it run longer"

    def _warm_at(self, pid: int) -> float:
        """Return when a process had seen everything once, the lines of an outage that had to wait among it.

        What it needs to hold them, it keeps: the memory is used again at the next outage.
        """
        own = [(at, seen) for at, seen in self._samples if seen.pid == pid and seen.age > WARM_SECONDS]
        began = own[0][0] if own else 0.0
        caught_up = {at for at, _ in self._caught_up}
        behind_at = next((at for at, _ in own if at not in caught_up), began)
        return next((at for at, _ in own if at >= behind_at and at in caught_up), began)

    def _judge_process(self) -> Iterator[str]:
        """Look at the last process, which was spared, when it was not behind: files that wait to be read are open."""
        peak = max((seen.megabytes for _, seen in self._samples), default=0.0)
        last = self._samples[-1][1].pid if self._samples else 0
        warm_at = self._warm_at(last)
        steady = [(at, seen) for at, seen in self._caught_up if seen.pid == last and at >= warm_at]
        if peak > MOST_MEGABYTES:
            yield f"{peak:.0f} MB of memory, {MOST_MEGABYTES} are allowed"
        if len(steady) < 6:
            _say(f"memory: at most {peak:.0f} MB; the last process lived too short for a trend")
            return
        memory = trend([(at, seen.megabytes) for at, seen in steady])
        descriptors = trend([(at, seen.descriptors) for at, seen in steady])
        _say(
            f"memory: at most {peak:.0f} MB; the last process for {steady[-1][0] - steady[0][0]:.0f} s: median of the "
            f"first third {memory.first:.1f} MB, of the last {memory.last:.1f} MB, slope {memory.per_hour:+.1f} MB/h"
        )
        _say(f"descriptors: median of the first third {descriptors.first:.0f}, of the last {descriptors.last:.0f}")
        if memory.growth > MOST_GROWTH:
            yield f"memory grew by {memory.growth:.1f} MB"
        if descriptors.growth > MOST_MORE_DESCRIPTORS:
            yield f"there are {descriptors.growth:.0f} more descriptors than before"


def _process(seen: Sample | None) -> str:
    return f"{seen.megabytes:.0f} MB  {seen.descriptors} fds" if seen else "between two runs"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
