"""What all tests of this plugin share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import pytest

from logpipe.testing import ManualClock
from logpipe_kubernetes.testing import FakeApiServer


class PassTime(Protocol):
    """Lets seconds pass on the clock until something is so."""

    async def __call__(self, condition: Callable[[], object], what: str = "", *, seconds: int = 3600) -> None:
        """Return when `condition()` is true; fail when it still is not after so many seconds of the clock."""


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the environment of a pod that it may happen to run in."""
    for name in (
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "K8S_NODE_NAME",
        "LOGPIPE_KUBERNETES_SECRET_DIR",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def on_node(monkeypatch: pytest.MonkeyPatch) -> str:
    """Give this node a name, so that its pods are watched."""
    monkeypatch.setenv("K8S_NODE_NAME", "node-1")
    return "node-1"


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    """An API server without objects."""
    async with FakeApiServer() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def pass_time(clock: ManualClock) -> PassTime:
    """Let seconds pass on the clock; after each one answers get the time to come over real sockets."""

    async def pass_until(condition: Callable[[], object], what: str = "", *, seconds: int = 3600) -> None:
        for _ in range(seconds):
            if condition():
                return
            await clock.advance(1)
            await asyncio.sleep(0.002)
        assert condition(), f"{seconds} seconds passed without {what or condition}"

    return pass_until
