"""Fluentd's programs, flags and signals beside ours: none is missing without a reason."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from logpipe import signals
from logpipe.cli import COMPANIONS, ENGINES
from logpipe.cli.programs import SIGNALS, Line, compare, read_lines
from logpipe.supervisor import rpc

LIST: Final = Path(__file__).parents[2] / "docs" / "reference" / "programs.tsv"


def test_everything_of_fluentd_is_here_or_there_is_a_reason() -> None:
    """And what is listed as absent is not here."""
    lines = read_lines(LIST.read_text("utf-8"))
    lacking = [" ".join(each.line[:2]) for each in compare(lines) if each.status == "unknown"]
    assert lacking == [], f"give it to the program, or a note in {LIST.name}"
    unexplained = [" ".join(each.line[:2]) for each in compare(lines) if each.status != "yes" and not each.here]
    assert unexplained == []
    assert len({line[:2] for line in lines}) == len(lines) > 100


def test_every_program_is_listed() -> None:
    """Those that links are made for."""
    listed = {line.name for line in read_lines(LIST.read_text("utf-8")) if line.program == "program"}
    assert listed == {*COMPANIONS, *ENGINES}


def test_signals_are_those_that_are_handled() -> None:
    """No other is."""
    assert {signal.Signals[f"SIG{name}"] for name in SIGNALS} == signals.ALL - {signal.SIGCHLD}


def test_every_path_of_rpc_endpoint_is_listed() -> None:
    """Those that are served."""
    listed = {line.name for line in read_lines(LIST.read_text("utf-8")) if line.program == "rpc"}
    assert listed == {*rpc.SIGNALS, rpc.DUMP, rpc.GET_DUMP}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (("fluentd", "-c, --config", ""), "yes"),
        (("fluentd", "-c, --conf", ""), "unknown"),
        (("fluentd", "--new", ""), "unknown"),
        (("fluentd", "--new", "absent: why"), "absent"),
        (("fluentd", "--config", "absent: why"), "unknown"),
        (("fluentd", "--new", "no effect: why"), "unknown"),
        (("fluentd", "--gemfile", "no effect: why"), "no effect"),
        (("fluent-binlog-reader", "-n", ""), "yes"),
        (("fluent-ctl", "explode", ""), "unknown"),
        (("program", "fluent-dog", ""), "unknown"),
        (("signal", "TSTP", ""), "unknown"),
        (("rpc", "/api/config.dump", ""), "yes"),
        (("rpc", "/api/config.forget", ""), "unknown"),
    ],
)
def test_statuses(line: tuple[str, str, str], status: str) -> None:
    """What is here, what is ignored, and what is not."""
    program, name, note = line
    (found,) = compare([Line(program, name, "1", "", note)])
    assert found.status == status


def test_a_note_of_another_form() -> None:
    """Is a mistake in the list."""
    with pytest.raises(ValueError, match="a note begins with"):
        read_lines("head\nfluentd\t-c\t1\tconfig\tmaybe\n")
