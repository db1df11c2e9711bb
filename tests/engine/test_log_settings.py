"""What `<system>` says about the log: repetitions, their stack traces, the file's rotation by date."""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest

from logpipe.durable import Files
from logpipe.engine.logging.file import LogFile, Rotation
from logpipe.engine.logging.repeats import Repeats
from logpipe.engine.logging.setup import set_up
from logpipe.supervisor import Settings
from logpipe.supervisor.loading import Loaded, set_up_log


def messages(path: Path) -> list[str]:
    return [line.partition("]: ")[2] for line in path.read_text().splitlines() if "]: " in line]


def log_to(path: Path, repeats: Repeats) -> logging.Logger:
    return set_up(level="info", file=LogFile(path, Files()), repeats=repeats)


@pytest.mark.usefixtures("own_log")
def test_a_message_that_repeats_the_one_before(tmp_path: Path) -> None:
    """`ignore_repeated_log_interval`: only one after the other."""
    log = log_to(tmp_path / "log", Repeats(repeated=3600))
    for text in ("a", "a", "b", "a", "a"):
        log.info(text)
    assert messages(tmp_path / "log") == ["a", "b", "a"]


@pytest.mark.usefixtures("own_log")
def test_a_message_that_was_there_already(tmp_path: Path) -> None:
    """`ignore_same_log_interval`: whatever came between, until the interval is over."""
    log = log_to(tmp_path / "log", Repeats(same=3600))
    for text in ("a", "b", "a", "c", "b"):
        log.info(text)
    old = log.makeRecord("logpipe", logging.INFO, "", 0, "a", (), None)
    old.created = time.time() + 4000
    log.handle(old)
    assert messages(tmp_path / "log") == ["a", "b", "c", "a"]


@pytest.mark.usefixtures("own_log")
def test_messages_of_failed_emits(tmp_path: Path) -> None:
    """`emit_error_log_interval` holds for them alone, whatever they say."""
    log = log_to(tmp_path / "log", Repeats(emit_errors=3600))
    for number in range(3):
        log.warning("emit transaction failed: error_class=%s", number)
        log.warning("other %d", number)
    assert messages(tmp_path / "log") == ["emit transaction failed: error_class=0", "other 0", "other 1", "other 2"]


@pytest.mark.usefixtures("own_log")
def test_a_stack_trace_that_repeats(tmp_path: Path) -> None:
    """`suppress_repeated_stacktrace`: once, and then a line that says what was raised."""
    log = log_to(tmp_path / "log", Repeats(stack_traces=True))
    for number in range(3):
        try:
            int(f"number {number}\nforged")
        except ValueError as error:
            log.exception("failed", exc_info=ValueError(str(number) + "\nforged").with_traceback(error.__traceback__))
    text = (tmp_path / "log").read_text()
    assert text.count("Traceback (most recent call last)") == 1
    assert text.count("suppressed same stacktrace: ValueError: ") == 2
    assert "\nforged" not in text


def written(folder: Path, log_settings: str) -> list[str]:
    """Return the lines of a message and of one with a stack trace, as `<log>` has them."""
    conf = folder / "logpipe.conf"
    conf.write_text(f"<system>\nlog_level info\n<log>\npath {folder}/log\n{log_settings}\n</log>\n</system>\n")
    settings = Settings(conf)
    log = set_up_log(settings, Loaded.read(settings).system)
    message = log.makeRecord("logpipe", logging.WARNING, "", 0, "plain", (), None)
    message.created = 1_480_000_000.125
    log.handle(message)
    try:
        int("x")
    except ValueError:
        log.exception("failed")
    return (folder / "log").read_text().splitlines()


@pytest.mark.usefixtures("own_log")
def test_times_of_the_log(tmp_path: Path) -> None:
    """`time_format` has Ruby's directives, fractions of a second among them."""
    first = written(tmp_path, "time_format %s.%L %3N")[0]
    assert first == "1480000000.125 125 [warn]: plain"


@pytest.mark.usefixtures("own_log")
def test_a_stack_trace_with_a_level_of_its_own(tmp_path: Path) -> None:
    """`forced_stacktrace_level`: each line has time and level, as log.rb writes them."""
    _, message, *trace = written(tmp_path, "time_format T\nforced_stacktrace_level warn")
    assert message == "T [error]: failed"
    assert trace[0] == "  T [warn]: Traceback (most recent call last):"
    assert all(line.startswith("  T [warn]: ") for line in trace)


@pytest.mark.usefixtures("own_log")
def test_a_stack_trace_below_the_level_of_the_log(tmp_path: Path) -> None:
    """`forced_stacktrace_level debug` leaves it out, and keeps its message."""
    assert written(tmp_path, "time_format T\nforced_stacktrace_level debug") == ["T [warn]: plain", "T [error]: failed"]


@pytest.mark.usefixtures("own_log")
@pytest.mark.parametrize(("forced", "levels"), [("none", ["error"]), ("info", ["error", "info"]), ("trace", ["error"])])
def test_a_stack_trace_in_json(tmp_path: Path, forced: str, levels: list[str]) -> None:
    """In the object of its message, or in one of its own where a level is forced on it."""
    lines = [json.loads(line) for line in written(tmp_path, f"format json\nforced_stacktrace_level {forced}")]
    assert lines[0].keys() == {"time", "level", "message"}
    assert [line["level"] for line in lines[1:]] == levels
    has_trace = ["Traceback (most recent call last)" in line["message"] for line in lines[1:]]
    assert has_trace == {"none": [True], "info": [False, True], "trace": [False]}[forced]


@pytest.mark.usefixtures("own_log")
@pytest.mark.parametrize("age", ["daily", "weekly", "monthly"])
def test_the_name_of_what_a_period_wrote(tmp_path: Path, age: Literal["daily", "weekly", "monthly"]) -> None:
    """The date is that of the last day before today, this week or this month, as Ruby's Logger has it."""
    path = tmp_path / "log"
    path.write_text("old\n")
    os.utime(path, (0, 0))
    handler = LogFile(path, Files(), Rotation(age))
    logging.getLogger("logpipe").addHandler(handler)
    logging.getLogger("logpipe").warning("new")
    (aside,) = set(tmp_path.iterdir()) - {path}
    ended = datetime.strptime(aside.name, "log.%Y%m%d")  # noqa: DTZ007 - a date of the machine's own
    today = datetime.now()  # noqa: DTZ005
    assert 0 < (today - ended).days <= {"daily": 2, "weekly": 8, "monthly": 32}[age]
    assert {"daily": True, "weekly": ended.isoweekday() == 6, "monthly": (ended.month != today.month)}[age]
    assert (aside.read_text(), "new" in path.read_text()) == ("old\n", True)


@pytest.mark.usefixtures("own_log")
def test_a_log_that_another_process_has_rotated(tmp_path: Path) -> None:
    """Each goes on in the new file, and no message is lost or written twice."""
    path = tmp_path / "log"
    handlers = [LogFile(path, Files(), Rotation(100, 200)) for _ in range(3)]
    for number in range(300):
        record = logging.LogRecord("x", logging.INFO, "", 0, f"message {number:04}", (), None)
        handlers[number % 3].emit(record)
    for handler in handlers:
        handler.close()
    lines = sorted(line for each in tmp_path.iterdir() for line in each.read_text().splitlines())
    assert lines == [f"message {number:04}" for number in range(300)]
    assert all(each.stat().st_size <= 300 for each in tmp_path.iterdir())
