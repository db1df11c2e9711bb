"""Threads that read what arrives, and the check that it came where it belongs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from tests.faults.account import Account

_PAUSE: Final = 0.2


class Reading:
    """Calls `read` in a thread while its block lasts, with a pause when it has found nothing."""

    def __init__(self, read: Callable[[], bool], *, name: str) -> None:
        self._read = read
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._read():
                self._stopping.wait(_PAUSE)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


class ContainerLines:
    """Enters the lines of containers, with an eye to where they came.

    Args:
        account: where they are entered.
        namespaces: that of each pod, by its name; lines of what is not in here belong to the topic `default`.

    Attributes:
        misrouted: lines that came in another topic than that of their pod's namespace, or without its metadata.
    """

    def __init__(self, account: Account, namespaces: Mapping[str, str]) -> None:
        self.misrouted: list[str] = []
        self._account = account
        self._namespaces = namespaces

    def enter(self, topic: str, record: dict[str, Any]) -> None:
        """Enter a record; those of logpipe's own log come too, and are no lines."""
        if not isinstance(text := record.get("log"), str):
            return
        self._account.arrived(text.rstrip("\n"))
        expected = self._namespaces.get(text.partition(" ")[0])
        found = record.get("kubernetes", {}).get("namespace_name")
        if (found, topic) != (expected, expected or "default"):
            self.misrouted.append(f"{text[:40]} in {topic} with namespace {found}")
