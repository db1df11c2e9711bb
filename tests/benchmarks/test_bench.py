"""`make bench`, with little input and no eye to the figures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from logpipe.supervisor import Settings, check
from tests.benchmarks import configuration, expressions, files, fluent_bit, forward, growth, lines, messages, posted
from tests.benchmarks.buffers import measure_buffers
from tests.benchmarks.compare import AnyKafka, compare
from tests.benchmarks.container_log import write_log
from tests.benchmarks.idle import measure_idle
from tests.benchmarks.line_stages import packed, read, record, repacked, unread
from tests.benchmarks.measure import Cost, FailedError, run
from tests.benchmarks.report import Comparison, Report


def cost(*, cpu_seconds: float, megabytes: int = 50, output: str = "") -> Cost:
    return Cost(seconds=1.0, cpu_seconds=cpu_seconds, peak_bytes=megabytes * 1_000_000, output=output)


def report(*, logpipe: Cost) -> Report:
    """Return a report of a thousand lines that the yardstick took two CPU seconds for, one of them to begin."""
    yardstick = [cost(cpu_seconds=2.0, output=json.dumps({"cpu_seconds": 1.0})), cost(cpu_seconds=9.0, output="{}")]
    comparison = Comparison("a title", 1000, 800, cost(cpu_seconds=0.5), yardstick[:1], [logpipe])
    return Report("Kafka", 1000, 246_000, [comparison], first_event_seconds=0.4, version_seconds=0.1)


@pytest.mark.long("it is the benchmark, which starts a program a dozen times")
def test_runs_both_and_counts_every_event(any_kafka: AnyKafka) -> None:
    """Both pipelines run on both kinds of metadata, with all events counted and records of the same fields."""
    found = compare(any_kafka, lines=2_000, rounds=1, starts=1)
    names, api = found.comparisons
    assert names.record_bytes < api.record_bytes
    for comparison in (names, api):
        assert [json.loads(cost.output)["events"] for cost in comparison.yardstick] == [2_000]
        assert len(comparison.logpipe) == 1
    assert "2,000 lines of 24" in found.text()


@pytest.mark.long("it is the benchmark, which starts a program a dozen times")
def test_runs_both_buffers_and_a_full_folder(any_kafka: AnyKafka) -> None:
    """Every event arrives behind both, and the first of a folder's before anything is read of the log."""
    found = measure_buffers(any_kafka, lines=2_000, rounds=1, megabytes=16)
    assert {kind: len(costs) for kind, costs in found.costs.items()} == {"memory": 1, "file": 1}
    assert found.left_bytes > 1_000_000
    assert found.recovery.seconds > 0
    assert "of the events/CPU s in memory" in found.text()


def test_idle_files_are_watched() -> None:
    """A few files for a moment: every one is read before the cost is looked at."""
    found = measure_idle(files=50, seconds=0.1)
    assert found.megabytes > 10
    assert "50 watched files" in found.rows()[0]


@pytest.mark.long("it is the benchmark, which starts a program a dozen times")
def test_costs_are_measured_as_things_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing is tried with more and more of it."""
    monkeypatch.setattr(growth, "TURNS", 2)
    monkeypatch.setattr(growth, "REPEATS", 1)
    rows = growth.report(steps=(2, 3))
    assert len(rows) == 1 + len(growth.THINGS)
    assert all(": at most linear" in row for row in rows[1:])


def test_more_than_linear_is_missed() -> None:
    """Ten times as many may take ten times as long, and not thirty."""
    assert growth.Growth("x", {100: 0.1, 1000: 1.0, 10_000: 9.0}).row().endswith("9.0 times), met: at most linear")
    assert "MISSED" in growth.Growth("x", {100: 0.1, 1000: 3.0}).row()


def test_says_whether_aims_are_met() -> None:
    """A figure stands beside what it should be, and whether it is."""
    good, bad = report(logpipe=cost(cpu_seconds=2.5)), report(logpipe=cost(cpu_seconds=4.0, megabytes=101))
    assert "of the yardstick's events/CPU s: 0.8, met: at least 0.7" in good.text()
    assert "without what either takes to begin: 0.50" in good.text()
    assert "peak memory: 50 MB, met: at most 100 MB" in good.text()
    assert "MISSED" not in good.text()
    assert "of the yardstick's events/CPU s: 0.5, MISSED: at least 0.7" in bad.text()
    assert "peak memory: 101 MB, MISSED: at most 100 MB" in bad.text()


def test_expressions_have_aims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each expression has a figure; the field and the five together stand beside what they may take."""
    monkeypatch.setattr(expressions, "EVENTS", 10)
    monkeypatch.setattr(expressions, "RUNS", 1)
    monkeypatch.setattr(expressions, "ruby", lambda _: 2126.0)
    lines = expressions.report()

    assert [line.split("  ")[-1] for line in lines[1:-3]] == [*expressions.TYPICAL, *expressions.OTHERS]
    assert lines[-3].endswith("at most 0.12 µs")
    assert lines[-2].endswith("at most 2 µs")
    assert lines[-1] == "    the same five in ruby: 2.13 µs"


