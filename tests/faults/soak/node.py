"""A node whose pods write, rotate their logs, end and begin, all by chance."""

from __future__ import annotations

import collections
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from examples.demo.pods import Pod
from tests.faults.account import Account, Series
from tests.faults.logs import Entry, Log, docker_entry, plain

PAUSE: Final = 0.05
NAMESPACES: Final = ("shop", "billing", "search", "kube-system")
STRAY: Final = "node-problem-detector"
"""A log that is no container's, whose lines go to the default topic."""
AUDIT: Final = "audit"
"""The log of the second route, with a buffer in files."""


def pods(count: int) -> list[Pod]:
    """Return the pods of a run, those included that begin later."""
    return [
        Pod(NAMESPACES[number % len(NAMESPACES)], f"app-{number:04d}", "main", lambda _: "", {"app": f"app-{number}"})
        for number in range(count)
    ]


class RotatedLog(Log):
    """A log whose rotated files go when their lines have come.

    Attributes:
        name: what it is called where logpipe looks for it.
        paused: whether it is not written, because it is to be cut.
    """

    def __init__(self, path: Path, series: Series, *, name: str, entry: Entry, rnd: random.Random) -> None:
        super().__init__(path, series, entry=entry, rnd=rnd)
        self.name = name
        self.paused = False
        self._old: collections.deque[tuple[Path, int]] = collections.deque()

    def rotate(self, *, late: int) -> None:
        """Rename the file, and go on in a new one after some late lines."""
        old = self.rename(late=late)
        self._old.append((old, self.series.written))

    def remove_old(self) -> int:
        """Remove the rotated files whose lines have all come; returns how many."""
        removed = 0
        while self._old and self.series.without_gap >= self._old[0][1]:
            self._old.popleft()[0].unlink()
            removed += 1
        return removed


class Node:
    """The logs below a folder that stands for the machine's /var/log, written by a thread while the block lasts.

    Args:
        root: the folder; the logs are not all in it, as they are not on a real node.
        every: the pods, of which `alive` are there at a time.
        account: where the lines of containers are entered.
        audit: where those of the second route are.
        positions: folder of the position files, as it is seen from outside.
        per_second: lines in all.
    """

    def __init__(
        self,
        root: Path,
        every: list[Pod],
        account: Account,
        audit: Account,
        *,
        positions: Path,
        alive: int,
        per_second: int,
        rnd: random.Random,
    ) -> None:
        self.var_log = root / "var/log"
        self.changed = threading.Lock()
        self.counts: collections.Counter[str] = collections.Counter()
        self._root = root
        self._positions = positions
        self._account = account
        self._burst = max(1, round(per_second * PAUSE))
        self._random = rnd
        self._to_come: Iterator[Pod] = iter(every)
        self._ending: dict[str, tuple[Pod, RotatedLog]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="node")
        for folder in ("containers", "audit", "pods"):
            (self.var_log / folder).mkdir(parents=True, exist_ok=True)
        self.logs: dict[str, RotatedLog] = {
            STRAY: self._log(self.var_log / "containers" / f"{STRAY}.log", account.open(STRAY), docker_entry),
            AUDIT: self._log(self.var_log / "audit" / f"{AUDIT}.log", audit.open(AUDIT), plain),
        }
        self._pods: dict[str, Pod] = {}
        for _ in range(alive):
            self.begin_pod()

    def rotate(self) -> None:
        """Rename the file of a log chosen by chance, of those whose first position was written down.

        Of a file that came and went before, nobody could know.
        """
        with self.changed:
            known = "".join(path.read_text() for path in self._positions.glob("*.pos"))
            if known_logs := [log for _, log in sorted(self.logs.items()) if f"/{log.name}\t" in known]:
                self._random.choice(known_logs).rotate(late=self._random.randrange(1, 40))
                self.counts["renamed"] += 1

    def truncate(self) -> None:
        """Stop a log until all its lines have come, then cut it; does nothing while another waits for that."""
        with self.changed:
            if not any(log.paused for log in self.logs.values()):
                self.logs[self._random.choice(sorted(self.logs))].paused = True

    def replace_pod(self) -> None:
        """End a pod chosen by chance and begin another; its files go when all their lines have come."""
        with self.changed:
            name = self._random.choice(sorted(self._pods))
            self._ending[name] = self._pods.pop(name), self.logs.pop(name)
            self.begin_pod()

    def begin_pod(self) -> None:
        """Lay the files of the next pod."""
        pod = next(self._to_come)
        self._pods[pod.name] = pod
        file = self._docker_file(pod) if len(self._pods) % 2 else self._pod_folder(pod) / "0.log"
        file.parent.mkdir(parents=True)
        self.logs[pod.name] = self._log(file, self._account.open(pod.name), docker_entry, name=pod.log_name)
        if not (link := self._pod_folder(pod) / "0.log").exists():
            link.parent.mkdir(parents=True)
            link.symlink_to(file)
        (self.var_log / "containers" / pod.log_name).symlink_to(link)

    def tidy(self) -> None:
        """Do what had to wait for lines to come: cut logs, remove rotated files and those of pods that ended."""
        with self.changed:
            for log in self.logs.values():
                self.counts["old files removed"] += log.remove_old()
                if log.paused and log.series.complete:
                    log.truncate()
                    log.paused = False
                    self.counts["truncated"] += 1
            for name, (pod, log) in list(self._ending.items()):
                if log.series.complete:
                    del self._ending[name]
                    log.close()
                    self._remove(pod)
                    self.counts["pods removed"] += 1

    def stop(self) -> None:
        """Write no more."""
        self._stopping.set()
        self._thread.join()

    def _log(self, path: Path, series: Series, entry: Entry, *, name: str = "") -> RotatedLog:
        return RotatedLog(path, series, name=name or path.name, entry=entry, rnd=self._random)

    def _write(self) -> None:
        while not self._stopping.wait(PAUSE):
            with self.changed:
                for log in self._random.sample([log for log in self.logs.values() if not log.paused], k=2):
                    log.write(self._burst // 2)

    def _docker_file(self, pod: Pod) -> Path:
        return self._root / "docker" / pod.container_id / f"{pod.container_id}-json.log"

    def _pod_folder(self, pod: Pod) -> Path:
        return self.var_log / "pods" / f"{pod.namespace}_{pod.name}_{pod.uid}" / pod.container

    def _remove(self, pod: Pod) -> None:
        (self.var_log / "containers" / pod.log_name).unlink()
        shutil.rmtree(self._pod_folder(pod).parent)
        shutil.rmtree(self._docker_file(pod).parent, ignore_errors=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for log in (*self.logs.values(), *(log for _, log in self._ending.values())):
            log.close()
