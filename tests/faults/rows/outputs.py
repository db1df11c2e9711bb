"""Rows 40 to 50: outputs that never answer, and what waits for inputs and outputs that are to come."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from tests.faults import texts
from tests.faults.logs import Log
from tests.faults.row import row
from tests.faults.sinks import FileSink, KafkaSink
from tests.faults.trial import Lab, Trial
from tests.services.in_thread import in_thread
from tests.services.mock_kafka import MockKafka
from tests.services.tcp_proxy import tcp_proxy

LINES: Final = 2_000
LIMIT: Final = 1 << 20


@contextmanager
def _black_hole() -> Iterator[int]:
    """Give the port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@row(40, "one output never answers")
def stuck_output(lab: Lab) -> None:
    """Its buffer fills to its limit and its input waits; the other route keeps pace. It drains when it is answered."""
    with lab.trial("a black hole") as trial, MockKafka() as mock:
        mock.create_topic("t")
        stuck, free = trial.log("stuck"), trial.log("free")
        to_file = texts.tail(trial.folder, path="free.log", tag="free").replace("state/pos", "state/free")
        to_file += texts.to_file(trial.folder, tag="free").replace("@id out", "@id free")
        from_stuck = texts.tail(trial.folder, path="stuck.log", tag="stuck")
        limits = f"@type file\npath {trial.folder}/stuck-buffer\nchunk_limit_size 64k\ntotal_limit_size {LIMIT}"

        def entered(_topic: str, record: dict[str, Any]) -> None:
            trial.account.arrived(record["message"])

        with KafkaSink(mock.bootstrap, {"t": 1}, entered) as sink:
            file = FileSink(trial.folder / "out/out.log", trial.account)
            trial.read = partial(_both, file, sink)
            with _black_hole() as port:
                to_hole = texts.to_kafka(f"127.0.0.1:{port}", tag="stuck", buffer=limits)
                logpipe = trial.start(to_file + from_stuck + to_hole)
                for _ in range(lab.repeat(20, few=10)):
                    stuck.write(LINES)
                    free.write(LINES // 10)
                    trial.wait(partial(_complete, trial, free), "the lines of the other route")
                trial.wait_until_read(quiet=1 << 16)
                stored = sum(path.stat().st_size for path in (trial.folder / "stuck-buffer").glob("buffer.*"))
                # What arrives together is taken together, the last time too.
                assert stored < 2 * LIMIT, f"{stored} bytes in a buffer of {LIMIT}"
                trial.fired("never answers", when=not stuck.series.distinct and stored > LIMIT // 2)
            with in_thread(lambda: tcp_proxy(mock.bootstrap, port=port)):
                trial.wait_for_all(seconds=180)
                trial.end(logpipe)
            trial.read = file.read


def _both(file: FileSink, sink: KafkaSink) -> bool:
    return bool(file.read()) | bool(sink.read())


def _complete(trial: Trial, log: Log) -> bool:
    trial.arrived()
    return log.series.complete
