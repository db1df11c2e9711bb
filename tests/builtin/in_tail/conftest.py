"""Fixtures that need no import: what `harness.py` holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.builtin.in_tail import harness
from tests.builtin.in_tail.harness import Running, ScriptedHost


@pytest.fixture
def follow() -> Callable[..., AbstractAsyncContextManager[Running]]:
    """Run a tail input over a folder's log files for as long as a block lasts."""
    return harness.follow


@pytest.fixture
def append() -> Callable[[Path, str | bytes], None]:
    """Write at the end of a file."""
    return harness.append


@pytest.fixture
def scripted() -> Callable[[], ScriptedHost]:
    """Make a host to be told what to do before the input runs."""
    return ScriptedHost
