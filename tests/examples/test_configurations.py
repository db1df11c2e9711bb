"""The configurations in examples/ can be run as they are."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from logpipe.config.diagnostic import Diagnostic
from logpipe.engine.graph import Graph, SystemClock
from logpipe.registry import Registry
from logpipe.testing import parse

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.conf")), ids=lambda path: path.name)
def test_builds_without_a_warning(path: Path) -> None:
    """Nobody copies a mistake from here."""
    found: list[Diagnostic] = []
    log = logging.getLogger("logpipe_test.examples")
    root = parse(path.read_text(encoding="utf-8"), str(path))
    Graph.build(root, registry=Registry(), report=found.append, log=log, clock=SystemClock())
    assert found == []
