"""Expressions give what a real Ruby gave (see README.md beside this file)."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logpipe.errors import ExpressionError
from logpipe.expression import RecordRules, compile_record
from tests.conformance.clock import utc
from tests.expression.evaluation import evaluate

TEXT = Path(__file__).with_name("recorded.jsonl").read_text("utf-8")
LINES = [json.loads(line) for line in TEXT.strip().split("\n")]
RECORD, ROWS = LINES[0]["record"], LINES[1:]
FAILS = "it fails"


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    with utc():
        yield


def test_expressions() -> None:
    """The value of each, or the failure, is Ruby's."""
    wrong = {row["expr"]: got for row in ROWS if (got := _evaluated(row["expr"])) != _expected(row)}

    assert wrong == {}


def _evaluated(expression: str) -> str:
    try:
        return json.dumps(_written(evaluate(expression, RECORD, tag="a.b.c", env=dict(os.environ))))
    except ExpressionError:
        return FAILS


def _expected(row: dict[str, Any]) -> str:
    return FAILS if "error" in row else json.dumps(row["value"])


CHANGES = [
    json.loads(line) for line in Path(__file__).with_name("changes.jsonl").read_text("utf-8").strip().split("\n")
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row["expr"]) for row in CHANGES[1:]])
def test_changes(row: dict[str, Any]) -> None:
    """What an expression changes shows in the record that goes on just where it does in Ruby."""
    template = compile_record([("field", f"${{{row['expr']}}}")], RecordRules())
    records = [copy.deepcopy(CHANGES[0]["record"])]
    failures = template.bind("a.b.c", hostname="h", env={}, missing=lambda *_: None)(records, [0])

    assert failures == []
    assert json.dumps(records[0]) == json.dumps({**row["record"], "field": row["value"]})


def test_a_record_is_never_changed() -> None:
    """However an expression changes what it sees, the record that came stays as it was."""
    before = copy.deepcopy(RECORD)
    record = copy.deepcopy(RECORD)
    evaluate('record["k"]["y"].clear; record["s"] << "!"; record.delete("a"); record["arr"].sort!; 1', record)

    assert record == before


def _written(value: Any) -> Any:
    """Return a value as the recording writes it."""
    match value:
        case float() if math.isnan(value):
            return "FNaN"
        case float() if math.isinf(value):
            return "FInf" if value > 0 else "F-Inf"
        case bytes():
            return f"BYTES:{value.hex()}"
        case list():
            return [_written(item) for item in value]
        case dict():
            return {key: _written(item) for key, item in value.items()}
    return value
