"""logpipe told to stop, or to read its configuration again: it does so in time, and every line arrives."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.lines import LogWriter, arrived
from tests.e2e.pipelines import OUTPUTS, configuration
from tests.e2e.program import Logpipe
from tests.services.mock_kafka import MockKafka
from tests.services.topics import read_topic
from tests.services.waiting import wait_until

PATIENCE = 60
SWITCHED = "starting by the configuration as it was read"


def has_said(logpipe: Logpipe, text: str, *, times: int = 1) -> None:
    """Wait until it has said that, so many times."""
    wait_until(lambda: logpipe.said.count(text) >= times, seconds=PATIENCE, what=text)


@pytest.mark.slow("the program waits for its brokers while it ends, and is started twice")
@pytest.mark.parametrize("output", OUTPUTS)
def test_without_brokers(tmp_path: Path, output: str) -> None:
    """TERM ends it although nothing can be delivered; the next run delivers all lines."""
    with MockKafka(1) as mock:
        mock.create_topic("t", partitions=1)
        mock.stop_broker()
        config = configuration(tmp_path, output, broker=mock.bootstrap, topic="t")
        config.write_text("<system>\n  shutdown_timeout 2\n</system>\n" + config.read_text())
        logpipe = Logpipe(config, tmp_path / "said")
        with LogWriter(tmp_path / "app.log", per_second=2000) as writer, logpipe.start():
            for text in ("no broker answers", "following tail of"):
                has_said(logpipe, text)
            assert logpipe.stop() == 0
            writer.stop()
            assert "logpipe stopped" in logpipe.said

            mock.start_broker()
            with logpipe.start():
                wait_until(
                    lambda: writer.written <= arrived(read_topic(mock.bootstrap, "t")),
                    seconds=PATIENCE,
                    what=lambda: f"all lines; said:\n{logpipe.said[-3000:]}",
                )
                assert logpipe.stop() == 0


@pytest.mark.slow("between two reloads the program works for a second")
@pytest.mark.parametrize("output", OUTPUTS)
def test_reloaded_while_lines_are_written(tmp_path: Path, output: str) -> None:
    """HUP after HUP while lines flow: each of them arrives, and none twice."""
    with MockKafka(1) as mock:
        mock.create_topic("t", partitions=1)
        config = configuration(tmp_path, output, broker=mock.bootstrap, topic="t")
        logpipe = Logpipe(config, tmp_path / "said")
        with LogWriter(tmp_path / "app.log", per_second=1000) as writer, logpipe.start():
            wait_until(lambda: read_topic(mock.bootstrap, "t"), seconds=PATIENCE, what="the first line")
            for number in range(1, 6):
                logpipe.signal(signal.SIGHUP)
                has_said(logpipe, SWITCHED, times=number)
            writer.stop()
            wait_until(
                lambda: writer.written <= arrived(read_topic(mock.bootstrap, "t")),
                seconds=PATIENCE,
                what=lambda: f"all lines; said:\n{logpipe.said[-3000:]}",
            )
            assert logpipe.stop() == 0
        texts = [json.loads(message.value or b"{}") for message in read_topic(mock.bootstrap, "t")]
        repeated = [text for text, count in Counter(record["log"] for record in texts).items() if count > 1]
        assert not repeated
