"""A node's log folders in the layout of docker and the kubelet, and its containers' logs."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from examples.demo.pods import Pod

DEFAULT_TOPIC = "default"
PAUSE = 0.05

# A log that is no container's, and so has no namespace.
STRAY_LOG = "node-problem-detector.log"


class Node:
    """The log files below one folder, which is in place of the machine's root.

    Attributes:
        containers: the folder of the kubelet's links, one a container.
        written: how many lines were written, by the topic they belong to.
    """

    def __init__(self, root: Path, pods: Sequence[Pod], *, seed: int = 7) -> None:
        self.written: Counter[str] = Counter()
        self._random = random.Random(seed)
        self.containers = root / "var/log/containers"
        self.containers.mkdir(parents=True)
        self._logs = [(pod, self._lay(root, pod)) for pod in pods]

    async def write(self, *, lines_per_second: int) -> None:
        """Write lines of all containers until cancelled."""
        while True:
            self.write_lines(max(1, round(lines_per_second * PAUSE)))
            await asyncio.sleep(PAUSE)

    def write_lines(self, count: int) -> None:
        """Write this many lines, each of a random container; one in fifty is no container's."""
        for _ in range(count):
            if self._random.random() < 0.02:
                self._append(self.containers / STRAY_LOG, "kernel: TCP: out of memory", DEFAULT_TOPIC)
            else:
                pod, log = self._random.choice(self._logs)
                self._append(log, pod.line(self._random), pod.namespace)

    def _append(self, log: Path, text: str, topic: str) -> None:
        """Add a line in the form of docker's json-file driver."""
        now = datetime.now(UTC)
        stream = "stderr" if self._random.random() < 0.1 else "stdout"
        entry = {"log": f"{text}\n", "stream": stream, "time": f"{now:%Y-%m-%dT%H:%M:%S.%f}000Z"}
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.written[topic] += 1

    def _lay(self, root: Path, pod: Pod) -> Path:
        """Make docker's log file of a container and the kubelet's two links to it; return the file."""
        log = root / "var/lib/docker/containers" / pod.container_id / f"{pod.container_id}-json.log"
        link = root / "var/log/pods" / f"{pod.namespace}_{pod.name}_{pod.uid}" / pod.container / "0.log"
        for path in (log, link):
            path.parent.mkdir(parents=True)
        log.touch()
        link.symlink_to(log)
        (self.containers / pod.log_name).symlink_to(link)
        return log
