"""How the tests are run (pyproject.toml loads this file): in how many processes, in which order, and what is left."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.services.waiting import slowness

RUN: Final = "LOGPIPE_TEST_RUN"
"""Environment variable of every process that a run of the tests has started: the run's name."""
SHORT: Final = "LOGPIPE_TEST_SHORT"
"""Environment variable of a run that leaves out what takes long."""
MOST_WORKERS: Final = 8
SLOW_SECONDS: Final = 5.0
REASONED: Final = {"slow", "long"}
"""Marks of a test that may take so long."""
SLOW_LIMIT: Final = 450
"""Seconds after which a slow test has failed; for others pyproject.toml says it."""
END_SECONDS: Final = 5.0
"""How long what the tests have started may take to end when they have ended."""

# Kills whatever a run has left when its input ends, which it does with the run's first process, in whatever way.
SWEEPER: Final = """\
read never
for turn in 1 2 3; do
  for file in $(grep -lzsx "$1" /proc/[0-9]*/environ); do
    pid=${file#/proc/}
    kill -KILL "${pid%/environ}" 2>/dev/null
  done
  sleep 0.1
done
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too, as CI does")


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Have what is started and imported hundreds of times compiled once."""
    if sys.dont_write_bytecode:
        # Not to be written beside the sources, then.
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(early_config.rootpath / ".pytest_cache/bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run: nothing that it starts outlives it, and no example of a property test has a deadline."""
    if not _is_worker(config):
        # What is chosen by hand runs whole.
        chosen = config.args_source is pytest.Config.ArgsSource.ARGS
        os.environ[SHORT] = "" if chosen or config.option.long else "1"
        config.pluginmanager.register(_Run(), "logpipe-run")
    if _is_worker(config) or config.option.dist == "no":
        from hypothesis import HealthCheck, settings  # noqa: PLC0415 - for who runs tests, not who hands them out

        # Examples stay random in CI too, where hypothesis would choose otherwise; it prints how to see one again.
        quiet = [HealthCheck.too_slow]
        settings.register_profile("suite", settings.get_profile("default"), deadline=None, suppress_health_check=quiet)
        settings.load_profile("suite")


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes share the tests: three for a core, since most tests wait most of the time.

    Fewer take part in what is chosen by hand, since they take a second to start; none, where output is to be seen.
    """
    if config.option.capture == "no" or (config.args and all("::" in arg for arg in config.args)):
        return 0
    cores = len(os.sched_getaffinity(0))
    return min(MOST_WORKERS, cores if config.option.keyword else 3 * cores)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Let one process compile the tests, so that the others find them compiled; what is collected is no garbage."""
    if not _is_worker(session.config) or session.config.inipath is None:
        return (yield)
    with session.config.inipath.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH)
        gc.disable()
        collected = yield
    gc.enable()
    gc.freeze()
    return collected


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several processes begin with the slow tests, so that none is left with one when the others are done."""
    if os.environ[SHORT]:
        config.hook.pytest_deselected(items=[item for item in items if _is_long(item)])
        items[:] = [item for item in items if not _is_long(item)]
    for item in items:
        if _is_slow(item) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))
    if _is_worker(config):
        items.sort(key=_is_slow, reverse=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a slow test that does not say why it is."""
    for name in ("slow", "long"):
        if any(not mark.args or not isinstance(mark.args[0], str) for mark in item.iter_markers(name)):
            pytest.fail(f"say why it is {name}: @pytest.mark.{name}(REASON)", pytrace=False)


class _Run:
    """What the run's first process sees to."""

    def __init__(self) -> None:
        self._name = f"{RUN}={uuid.uuid4()}"
        self._sweeper = subprocess.Popen(
            ["sh", "-c", SWEEPER, "sh", self._name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
        os.environ[RUN] = self._name.partition("=")[2]
        self._slow: dict[str, float] = {}
        self._left: dict[int, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that takes long and does not say why; how long that is depends on what else runs here."""
        if report.when == "call" and report.duration > SLOW_SECONDS * slowness() and not REASONED & {*report.keywords}:
            self._slow[report.nodeid] = report.duration

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End what the tests have left behind, and fail for it unless they were cut short."""
        whole = session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        if (guards := sys.modules.get("logpipe.processes.guard")) is not None:
            guards.GUARD.close()  # that of this very process, where there are no others
        deadline = time.monotonic() + (END_SECONDS * slowness() if whole else 0)
        while (left := dict(self._processes())) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if left and whole:
            self._left = left
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name slow tests without a reason, what was left out, and what was left behind."""
        if os.environ[SHORT]:
            terminalreporter.line(
                "Tests that take long were left out: `make test ARGS=--long` runs them too, as CI does."
            )
        if self._slow:
            terminalreporter.section("slow tests without @pytest.mark.slow(REASON)")
            for test, seconds in sorted(self._slow.items(), key=lambda item: -item[1]):
                terminalreporter.line(f"{seconds:5.1f}s {test}")
        if self._left:
            terminalreporter.section("processes left behind, which fails the run", red=True)
            for pid, command in self._left.items():
                terminalreporter.line(f"{pid} {command}")

    def pytest_unconfigure(self) -> None:
        """Dismiss the sweeper."""
        self._sweeper.communicate()

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Yield the processes that the run has started and that have not ended."""
        mark = self._name.encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    yield int(folder.name), command.decode(errors="replace")


def _is_slow(item: pytest.Item) -> bool:
    return _is_long(item) or item.get_closest_marker("slow") is not None


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
