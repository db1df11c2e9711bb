"""What these tests share."""

from __future__ import annotations

import pytest

from logpipe_prometheus.registry import REGISTRY
from logpipe_prometheus.testing import Ask, ask_running


@pytest.fixture(autouse=True)
def _no_metrics_of_others() -> None:
    """Metrics outlive a configuration, but not a test."""
    REGISTRY._metrics.clear()
    REGISTRY._sources.clear()


@pytest.fixture
def ask() -> Ask:
    """Asks the endpoint of a pipeline."""
    return ask_running
