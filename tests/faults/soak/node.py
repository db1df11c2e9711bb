"""A node whose pods write, rotate their logs, end and begin, all by chance."""

from __future__ import annotations

import collections
import itertools
import random
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, Self

from examples.demo.pods import Pod
from tests.faults.account import Account, Series

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


class Layout(Protocol):
    """How a log's lines look."""

    def __call__(self, text: str) -> str:
        """Return a line of the file, with its line feed."""


def docker_entry(text: str) -> str:
    """Return a line as docker's json-file driver writes it."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
    return f'{{"log":"{text}\\n","stream":"stdout","time":"{now}"}}\n'


def plain(text: str) -> str:
    """Return a line as it is."""
    return f"{text}\n"


class Log:
    """A log file that is written, rotated and removed.

    Args:
        path: the file itself, not a link to it.
        name: what it is called where logpipe looks for it.
        series: the account of its lines.
        entry: how its lines look.
    """

    def __init__(self, path: Path, name: str, series: Series, entry: Layout) -> None:
        self.name = name
        self.series = series
        self.paused = False
        self._path = path
        self._entry = entry
        self._file = path.open("a", encoding="utf-8")
        self._old: collections.deque[tuple[Path, int]] = collections.deque()
        self._generations = itertools.count(1)

    def write(self, count: int, rnd: random.Random) -> None:
        """Add lines, in two pieces that may part a line."""
        burst = "".join(self._entry(self.series.next_line(padding=rnd.randrange(40, 160))) for _ in range(count))
        cut = rnd.randrange(len(burst) + 1)
        for part in (burst[:cut], burst[cut:]):
            self._file.write(part)
            self._file.flush()

    def rename(self, rnd: random.Random) -> None:
        """Rotate as docker and the kubelet do; more lines still go to the old file."""
        old = self._path.with_name(f"{self._path.name}.{next(self._generations)}")
        self._path.rename(old)
        self.write(rnd.randrange(1, 40), rnd)
        self._file.close()
        self._file = self._path.open("a", encoding="utf-8")
        self._old.append((old, self.series.written))

    def truncate(self) -> None:
        """Rotate as copytruncate does, after the copy: only what was read is safe."""
        self._file.truncate(0)

    def remove_old(self) -> int:
        """Remove the rotated files whose lines have all come; returns how many."""
        removed = 0
        while self._old and self.series.without_gap >= self._old[0][1]:
            self._old.popleft()[0].unlink()
            removed += 1
        return removed

    def close(self) -> None:
        """Write no more."""
        self._file.close()


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
        self._ending: dict[str, tuple[Pod, Log]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="node")
        for folder in ("containers", "audit", "pods"):
            (self.var_log / folder).mkdir(parents=True, exist_ok=True)
        self.logs: dict[str, Log] = {
            STRAY: Log(self.var_log / "containers" / f"{STRAY}.log", f"{STRAY}.log", account.open(STRAY), docker_entry),
            AUDIT: Log(self.var_log / "audit" / f"{AUDIT}.log", f"{AUDIT}.log", audit.open(AUDIT), plain),
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
                self._random.choice(known_logs).rename(self._random)
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
        self.logs[pod.name] = Log(file, pod.log_name, self._account.open(pod.name), docker_entry)
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

    def _write(self) -> None:
        while not self._stopping.wait(PAUSE):
            with self.changed:
                for log in self._random.sample([log for log in self.logs.values() if not log.paused], k=2):
                    log.write(self._burst // 2, self._random)

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
