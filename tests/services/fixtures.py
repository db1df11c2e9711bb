"""The servers as fixtures, for every test of the project (pyproject.toml loads this file)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import pytest

from tests.services.jars import UnavailableError
from tests.services.kafka import Kafka, RunningKafka
from tests.services.opensearch import running
from tests.services.shared import SharedKafka, ask
from tests.services.stand_in import StandInKafka

REQUIRE = "LOGPIPE_REQUIRE_SERVICES"
"""Environment variable: set to anything but nothing, tests fail for want of a real server instead of being skipped."""

T = TypeVar("T")


_SHARED: pytest.StashKey[SharedKafka] = pytest.StashKey()
_ADDRESS = "logpipe_kafka"


@pytest.fixture(scope="session")
def kafka(_kafka_or_reason: RunningKafka | UnavailableError) -> RunningKafka:
    """A real Kafka for the whole run and all its processes: use topics of your own."""
    return _or_skip(_kafka_or_reason)


@pytest.fixture
def own_kafka() -> Iterator[Kafka]:
    """A real Kafka for one test, which may stop and kill it."""
    with _or_skip(_unless_unavailable(Kafka.start)) as running:
        yield running


@pytest.fixture(scope="module")
def opensearch() -> Iterator[int]:
    """The port of a real OpenSearch, for the tests of one module: let one process have them all."""
    with contextlib.ExitStack() as stack:
        yield _or_skip(_unless_unavailable(lambda: stack.enter_context(running())))


@pytest.fixture(scope="session")
def any_kafka(_kafka_or_reason: RunningKafka | UnavailableError) -> Iterator[RunningKafka | StandInKafka]:
    """The real Kafka of the whole run, or its stand-in where it can't be had."""
    if isinstance(_kafka_or_reason, RunningKafka):
        yield _kafka_or_reason
        return
    with StandInKafka.start() as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def _kafka_or_reason(pytestconfig: pytest.Config) -> RunningKafka | UnavailableError:
    """The real Kafka, or why there is none."""
    if shared := pytestconfig.stash.get(_SHARED, None):
        return _unless_unavailable(shared.get)
    address = pytestconfig.workerinput[_ADDRESS]  # type: ignore[attr-defined]  # of pytest-xdist
    return _unless_unavailable(lambda: ask(address))


def _unless_unavailable(start: Callable[[], T]) -> T | UnavailableError:
    try:
        return start()
    except UnavailableError as error:
        if os.environ.get(REQUIRE):
            raise
        return error


def _or_skip(started: T | UnavailableError) -> T:
    if isinstance(started, UnavailableError):
        raise pytest.skip.Exception(str(started)) from started
    return started


def pytest_configure(config: pytest.Config) -> None:
    """Let the run's first process have the Kafka that all share."""
    if not hasattr(config, "workerinput"):
        config.stash[_SHARED] = SharedKafka()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process that takes part where to ask for Kafka."""
    shared = node.config.stash[_SHARED]
    node.workerinput[_ADDRESS] = shared.address


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the Kafka that was shared."""
    if shared := session.config.stash.get(_SHARED, None):
        shared.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let all tests that are skipped for want of a server be one line of the summary, which has one for each place."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value.__cause__, UnavailableError) and report.skipped:
        report.longrepr = (__file__, 0, f"Skipped: {call.excinfo.value}")
    return report


@pytest.fixture(autouse=True, scope="session")
def _dead_letters_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Dead letters of programs that tests start do not land in the machine's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUENT_BACKUP_DIR", str(tmp_path_factory.mktemp("backup")))
        yield
