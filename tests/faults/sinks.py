"""What arrives, entered into an account as it does."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.faults.account import Account

_SECONDS: Final = 0.2
_AT_ONCE: Final = 1 << 22


class FileSink:
    """The lines of a file that is being written, and which may not be there yet."""

    def __init__(self, path: Path, account: Account) -> None:
        self._path = path
        self._account = account
        self._offset = 0

    def read(self) -> bool:
        """Enter the whole lines that were added; returns whether there were any."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(_AT_ONCE)
            data = data[: data.rfind(b"\n") + 1]
            self._offset += len(data)
            for line in data.splitlines():
                self._account.arrived(line.decode("utf-8", "replace"))
            return bool(data)
        return False


class KafkaSink:
    """The messages of topics; use it as a context manager.

    Args:
        bootstrap: brokers, HOST:PORT.
        partitions: how many each topic has, by its name.
        enter: gets the topic of each message and the record that its value is.
        more: settings of the client, in librdkafka's words.
    """

    def __init__(
        self,
        bootstrap: str,
        partitions: dict[str, int],
        enter: Callable[[str, dict[str, Any]], None],
        more: dict[str, Any] | None = None,
    ) -> None:
        self._enter = enter
        quiet = logging.getLogger("tests.faults.consumer")
        quiet.propagate = False
        quiet.addHandler(logging.NullHandler())
        settings = {"bootstrap.servers": bootstrap, "group.id": "audit", "enable.auto.commit": False, **(more or {})}
        self._consumer = Consumer({**settings, "reconnect.backoff.max.ms": 1000}, logger=quiet)
        every = [(topic, number) for topic, count in partitions.items() for number in range(count)]
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in every])

    def read(self) -> bool:
        """Enter the next messages, waiting a moment for them; returns whether there were any."""
        messages: Sequence[Any] = self._consumer.consume(2000, timeout=_SECONDS)
        for message in messages:
            if message.error() is None:
                self._enter(message.topic(), orjson.loads(message.value() or b"{}"))
        return bool(messages)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()
