"""The program's log, for tests that set it up in this process (pyproject.toml loads this file)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def own_log() -> Iterator[None]:
    """Leave the log of other tests as it was."""
    log = logging.getLogger("logpipe")
    before = log.handlers, log.level, log.propagate
    log.handlers = []
    yield
    for handler in log.handlers:
        handler.close()
    log.handlers, log.propagate = before[0], before[2]
    log.setLevel(before[1])
