"""Every recorded row whose stage is here behaves as fluentd did, or is on the list of deviations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.deviations import DEVIATIONS
from tests.conformance.frame import COPIES, FOLDER, Verdict, judge, rows

WILD = FOLDER.parents[2] / "shared/vectors/ruby-wild.jsonl"
PROCESSES = {"scenario", "kubernetes"}
"""Files whose rows start programs or servers; they have tests of their own."""


@pytest.mark.parametrize("path", [path for path in COPIES if path.stem not in PROCESSES], ids=lambda path: path.stem)
def test_rows_are_as_recorded(path: Path) -> None:
    """No row of a file fails, and all run whose stages are here."""
    verdicts = [(row["id"], *judge(row)) for row in rows(path)]

    assert verdicts
    assert [(row, what) for row, verdict, what in verdicts if verdict is Verdict.FAILED] == []
    assert [(row, what) for row, verdict, what in verdicts if verdict is Verdict.SKIPPED] == []


@pytest.mark.skipif(not WILD.exists(), reason="other people's expressions are not part of the project")
def test_public_expressions_are_as_recorded() -> None:
    """Expressions seen in public configurations give what fluentd gave."""
    verdicts = [(row["id"], *judge(row)) for row in rows(WILD)]

    assert [(row, what) for row, verdict, what in verdicts if verdict is Verdict.FAILED] == []


def test_deviations_name_rows_that_exist() -> None:
    """The list of deviations names no row that is not there."""
    known = {row["id"] for path in [*COPIES, *([WILD] if WILD.exists() else [])] for row in rows(path)}

    assert {row for row in DEVIATIONS if not row.startswith("ruby-wild-") or WILD.exists()} <= known


def test_a_failing_row_is_named_and_fails_the_run(tmp_path: Path) -> None:
    """A row that does not hold is printed with what is different, and the status is 1."""
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '{"kind": "value", "type": "size", "text": "1k", "expect": 1000, "id": "wrong"}\n'
        '{"kind": "nothing", "id": "unknown"}\n'
    )
    command = [sys.executable, "-m", "tests.conformance", str(file)]
    done = subprocess.run(command, cwd=FOLDER.parents[1], capture_output=True, text=True, check=False)

    assert done.stdout.splitlines()[0] == "wrong FAIL got 1024"
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"
    assert done.returncode == 1
