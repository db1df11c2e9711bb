"""The fault matrix, with less of everything: `make faults` is the whole."""

from __future__ import annotations

import pytest

from tests.faults.matrix import run
from tests.faults.row import Row, rows

SHOWN = [row for row in rows() if row.show is not None]


@pytest.mark.long("each row starts the program several times, on a fault that lasts")
@pytest.mark.parametrize("row", SHOWN, ids=[str(row.number) for row in SHOWN])
def test_row(row: Row) -> None:
    """The fault happens, and nothing is lost, altered or left unexplained."""
    result = run(row, short=True)
    if result.verdict == "skipped":
        pytest.skip(f"row {row.number}: {result.why}")
    assert result.verdict == "survived", result.why
    assert result.outcome.fired
    assert not result.outcome.unexplained
