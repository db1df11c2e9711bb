"""Runs the flagship and the yardstick in turn, and gathers what each cost."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from examples.demo.kubernetes_api import kubernetes_api
from examples.demo.pods import Pod, web_line
from tests.benchmarks import flagship
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.container_log import write_log
from tests.benchmarks.measure import Cost, FailedError, run
from tests.benchmarks.report import Comparison, Report
from tests.services.in_thread import in_thread
from tests.services.jars import UnavailableError
from tests.services.kafka import Kafka, RunningKafka
from tests.services.stand_in import StandInKafka

AnyKafka: TypeAlias = RunningKafka | StandInKafka

PARTITIONS = 4
STARTS = 5

# With these set to nothing, logpipe knows of no cluster and takes what the file's name says.
NO_CLUSTER = {"KUBERNETES_SERVICE_HOST": "", "KUBERNETES_SERVICE_PORT": ""}


def compare(kafka: AnyKafka, *, lines: int, rounds: int, starts: int = STARTS) -> Report:
    """Run everything and return the figures.

    Args:
        kafka: where the events go.
        lines: how many.
        rounds: how often each pipeline runs.
        starts: how often the time until the first event is measured, and that of `--version`.

    Raises:
        FailedError: a program failed, or not every event arrived.
    """
    with tempfile.TemporaryDirectory(prefix="logpipe-bench-") as name:
        folder = Path(name)
        log = folder / "input"
        write_log(log, lines)
        pods = {name: pod(name) for name in _names("api", rounds)}
        with in_thread(partial(kubernetes_api, list(pods.values()), folder / "secrets")) as cluster:
            bench = _Bench(kafka, folder, log, lines)
            return Report(
                broker=type(kafka).__name__,
                lines=lines,
                input_bytes=log.stat().st_size,
                comparisons=[
                    bench.compare("names", rounds, NO_CLUSTER, "metadata from file names, no Kubernetes API"),
                    bench.compare("api", rounds, cluster, "metadata from the Kubernetes API"),
                ],
                first_event_seconds=bench.first_event_seconds(starts),
                version_seconds=_version_seconds(folder, starts),
            )


class _Bench:
    """One broker and one input for all runs."""

    def __init__(self, kafka: AnyKafka, folder: Path, log: Path, lines: int) -> None:
        self._kafka = kafka
        self._folder = folder
        self._log = log
        self._lines = lines

    def compare(self, name: str, rounds: int, environment: Mapping[str, str], title: str) -> Comparison:
        """Run both in turn, as often as asked, after one event that shows which fields logpipe adds."""
        first, *others = _names(name, rounds)
        start, record = self._one_event(first, environment)
        fields = {key: value for key, value in record.items() if key not in ("log", "stream")}
        yardstick, engine = [], []
        for number, topic in enumerate(others, 1):
            sys.stderr.write(f"{title}: round {number} of {rounds}\n")
            yardstick.append(self._yardstick(f"{topic}-yardstick", fields))
            engine.append(self._flagship(topic, environment))
        return Comparison(title, self._lines, len(orjson.dumps(record)), start, yardstick, engine)

    def first_event_seconds(self, starts: int) -> float:
        """Return the least time from logpipe's start until an event is in Kafka."""
        return min(self._one_event(f"first-{number}", NO_CLUSTER)[0].seconds for number in range(starts))

    def _one_event(self, topic: str, environment: Mapping[str, str]) -> tuple[Cost, dict[str, Any]]:
        line = self._folder / f"{topic}-line"
        with self._log.open("rb") as log:
            line.write_bytes(log.readline())
        with self._topic(topic):
            cost = self._run_logpipe(topic, line, 1, environment)
            (message,) = self._kafka.read_topic(topic)
            return cost, orjson.loads(message.value or b"")

    def _flagship(self, topic: str, environment: Mapping[str, str]) -> Cost:
        with self._topic(topic):
            cost = self._run_logpipe(topic, self._log, self._lines, environment)
            self._check_count(topic)
            return cost

    def _yardstick(self, topic: str, fields: dict[str, Any]) -> Cost:
        module = "tests.benchmarks.yardstick"
        arguments = [str(self._log), self._kafka.bootstrap, topic, orjson.dumps(fields).decode()]
        with self._topic(topic):
            cost = run([sys.executable, "-m", module, *arguments], output=self._folder / topic)
            self._check_count(topic)
            return cost

    def _run_logpipe(self, topic: str, log: Path, lines: int, environment: Mapping[str, str]) -> Cost:
        folder = self._folder / topic
        flagship.lay(folder, pod(topic), log)
        command = flagship.command(folder, self._kafka.bootstrap)
        with Arrivals(self._kafka.bootstrap, topic, partitions=PARTITIONS) as arrivals:
            done = partial(arrivals.all_since, lines)
            return run(command, output=folder / "said", done=done, environment=environment)

    @contextlib.contextmanager
    def _topic(self, name: str) -> Iterator[None]:
        self._kafka.create_topic(name, partitions=PARTITIONS)
        yield
        self._kafka.delete_topic(name)

    def _check_count(self, topic: str) -> None:
        if (arrived := self._kafka.topic_size(topic)) != self._lines:
            raise FailedError(f"{arrived:,} events arrived in topic {topic} of {self._lines:,}")


def _names(prefix: str, rounds: int) -> list[str]:
    """Return a namespace, which is a topic too, for one event and one for each round."""
    return [f"{prefix}-{number}" for number in range(rounds + 1)]


def pod(namespace: str) -> Pod:
    """Return the pod whose log the flagship reads; its namespace is the topic."""
    labels = {"app": "web", "pod-template-hash": "5d7f8c9b4d", "tier": "frontend"}
    return Pod(namespace, "web-5d7f8c9b4d-x2x8z", "web", web_line, labels)


def _version_seconds(folder: Path, starts: int) -> float:
    """Return the least time that `logpipe --version` takes, as installed."""
    command = [str(Path(sys.executable).with_name("logpipe")), "--version"]
    return min(run(command, output=folder / "version").seconds for _ in range(starts))


@contextlib.contextmanager
def broker() -> Iterator[AnyKafka]:
    """Start a real Kafka, or the stand-in where it can't be had."""
    try:
        started: Kafka | StandInKafka = Kafka.start()
    except UnavailableError:
        started = StandInKafka.start()
    with started as kafka:
        yield kafka
