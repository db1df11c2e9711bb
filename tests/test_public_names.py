"""The front door: every public name is there, and opening it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import logpipe


def test_every_name_is_there() -> None:
    """Each loads from its home."""
    assert [name for name in logpipe.__all__ if getattr(logpipe, name, None) is None] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = logpipe.nonsense  # type: ignore[attr-defined]  # what is tested


def test_importing_loads_nothing_heavy() -> None:
    """`import logpipe` must cost no more than it is asked for."""
    code = "import sys, logpipe; print([name for name in sys.modules if name.startswith('logpipe.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
