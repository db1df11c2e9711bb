"""One real Kafka for all the processes that share a run of the tests.

The run's first process has it, started when the first test asks, and ends it; the others ask over a socket.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import socketserver
import threading
import uuid

from tests.services.jars import UnavailableError
from tests.services.java import StartError
from tests.services.kafka import Kafka, RunningKafka


class SharedKafka:
    """Starts a Kafka when it is asked for, at most once, and tells other processes where it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: Kafka | Exception | None = None
        self._closing = contextlib.ExitStack()

    def get(self) -> RunningKafka:
        """Return it, started if need be.

        Raises:
            UnavailableError: this machine can't run it.
            StartError: it would not start.
            TimeoutError: it did not answer.
        """
        with self._lock:
            if self._found is None:
                try:
                    self._found = self._closing.enter_context(Kafka.start())
                except Exception as error:  # noqa: BLE001 - whatever it is, it is so for every test
                    self._found = error
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    @functools.cached_property
    def address(self) -> str:
        """Where other processes `ask`; they are answered from when this was looked at."""
        answer = self._answer

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(json.dumps(answer()).encode())

        # Without a file, so that nothing is left of it, however the run ends.
        address = f"\0logpipe-tests-{uuid.uuid4()}"
        server = socketserver.ThreadingUnixStreamServer(address, Handler)
        server.daemon_threads = True  # nobody waits for one that is still starting it
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._closing.callback(server.server_close)
        self._closing.callback(server.shutdown)
        return address

    def close(self) -> None:
        """End it."""
        self._closing.close()

    def _answer(self) -> dict[str, str]:
        try:
            kafka = self.get()
        except UnavailableError as error:
            return {"unavailable": str(error)}
        except Exception as error:  # noqa: BLE001 - the same
            return {"failed": f"{type(error).__name__}: {error}"}
        return {"bootstrap": kafka.bootstrap, "zookeeper": kafka.zookeeper, "root": kafka.zookeeper_root}


def ask(address: str) -> RunningKafka:
    """Return the Kafka of a run in another process, which has it started if need be.

    Raises:
        UnavailableError: this machine can't run it.
        StartError: it would not start.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        with connection.makefile("rb") as said:
            answer: dict[str, str] = json.load(said)
    if "unavailable" in answer:
        raise UnavailableError(answer["unavailable"])
    if "failed" in answer:
        raise StartError(answer["failed"])
    return RunningKafka(**answer)
