"""The program in a folder of its own, and a process that is left as it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from logpipe import signals
from logpipe.engine.running import malloc
from logpipe.supervisor import worker
from tests.supervisor.running import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A log to follow and a way to start logpipe on it; not started yet."""
    with Running(tmp_path) as program:
        yield program


@pytest.fixture
def own_signals(
    own_log: None,  # noqa: ARG001 - it is done before, and undone after
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Leave this process and its log as they were."""
    monkeypatch.setattr(worker, "REST_SECONDS", 0.0)
    monkeypatch.setattr(malloc, "tune", lambda: None)
    handlers = {number: signal.getsignal(number) for number in signals.ALL}
    yield
    for number, old in handlers.items():
        signal.signal(number, old)
