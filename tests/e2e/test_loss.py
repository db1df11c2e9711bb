"""logpipe killed while it works, its broker gone, its logs rotated: every line is in Kafka all the same."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.e2e.lines import LogWriter, arrived
from tests.e2e.pipelines import OUTPUTS, configuration
from tests.e2e.program import Logpipe
from tests.services.kafka import Kafka
from tests.services.stand_in import StandInKafka
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow("the program is killed and started again while lines come, for each kind of output")

AnyKafka: TypeAlias = Kafka | StandInKafka

LINES_PER_SECOND = 250
OUTAGE_SECONDS = 10
PATIENCE = 90


class Pipeline:
    """A log that is being written, logpipe that follows it, and the topic that it goes to."""

    def __init__(self, kafka: AnyKafka, topic: str, writer: LogWriter, logpipe: Logpipe) -> None:
        self.writer = writer
        self.logpipe = logpipe
        self._kafka = kafka
        self._topic = topic

    def wait_for_more(self) -> None:
        """Return when something has arrived that had not when this was called."""
        before = self._size()
        wait_until(lambda: self._size() > before, seconds=PATIENCE, what=self._what)

    def wait_for_all(self) -> None:
        """Return when every line that was written is in Kafka, compared line by line."""
        wait_until(self._all_there, seconds=PATIENCE, what=self._what)

    def _size(self) -> int:
        self.logpipe.still_runs()
        return self._kafka.topic_size(self._topic)

    def _all_there(self) -> bool:
        # To read the topic takes long: it is not worth while before there are as many messages.
        return self._size() >= self.writer.count and not self._missing()

    def _missing(self) -> list[str]:
        self.logpipe.still_runs()
        return sorted(self.writer.written - arrived(self._kafka.read_topic(self._topic)))

    def _what(self) -> str:
        missing = self._missing()
        return f"{len(missing)} lines in {self._topic}, the first {missing[:3]}; said:\n{self.logpipe.said[-3000:]}"


@contextlib.contextmanager
def pipeline(kafka: AnyKafka, folder: Path, output: str) -> Iterator[Pipeline]:
    """Begin to write a log in a new folder and to carry it to a new topic."""
    folder.mkdir()
    topic = f"{folder.name}-{output}"
    kafka.create_topic(topic, partitions=2)
    config = configuration(folder, output, broker=kafka.bootstrap, topic=topic)
    writer = LogWriter(folder / "app.log", per_second=LINES_PER_SECOND)
    with Logpipe(config, folder / "said").start() as logpipe, writer:
        yield Pipeline(kafka, topic, writer, logpipe)


@pytest.mark.parametrize("output", OUTPUTS)
def test_killed(any_kafka: AnyKafka, tmp_path: Path, output: str) -> None:
    """Killed again and again while lines are written and sent, it has every line in Kafka at least once."""
    with pipeline(any_kafka, tmp_path / "killed", output) as running:
        for _ in range(3):
            running.wait_for_more()
            running.logpipe.kill()
            running.logpipe.start()
        running.wait_for_more()
        running.writer.stop()
        running.wait_for_all()
        assert running.logpipe.stop() == 0


@pytest.mark.long("a real broker is away for a while, and comes back")
@pytest.mark.services
def test_without_kafka_for_a_while(own_kafka: Kafka, tmp_path: Path) -> None:
    """Kafka stopped for ten seconds, and one logpipe killed meanwhile: every line is there once Kafka is back."""
    with contextlib.ExitStack() as all_running:
        pipelines = [
            all_running.enter_context(pipeline(own_kafka, tmp_path / name, output))
            for name, output in [*((f"outage-{output}", output) for output in OUTPUTS), ("killed-in-outage", "kafka2")]
        ]
        for running in pipelines:
            running.wait_for_more()

        own_kafka.stop_broker()
        end = time.monotonic() + OUTAGE_SECONDS
        pipelines[-1].logpipe.kill()
        pipelines[-1].logpipe.start()
        time.sleep(end - time.monotonic())  # the length of the outage is what is tried
        own_kafka.start_broker()

        for running in pipelines:
            running.writer.stop()
        for running in pipelines:
            running.wait_for_all()
            assert running.logpipe.stop() == 0


@pytest.mark.parametrize("output", OUTPUTS)
def test_rotated(any_kafka: AnyKafka, tmp_path: Path, output: str) -> None:
    """The log renamed, then copied and truncated, then logpipe killed: every line is in Kafka at least once."""
    folder = tmp_path / "rotated"
    with pipeline(any_kafka, folder, output) as running:
        running.wait_for_more()
        running.writer.rename(folder / "app.log.1")
        running.wait_for_more()
        with running.writer.paused():
            # What was not read before a file is truncated is in the copy alone, for every follower of logs.
            running.wait_for_all()
            running.writer.copy_and_truncate(folder / "app.log.2")
        running.wait_for_more()
        running.logpipe.kill()
        running.logpipe.start()
        running.wait_for_more()
        running.writer.stop()
        running.wait_for_all()
        assert running.logpipe.stop() == 0
