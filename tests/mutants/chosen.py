"""A plugin of pytest that runs some tests in an order of their own, each within a time of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pytest

CHOSEN: Final = "LOGPIPE_MUTANTS_CHOSEN"
"""The environment variable that names a file: a JSON object of tests, in order, with the seconds that each may take."""
NOTICED: Final = ".noticed"
"""What the name of the file ends with in which the first test stands that fails."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep those."""
    chosen: dict[str, float] = json.loads(Path(os.environ[CHOSEN]).read_text())
    order = {test: place for place, test in enumerate(chosen)}
    items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
    for item in items:
        item.own_markers = [mark for mark in item.own_markers if mark.name != "timeout"]
        item.add_marker(pytest.mark.timeout(chosen[item.nodeid]), append=False)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what fails."""
    file = Path(os.environ[CHOSEN] + NOTICED)
    if report.failed and not file.exists():
        file.write_text(report.nodeid)
