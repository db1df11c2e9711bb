"""The servers as fixtures, for every test of the project (pyproject.toml loads this file)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from tests.services.jars import UnavailableError
from tests.services.kafka import Kafka
from tests.services.stand_in import StandInKafka

REQUIRE = "LOGPIPE_REQUIRE_SERVICES"
"""Environment variable: set to anything, tests fail for want of a real server instead of being skipped."""


@pytest.fixture(scope="session")
def kafka(_kafka_or_reason: Kafka | UnavailableError) -> Kafka:
    """A real Kafka for the whole run: use topics of your own, and never stop it."""
    return _or_skip(_kafka_or_reason)


@pytest.fixture
def own_kafka() -> Iterator[Kafka]:
    """A real Kafka for one test, which may stop and kill it."""
    with _or_skip(_start()) as running:
        yield running


@pytest.fixture(scope="session")
def any_kafka(_kafka_or_reason: Kafka | UnavailableError) -> Iterator[Kafka | StandInKafka]:
    """The real Kafka of the whole run, or its stand-in where it can't be had."""
    if isinstance(_kafka_or_reason, Kafka):
        yield _kafka_or_reason
        return
    with StandInKafka.start() as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def _kafka_or_reason() -> Iterator[Kafka | UnavailableError]:
    """The real Kafka, or why there is none; started once for the fixtures above."""
    started = _start()
    yield started
    if isinstance(started, Kafka):
        started.close()


def _start() -> Kafka | UnavailableError:
    try:
        return Kafka.start()
    except UnavailableError as error:
        if REQUIRE in os.environ:
            raise
        return error


def _or_skip(started: Kafka | UnavailableError) -> Kafka:
    if isinstance(started, UnavailableError):
        raise pytest.skip.Exception(str(started)) from started
    return started


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
