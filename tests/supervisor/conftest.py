"""The program in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.running import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A log to follow and a way to start logpipe on it; not started yet."""
    with Running(tmp_path) as program:
        yield program
