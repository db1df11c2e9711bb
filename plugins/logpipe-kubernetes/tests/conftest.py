"""What all tests of this plugin share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from logpipe.testing import ManualClock
from logpipe_kubernetes.testing import FakeApiServer, TimeLapse


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the environment of a pod that it may happen to run in."""
    for name in list(os.environ):
        if name.startswith(("KUBERNETES_", "K8S_", "LOGPIPE_")):
            monkeypatch.delenv(name)


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
def lapse(clock: ManualClock) -> TimeLapse:
    """Makes time pass on that clock."""
    return TimeLapse(clock)
