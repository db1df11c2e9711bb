"""What these tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logpipe_systemd.testing import WRITER, Journals
from tests.services.fixtures import REQUIRE


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    """An empty folder of journal files."""
    if not WRITER.exists():
        reason = f"{WRITER} is not installed (Debian: systemd-journal-remote)"
        pytest.fail(reason) if os.environ.get(REQUIRE) else pytest.skip(reason)
    return Journals(tmp_path / "journal")
