"""`logpipe eval`: expressions on records, results and mistakes as a user sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EPOCH = "1970-01-01 00:00:01"


def evaluate(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `logpipe eval` with its standard input."""
    command = (sys.executable, "-m", "logpipe", "eval", *arguments)
    environment = {**os.environ, "TZ": "UTC", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin, env=environment)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["record['a'] + 1", "--record", '{"a":1}'], "2\tInteger"),
        (["record['a'].to_sym", "--record", '{"a":"x"}'], ':x\tSymbol\t"x" in a record'),
        (["record['a']", "--record", '{"a":"x\\ny"}'], '"x\\ny"\tString'),
        (["record['a']", "--record", '{"a":{"b":[1.0,null]}}'], '{"b"=>[1.0, nil]}\tHash'),
        (["time", "--time", "1.5", "--record", "{}"], f'{EPOCH}.5 +0000\tTime\t"{EPOCH} +0000" in a record'),
        (["time.year", "--time", "2016-06-15T14:13:20Z", "--record", "{}"], "2016\tInteger"),
        (["tag_parts[1]", "--tag", "a.b", "--record", "{}"], '"b"\tString'),
        (["x-${record['a']}-${tag}", "--tag", "t", "--record", '{"a":null}'], '"x--t"\tString'),
        (["${record['a']}", "--record", '{"a":5}'], "5\tInteger"),
        (["${record['a']}", "--record", '{"a":5}', "--compat", "0.12"], '"5"\tString'),
        (["record['a']", "--record", '{"a":5}', "--compat", "0.12"], "5\tInteger"),
        (["1.5"], "1.5\tFloat"),
    ],
)  # fmt: skip
def test_value_type_and_function(arguments: list[str], expected: str) -> None:
    """The value as Ruby's inspect with its class, then the generated function."""
    done = evaluate(*arguments)

    assert done.returncode == 0
    assert done.stdout.split("\n")[0] == expected
    assert "def compute(record, time, output):\n" in done.stdout + done.stderr


def test_records_come_line_by_line() -> None:
    """A line for each result; bad lines are told by number, and the others go on."""
    done = evaluate("record['n'] * 2", stdin='{"n":1}\n[1]\nnope\n{"n":null}\n{"n":4}\n')

    assert done.returncode == 1
    assert done.stdout == "2\tInteger\n8\tInteger\n"
    function, _, told = done.stderr.partition("\n\n")
    assert function.startswith("def compute(")
    assert told.splitlines() == [
        "logpipe eval: line 2: a record is a JSON object, not [1]",
        "logpipe eval: line 3: no JSON: Expecting value: line 1 column 1 (char 0)",
        "logpipe eval: line 4: NoMethodError: undefined method `*' for nil:NilClass",
    ]


def test_good_lines_end_well() -> None:
    """With nothing wrong the status is 0."""
    done = evaluate("record['n'].to_s", stdin='{"n":1}\n{"n":2}\n')

    assert (done.returncode, done.stdout) == (0, '"1"\tString\n"2"\tString\n')


def test_a_reader_that_goes_ends_it_quietly() -> None:
    """As `head` does: no traceback, and the status of a program that SIGPIPE ended."""
    command = (sys.executable, "-m", "logpipe", "eval", "record['n']")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b'{"n":1}\n')
        process.stdin.flush()
        assert process.stdout.readline() == b"1\tInteger\n"
        process.stdout.close()
        process.stdin.write(b'{"n":2}\n')
        process.stdin.close()
        told = process.stderr.read()

    assert process.returncode == 141
    assert b"Traceback" not in told


@pytest.mark.parametrize(
    ("expression", "message", "column"),
    [
        ("record['a'].fooo(1)", "unknown method fooo", 12),
        ("1 +", "the expression ends too early", 3),
        ("x ${record['a'].fooo}", "unknown method fooo", 16),
        ("a = 1\n  system('ls')", "system cannot be used in an expression; use an exec input", 2),
    ],
)
def test_a_mistake_is_pointed_at(expression: str, message: str, column: int) -> None:
    """The line is shown with a caret under the place, and the status is 1."""
    done = evaluate(expression, "--record", "{}")

    assert (done.returncode, done.stdout) == (1, "")
    first, line, caret = done.stderr.splitlines()
    assert first.startswith(f"logpipe eval: {message}")
    assert line.strip() in expression
    assert caret == f"  {' ' * column}^"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1", "--record", "[1]"], "a record is a JSON object"),
        (["1", "--record", "{"], "no JSON"),
        (["1", "--time", "soon"], "invalid time format"),
        (["1", "--compat", "2"], "invalid choice"),
        ([], "required"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: list[str], message: str) -> None:
    """They end the program with 2."""
    done = evaluate(*arguments)

    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["record['a'] + 1", "--compat", "0.12"],
            "NoMethodError: undefined method `+' for nil:NilClass; in a <record> ",
        ),
        (
            ["nope['a']", "--compat", "0.12"],
            "NameError: undefined local variable or method `nope'; in a <record> the value is null",
        ),
        (["nope['a']"], "NameError: undefined local variable or method `nope'\n"),
        (["record['a'] + 1"], "NoMethodError: undefined method `+' for nil:NilClass\n"),
    ],
)
def test_a_failure_says_what_becomes_of_the_event(arguments: list[str], told: str) -> None:
    """By 0.12's rule, and for a bare name, the value is null; else the event is an error."""
    done = evaluate(*arguments, "--record", "{}")

    assert done.returncode == 1
    assert f"logpipe eval: {told}" in done.stderr


def test_texts_that_are_no_utf8_are_printed() -> None:
    """They come as escapes, alone and inside of what a record would hold."""
    done = evaluate("[:a, record['a'] + \"\\xff\"]", "--record", '{"a":"x"}')

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('[:a, "x\\xFF"]\tArray\t["a", "x\\udcff"] in a record\n')


def test_help_states_the_exit_statuses() -> None:
    """All three are named."""
    usage = evaluate("--help").stdout

    assert all(f"  {status}  " in usage for status in (0, 1, 2))
