"""What the tests of the forward output share."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have servers that ask nothing wait for less."""
    monkeypatch.setattr("logpipe.builtin.out_forward.node.QUESTION_SECONDS", 0.02)
