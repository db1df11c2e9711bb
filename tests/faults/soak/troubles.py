"""What happens to the pipeline, each kind of trouble by itself and at moments chosen by chance."""

from __future__ import annotations

import collections
import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from tests.e2e.program import Logpipe
from tests.faults.mounts import fill
from tests.faults.soak.node import Node
from tests.faults.soak.pipeline import Machine
from tests.services.java import StartError
from tests.services.kafka import Kafka

POD_SECONDS: Final = 45
"""How often a pod is replaced."""
ATTEMPTS: Final = 3
AGAIN: Final = 0.3
"""Share of the kills that are followed by another while the program starts."""


class Troubles:
    """Makes trouble, from the beginning of its block until `stop`.

    Args:
        pace: the seconds between troubles and of their length are those of a run of half an hour times this.

    Attributes:
        fired: how often each kind happened.
        failure: what stopped a kind, which is a failure of the run.
    """

    def __init__(self, logpipe: Logpipe, kafka: Kafka, node: Node, machine: Machine, *, pace: float, seed: int) -> None:
        self.fired: collections.Counter[str] = collections.Counter()
        self.failure: BaseException | None = None
        self.started_at = time.monotonic()
        self._logpipe = logpipe
        self._kafka = kafka
        self._node = node
        self._machine = machine
        self._pace = pace
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._no_more_kills = threading.Event()
        # How often on average, in seconds.
        kinds: dict[Callable[[], None], float] = {
            self._kill: 50,
            self._stop_broker: 90,
            self._fill_disk: 75,
            node.rotate: 3,
            node.truncate: 25,
            node.replace_pod: POD_SECONDS,
        }
        self._threads = [
            threading.Thread(target=self._make, args=(kind, mean), name=kind.__name__) for kind, mean in kinds.items()
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def spare_the_process(self) -> None:
        """Kill no more, so that one process can be watched for long; other trouble goes on."""
        self._no_more_kills.set()

    def stop(self) -> None:
        """Make no more; what is stopped or full is put right."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _make(self, kind: Callable[[], None], mean: float) -> None:
        try:
            while not self._pause(min(3 * mean, self._random.expovariate(1 / mean))):
                kind()
        except BaseException as error:  # noqa: BLE001 - reported by the run
            self.failure = error

    def _pause(self, seconds: float) -> bool:
        """Wait, and return whether it is time to stop."""
        return self._stopping.wait(max(0.2, seconds * self._pace))

    def _kill(self) -> None:
        if self._no_more_kills.is_set():
            return
        self._logpipe.kill()
        self._restart()
        self.fired["kill"] += 1
        while self._random.random() < AGAIN and not self._stopping.wait(self._random.uniform(0.05, 1.5)):
            self._logpipe.kill()
            self._restart()
            self.fired["kill again"] += 1

    def _restart(self) -> None:
        self.started_at = time.monotonic()
        self._logpipe.start()

    def _stop_broker(self) -> None:
        if self._random.random() < 0.5:
            self._kafka.stop_broker()
        else:
            self._kafka.kill_broker()
        self._pause(self._random.uniform(10, 60))
        self._start_broker()
        self.fired["broker"] += 1

    def _start_broker(self) -> None:
        """Start the broker; on a busy machine it may take more time than it is given, and is started again."""
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(TimeoutError, StartError):
                return self._kafka.start_broker()
        return self._kafka.start_broker()

    def _fill_disk(self) -> None:
        which = min(sorted(self._machine.small), key=lambda name: self.fired[f"{name} full"])
        filler = fill(self._machine.small[which])
        self._pause(self._random.uniform(10, 40))
        filler.unlink()
        self.fired[f"{which} full"] += 1
