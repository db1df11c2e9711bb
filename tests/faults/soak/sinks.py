"""What arrives: a Kafka's topics and a file, read by a thread all the time."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.faults.account import Account

_PAUSE: Final = 0.2


class Reader:
    """Reads on in a thread while its block lasts."""

    def __init__(self, name: str) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.read()

    def read(self) -> None:
        """Read what is there, or wait for a moment."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


class TopicReader(Reader):
    """Enters the lines of topics into the account.

    Attributes:
        misrouted: lines that came in another topic than that of their pod's namespace, or without its metadata.
    """

    def __init__(self, bootstrap: str, topics: Sequence[str], account: Account, namespaces: Mapping[str, str]) -> None:
        super().__init__("topics")
        self.misrouted: list[str] = []
        self._account = account
        self._namespaces = namespaces
        quiet = logging.getLogger("tests.faults.consumer")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False
        settings = {"bootstrap.servers": bootstrap, "group.id": "soak", "enable.auto.commit": False}
        self._consumer = Consumer({**settings, "reconnect.backoff.max.ms": 1000}, logger=quiet)
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in topics])

    def read(self) -> None:
        """Enter the next messages."""
        for message in self._consumer.consume(2000, timeout=_PAUSE):
            if message.error() is None:
                self._enter(message.topic() or "", orjson.loads(message.value() or b"{}"))

    def _enter(self, topic: str, record: dict[str, object]) -> None:
        """Enter a record; those of logpipe's own log come too, and are no lines."""
        if not isinstance(text := record.get("log"), str):
            return
        self._account.arrived(text.rstrip("\n"))
        expected = self._namespaces.get(text.partition(" ")[0])
        kubernetes = record.get("kubernetes")
        found = kubernetes.get("namespace_name") if isinstance(kubernetes, dict) else None
        if (found, topic) != (expected, expected or "default"):
            self.misrouted.append(f"{text[:40]} in {topic} with namespace {found}")

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._consumer.close()


class FileReader(Reader):
    """Enters the lines of a file, which may not be there yet, into the account."""

    def __init__(self, path: Path, account: Account) -> None:
        super().__init__("file")
        self._path = path
        self._account = account
        self._offset = 0

    def read(self) -> None:
        """Enter the whole lines that were added."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(1 << 22)
            data = data[: data.rfind(b"\n") + 1]
            self._offset += len(data)
            for line in data.splitlines():
                self._account.arrived(line.decode("utf-8", "replace"))
        self._stopping.wait(_PAUSE)
