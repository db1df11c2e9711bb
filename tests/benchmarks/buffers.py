"""The flagship behind a buffer: what files cost beside memory, and how soon a full folder begins to empty."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks import flagship
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.compare import NO_CLUSTER, PARTITIONS, AnyKafka, pod
from tests.benchmarks.container_log import write_log
from tests.benchmarks.measure import Cost, FailedError, run
from tests.benchmarks.recovery import leave_chunks
from tests.benchmarks.report import aim, best

LEAST_FILE_SHARE = 0.6
MOST_RECOVERY_SECONDS = 2.0
CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class BufferReport:
    """The figures of one run."""

    lines: int
    costs: dict[str, Sequence[Cost]]
    """Of each kind of buffer, each round's."""
    left_bytes: int
    recovery: Cost
    """`seconds`: from the start of the program, with chunks left behind, to the first event in Kafka."""

    def text(self) -> str:
        """Return the figures as a person reads them."""
        rows = [
            "the flagship with kafka2 behind a buffer",
            f"  {'':<10}{'events/CPU s':>14}{'events/s':>11}{'peak MB':>9}",
        ]
        for kind, costs in self.costs.items():
            found = best(costs)
            per_cpu, per_second = self.lines / found.cpu_seconds, self.lines / min(cost.seconds for cost in costs)
            rows.append(f"  {kind:<10}{per_cpu:>14,.0f}{per_second:>11,.0f}{_peak(costs):>9.0f}")
        share = best(self.costs["memory"]).cpu_seconds / best(self.costs["file"]).cpu_seconds
        return "\n".join(
            [
                *rows,
                aim("files, of the events/CPU s in memory", share, "", at_least=LEAST_FILE_SHARE),
                f"with {self.left_bytes / 1e6:,.0f} MB of chunks left by a previous run",
                aim("first of them in kafka", self.recovery.seconds, " s", at_most=MOST_RECOVERY_SECONDS),
            ]
        )


def measure_buffers(kafka: AnyKafka, *, lines: int, rounds: int, megabytes: int) -> BufferReport:
    """Run everything, with events that go to this Kafka, and return the figures.

    Raises:
        FailedError: a program failed, or not every event arrived.
    """
    with tempfile.TemporaryDirectory(prefix="logpipe-bench-") as name:
        folder = Path(name)
        log = folder / "input"
        write_log(log, lines)
        costs: dict[str, list[Cost]] = {"memory": [], "file": []}
        for number in range(rounds):
            for kind, found in costs.items():
                sys.stderr.write(f"{kind} buffer: round {number + 1} of {rounds}\n")
                found.append(_run(kafka, folder / f"{kind}-{number}", log, buffer=kind, expected=lines))
                if (arrived := kafka.topic_size(f"{kind}-{number}")) < lines:
                    raise FailedError(f"{arrived:,} events arrived of {lines:,} behind a {kind} buffer")
        sys.stderr.write("a folder full of chunks\n")
        empty = folder / "empty"
        empty.touch()
        left = folder / "left"
        leave_chunks(left / "buffer", log, left.name, size=megabytes << 20, chunk_size=CHUNK_BYTES)
        size = sum(file.stat().st_size for file in (left / "buffer").iterdir())
        return BufferReport(lines, costs, size, _run(kafka, left, empty, buffer="file", expected=1))


def _run(kafka: AnyKafka, folder: Path, log: Path, *, buffer: str, expected: int) -> Cost:
    """Run the flagship until so many events have arrived in the topic of the folder's name."""
    kafka.create_topic(folder.name, partitions=PARTITIONS)
    flagship.lay(folder, pod(folder.name), log)
    command = flagship.command(folder, kafka.bootstrap, buffer=buffer)
    with Arrivals(kafka.bootstrap, folder.name, partitions=PARTITIONS) as arrivals:
        done = partial(arrivals.all_since, expected)
        return run(command, output=folder / "said", done=done, environment=NO_CLUSTER)


def _peak(costs: Sequence[Cost]) -> float:
    return max(cost.peak_bytes for cost in costs) / 1e6
