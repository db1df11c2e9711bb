"""logpipe told to stop while Kafka is away: it ends by its deadline, and everything arrives later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.lines import LogWriter, arrived
from tests.e2e.pipelines import OUTPUTS, configuration
from tests.e2e.program import Logpipe
from tests.services.mock_kafka import MockKafka
from tests.services.topics import read_topic
from tests.services.waiting import wait_until

PATIENCE = 60


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
                wait_until(lambda text=text: text in logpipe.said, seconds=PATIENCE, what=text)
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
