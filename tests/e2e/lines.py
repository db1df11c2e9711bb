"""Log lines that can be told apart, written as a container's are while something else happens."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tests.services.topics import Message

BURST = 50


class LogWriter:
    """Writes numbered lines of docker's json-file form to one log, in bursts, from a thread of its own.

    Use it as a context manager: it writes from the beginning of the block until `stop`, or the end of the block.

    Args:
        log: the file, whose name without its suffix is in every line.
        per_second: how many lines, as far as the machine keeps up.
    """

    def __init__(self, log: Path, *, per_second: int) -> None:
        self._log = log
        self._pause = BURST / per_second
        self._random = random.Random(log.name)
        self._count = 0
        self._lock = threading.Lock()
        self._file = log.open("a", encoding="utf-8")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name=f"writer of {log.name}")

    @property
    def count(self) -> int:
        """How many lines were written."""
        return self._count

    @property
    def written(self) -> set[str]:
        """The texts of all lines written, whatever became of the files they were in."""
        return {self._text(number) for number in range(self._count)}

    def rename(self, to: Path) -> None:
        """Rotate as the kubelet does: the file gets another name, more lines still go into it, and then a new one."""
        with self._lock:
            self._log.rename(to)
            self._write_burst()
            self._file.close()
            self._file = self._log.open("a", encoding="utf-8")

    def copy_and_truncate(self, to: Path) -> None:
        """Rotate as logrotate's copytruncate does, inside `paused`: what was not read by now is in the copy alone."""
        to.write_bytes(self._log.read_bytes())
        self._file.truncate(0)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Write nothing inside the block."""
        with self._lock:
            yield

    def stop(self) -> None:
        """Write the last burst to its end and no more."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._file.close()

    def _write(self) -> None:
        while not self._stopping.wait(self._pause):
            with self._lock:
                self._write_burst()

    def _write_burst(self) -> None:
        burst = "".join(self._line(number) for number in range(self._count, self._count + BURST))
        # A reader may see a burst before it ends, even within a line.
        cut = self._random.randrange(len(burst) + 1)
        for part in (burst[:cut], burst[cut:]):
            self._file.write(part)
            self._file.flush()
        self._count += BURST

    def _line(self, number: int) -> str:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
        return json.dumps({"log": f"{self._text(number)}\n", "stream": "stdout", "time": now}) + "\n"

    def _text(self, number: int) -> str:
        return f"{self._log.stem} {number:08d}"


def arrived(messages: Iterable[Message]) -> set[str]:
    """Return the texts of the lines that the messages carry, without those of logpipe's own log."""
    records = [json.loads(message.value or b"{}") for message in messages]
    return {record["log"].rstrip("\n") for record in records if "log" in record}
