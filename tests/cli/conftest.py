"""The command under test, as a fixture."""

from __future__ import annotations

import pytest

from logpipe.cli import main
from tests.cli.chunk_files import Done, Run


@pytest.fixture
def buffer(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command."""

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        status = main(["buffer", *map(str, arguments)])
        return Done(status, *capfd.readouterr())

    return run
