"""How the tests are run: what a run must not let pass, and what it must not leave."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.services.fixtures import REQUIRE
from tests.services.waiting import slowness, wait_until

pytestmark = pytest.mark.long("each test is a run of tests, whose processes take a while to start and to end")

ROOT: Final = Path(__file__).parents[1]

MISTAKES: Final = """\
import asyncio, subprocess, time, warnings
import pytest
from hypothesis import given, strategies

@pytest.mark.timeout(0.5)
def test_hangs():
    time.sleep(1000)

@pytest.mark.timeout(0.5)
async def test_hangs_in_a_loop():
    await asyncio.Event().wait()

def test_warns():
    warnings.warn("a warning")

@pytest.mark.slow
def test_slow_without_reason():
    pass

def test_takes_long():
    time.sleep(0.2)

@pytest.mark.slow("it sleeps")
def test_takes_long_for_a_reason():
    time.sleep(0.2)

@given(strategies.booleans())
def test_property(_):
    time.sleep(0.3)  # the usual deadline is 0.2 seconds

def test_leaves_a_process():
    subprocess.run(["sh", "-c", "sleep 1000.5 >/dev/null 2>&1 &"], start_new_session=True)
"""

HOLDING: Final = """\
import os, pathlib, subprocess, pytest

@pytest.mark.parametrize("name", ["one", "two"])
def test_holds(name):
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    new = pathlib.Path(__file__).with_name(name)
    new.write_text(f"{child.pid} {os.getpid()}")
    new.rename(new.with_suffix(".pids"))
    child.wait()
"""

SHARING: Final = """\
import pathlib, pytest, time

@pytest.mark.parametrize("name", ["one", "two"])
def test_has_kafka(name, kafka):
    here = pathlib.Path(__file__).parent
    (here / f"{name}.got").write_text(kafka.bootstrap)
    while len(list(here.glob("*.got"))) < 2:
        time.sleep(0.01)
"""

IMPATIENT: Final = """\
import os
from tests import suite

suite.SLOW_SECONDS, suite.END_SECONDS, os.getloadavg = 0.15, 0.5, lambda: (0.0, 0.0, 0.0)
"""

# A Kafka that is counted and not there.
COUNTED: Final = """\
import os, pathlib
from tests.services.kafka import Kafka, RunningKafka

class Counted(RunningKafka):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pathlib.Path(__file__).with_name("ended").write_text("")

def start():
    started = pathlib.Path(__file__).with_name(f"started-{os.getpid()}")
    started.touch(exist_ok=False)
    return Counted(bootstrap="127.0.0.1:1", zookeeper="", root="")

Kafka.start = start
"""


class Nested:
    """A run of some tests in a folder of their own, shared by two processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(
        self, tests: str, *, conftest: str = "", environment: dict[str, str] | None = None, chosen: bool = True
    ) -> None:
        """Begin it, with its folder named or not."""
        (self.folder / "test_nested.py").write_text(tests)
        (self.folder / "conftest.py").write_text(conftest)
        config = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={self.folder}", "-p", "no:cacheprovider"]
        # Who runs tests in the background of a script has Ctrl-C ignored, and with it all that they start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with (self.folder / "said").open("w") as said:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    *config,
                    "-n",
                    "2",
                    *([str(self.folder)] if chosen else ["-o", "testpaths=."]),
                ],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        signal.signal(signal.SIGINT, before)

    def end(self) -> tuple[int, str]:
        """Return its exit status and what it said, once it has ended."""
        status = self.process.wait(120 * slowness())
        return status, (self.folder / "said").read_text()


@pytest.fixture
def nested(tmp_path: Path) -> Nested:
    """One for each test."""
    return Nested(tmp_path)


def test_what_a_run_does_not_let_pass(nested: Nested) -> None:
    """A test that hangs, a warning, a slow test without a reason and a process that is left: each is named."""
    nested.start(MISTAKES, conftest=IMPATIENT)
    status, said = nested.end()

    assert status == 1
    assert set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", said, re.MULTILINE)) == {
        "test_hangs",
        "test_hangs_in_a_loop",
        "test_warns",
        "test_slow_without_reason",
    }
    assert "say why it is slow: @pytest.mark.slow(REASON)" in said
    assert re.search(r"without @pytest.mark.slow\(REASON\) =+\n( +\d+\.\ds \S+\n)*.*::test_takes_long\n", said)
    assert not re.search(r"^ +\d+\.\ds \S+::test_takes_long_for_a_reason", said, re.MULTILINE)
    (left,) = re.findall(r"^(\d+) sleep 1000.5", said, re.MULTILINE)
    assert not _lives(int(left))
    assert re.search(r"^=+ 3 failed, 4 passed, 1 error in \S+ =+$", said.splitlines()[-1])


@pytest.mark.parametrize(
    "end", [lambda pid: os.kill(pid, signal.SIGKILL), lambda pid: os.killpg(pid, signal.SIGINT)], ids=["kill", "ctrl-c"]
)
def test_nothing_outlives_a_run(nested: Nested, end: Callable[[int], None]) -> None:
    """Killed or interrupted, it leaves neither its processes nor theirs."""
    nested.start(HOLDING)
    wait_until(lambda: len(list(nested.folder.glob("*.pids"))) == 2, seconds=60, what="both tests to begin")
    pids = [int(pid) for file in nested.folder.glob("*.pids") for pid in file.read_text().split()]
    end(nested.process.pid)
    nested.end()

    wait_until(lambda: not any(map(_lives, pids)), seconds=20, what="the end of everything")


@pytest.mark.parametrize("how", ["left out", "asked for", "chosen"])
def test_what_takes_long_is_left_out(nested: Nested, how: str) -> None:
    """A run of all tests leaves it out and says so, unless it's asked for; what is chosen by hand runs whole."""
    tests = 'import pytest\n@pytest.mark.long("it is")\ndef test_long(): pass\ndef test_short(): pass\n'
    environment = {"PYTEST_ADDOPTS": "--long"} if how == "asked for" else None
    nested.start(tests, environment=environment, chosen=how == "chosen")
    status, said = nested.end()
    assert status == 0
    assert ("1 passed" if how == "left out" else "2 passed") in said
    assert ("make test ARGS=--long" in said) is (how == "left out")


def test_processes_share_one_kafka(nested: Nested) -> None:
    """It is started once, by the run's first process, and ended with the run."""
    nested.start(SHARING, conftest=COUNTED)
    status, said = nested.end()

    assert status == 0, said
    assert [file.name for file in nested.folder.glob("started-*")] == [f"started-{nested.process.pid}"]
    assert (nested.folder / "ended").exists()


@pytest.mark.parametrize("required", ["", "1"])
def test_no_kafka_is_one_line(nested: Nested, tmp_path: Path, required: str) -> None:
    """All that is skipped for want of it stands in one line of the summary; where it is required, all fails."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "grep", "sleep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    environment = {"PATH": str(tools), REQUIRE: required}
    nested.start(SHARING, environment=environment)
    status, said = nested.end()

    if required:
        assert status == 1
        assert said.splitlines()[-1].strip("= ").startswith("2 errors in")
        assert "no real kafka: it needs java" in said
    else:
        assert status == 0
        assert re.findall(r"^SKIPPED (\[\d+\]) .*: (no real kafka)", said, re.MULTILINE) == [("[2]", "no real kafka")]


def _lives(pid: int) -> bool:
    """Whether a process has not ended; who has and waits for its parent has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
