"""The command under test, and a configuration, as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe.cli import main
from tests.cli.chunk_files import Done, Run
from tests.cli.program import EMPTY
from tests.cli.site import Site


@pytest.fixture
def buffer(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command."""

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        status = main(["buffer", *map(str, arguments)])
        return Done(status, *capfd.readouterr())

    return run


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A configuration that does nothing."""
    path = tmp_path / "logpipe.conf"
    path.write_text(EMPTY)
    return path


@pytest.fixture
def site(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Site:
    """A configuration to replay with."""
    return Site(tmp_path, capfd)