def test_undecoded_events_stand_beside_decoded_ones() -> None:
    """Both ways of both pipelines run to their end, and nobody decodes what was to pass undecoded."""
    rows = lines.report(lines=1000, rounds=1)
    assert len(rows) == 5
    assert all("events/CPU s decoded" in row for row in rows[1::2])
    assert all(row.endswith("at least 1.5") for row in rows[2::2])


def test_posted_lines_arrive_at_both_servers() -> None:
    """All of them, before the cost is looked at."""
    rows = posted.report(lines=20_000, rounds=1, yardstick=1.0)
    assert "events/CPU s" in rows[1]
    assert [row.endswith("at least 0.8") for row in rows] == [False, False, True, True]


@pytest.mark.skipif("FLUENT_BIT" not in os.environ, reason="FLUENT_BIT names no binary")
def test_fluent_bit_does_the_same() -> None:
    """It gives on every event of each kind of work."""
    assert len(fluent_bit.report(lines=2000)) == 6


def test_lines_of_files_are_written_and_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one of them arrives, whatever it costs."""
    monkeypatch.setattr(files, "tune", int)
    rows = files.report(lines=1000, rounds=1, yardstick=1.0)
    assert len(rows) == 5
    assert rows[2].endswith("at least 0.8")
    assert rows[4].endswith("at most 2")


def test_events_of_a_connection_stand_beside_the_yardstick() -> None:
    """Each form of message brings its events."""
    rows = forward.report(250_000.0, lines=1000, rounds=1)
    assert len(rows) == 4 + len(forward.messages())
    assert rows[-3].endswith("at least 2.4")
    assert rows[-1].endswith("at least 0.8")


def test_messages_are_sent_and_counted() -> None:
    """Every one of them is taken, whatever it costs."""
    rows = messages.report(messages=3000, rounds=1, yardstick=1.0)
    assert len(rows) == 3
    assert rows[2].endswith(f"at least {messages.SHARE}")


def test_packed_events_come_out_as_they_came() -> None:
    """Whether they were decoded or not."""
    block = packed([(1_466_000_000_123_456_789 + number, record(number)) for number in range(9)])
    assert read(block).times == unread(block).times
    assert read(block).records == unread(block).records
    assert repacked(read(block)) == repacked(unread(block)) == block


def test_input_is_the_same_each_time(tmp_path: Path) -> None:
    """The same number of lines gives the same bytes, in docker's form."""
    for name in ("a", "b"):
        write_log(tmp_path / name, 100)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    entries = [json.loads(line) for line in (tmp_path / "a").read_text().splitlines()]
    assert len(entries) == 100
    assert all(entry.keys() == {"log", "stream", "time"} and entry["log"].endswith("\n") for entry in entries)


def test_measures_a_program(tmp_path: Path) -> None:
    """CPU time and memory are those of the program and of what it started."""
    program = "python3 -c 'x = bytearray(64_000_000)\nfor _ in range(3_000_000): pass\nprint(len(x))'"
    found = run(["sh", "-c", f"{program}; true"], output=tmp_path / "output")
    assert found.output == "64000000\n"
    assert found.cpu_seconds > 0
    assert found.peak_bytes > 64_000_000


def test_asks_a_program_to_end_when_it_is_done(tmp_path: Path) -> None:
    """A program that goes on is ended once its work is done, which took as long as until then."""
    output = tmp_path / "output"
    command = ["sh", "-c", "trap 'echo ended; exit 0' TERM; echo at work; while :; do sleep 0.01; done"]
    found = run(command, output=output, done=lambda: 0.0 if "at work" in output.read_text() else None)
    assert found.output == "at work\nended\n"
    assert found.seconds > 0


def test_failure_of_a_program(tmp_path: Path) -> None:
    """A program that fails, or ends before its work is done, is an error that quotes it."""
    with pytest.raises(FailedError, match="ended with status 3:\nno such thing"):
        run(["sh", "-c", "echo no such thing; exit 3"], output=tmp_path / "output")
    with pytest.raises(FailedError, match="ended with status 0:\n"):
        run(["true"], output=tmp_path / "output", done=lambda: None)


def test_reads_a_thousand_lines_without_a_mistake(tmp_path: Path) -> None:
    """What is measured is a configuration that runs."""
    path = tmp_path / "large.conf"
    path.write_text(configuration.large())

    assert path.read_text().count("\n") >= configuration.LINES
    assert check(Settings(path)).errors == 0
    assert "1,000 lines loaded and built" in configuration.report(rounds=1)[1]
