"""A plugin of pytest that writes down, test by test, which marks it made, how long it took and whether it passed."""

from __future__ import annotations

import base64
import json
import os
import re
import time
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.mutants.marks import MODULE, Marks, state_of

RECORDS: Final = "LOGPIPE_MUTANTS_RECORDS"
"""The environment variable that names the folder of what is written down."""
MARKED: Final = "marked.json"
"""The file in that folder that says of each module where its marks begin and end, and its state."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of a test."""

    test: str
    content: str
    """Tells whether its file has changed since."""
    seconds: float
    passed: bool
    marks: frozenset[int]
    is_current: bool
    """Whether the modules that it ran are as they were then."""


def note(folder: Path, marks: Marks) -> None:
    """Say what the numbers of marks mean."""
    said = {str(file): [each.start, each.stop, marks.states[file]] for file, each in marks.of_file.items()}
    (folder / MARKED).write_text(json.dumps(said))


def recorded(folder: Path) -> Iterator[Recorded]:
    """Yield what is written down in a folder; of a test that was run twice both, the newer last."""
    marked = json.loads((folder / MARKED).read_text())
    for file in sorted(folder.glob("*.jsonl"), key=lambda each: each.stat().st_mtime):
        for line in file.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # somebody ended the run while it was written
            marks: set[int] = set()
            is_current = True
            for module, (state, made) in row["marks"].items():
                start, _, now = marked.get(module, (0, 0, ""))
                is_current = is_current and state == now
                if state == now:
                    bits = zlib.decompress(base64.b64decode(made))
                    marks.update(start + found.start() for found in re.finditer(rb"[^\0]", bits))
            yield Recorded(row["test"], row["content"], row["seconds"], row["passed"], frozenset(marks), is_current)


@cache
def content_of(file: Path) -> str:
    """Return what tells a test's file from an older or a newer one."""
    return state_of(file.read_bytes())


class Recorder:
    """Writes it down, in a process that runs tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marked = json.loads((folder / MARKED).read_text())
        self._known = {(each.test, each.content) for each in recorded(folder) if each.is_current}
        self._passed = True
        self._file = (folder / f"{os.getpid()}-{time.time_ns()}.jsonl").open("w")

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what is known."""
        known = [item for item in items if (item.nodeid, content_of(item.path)) in self._known]
        config.hook.pytest_deselected(items=known)
        items[:] = [item for item in items if (item.nodeid, content_of(item.path)) not in self._known]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run one."""
        marks = __import__(MODULE[:-3].replace("/", "."), fromlist=["MARKS"]).MARKS
        marks[:] = bytes(len(marks))
        self._passed = True
        began = time.monotonic()
        result = yield
        row = {
            "test": item.nodeid,
            "content": content_of(item.path),
            "seconds": round(time.monotonic() - began, 3),
            "passed": self._passed,
            "marks": {
                module: [state, base64.b64encode(zlib.compress(marks[start:stop])).decode()]
                for module, (start, stop, state) in self._marked.items()
                if any(marks[start:stop])
            },
        }
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that is of no use."""
        self._passed = self._passed and report.passed


def pytest_configure(config: pytest.Config) -> None:
    """Begin, but in a process that only hands tests out."""
    if hasattr(config, "workerinput") or config.option.dist == "no":
        config.pluginmanager.register(Recorder(Path(os.environ[RECORDS])), "logpipe-recorder")
