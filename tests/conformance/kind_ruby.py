"""Rows of kind `ruby`: an expression, alone or in a text, and the value that record_transformer gave it."""

from __future__ import annotations

import copy
import math
from typing import Any

from logpipe.builtin.filter_record_transformer import RecordTransformer, RecordTransformerOptions
from logpipe.config.declare import InvalidSetting
from logpipe.config.element import Element, Param
from logpipe.event import EventBatch
from logpipe.testing import FakeHost
from tests.conformance.clock import nanoseconds, utc


def run(row: dict[str, Any]) -> str | None:
    """Return None where the field's value, or the failure, is fluentd's; else what differs."""
    with utc():
        return _run(row)


def _run(row: dict[str, Any]) -> str | None:
    text = f"${{{row['expr']}}}" if row["form"] == "whole" else f"p-${{{row['expr']}}}-s"
    section = Element("record", params={"field": Param("field", text)})
    options = RecordTransformerOptions(enable_ruby=True, compat=row.get("compat", "1"), record=[section])
    host = FakeHost()
    try:
        stage = RecordTransformer(options, host)
    except InvalidSetting as problem:
        return None if "error" in row else f"refused: {problem}"
    record = copy.deepcopy(row["record"])
    left = stage.process(EventBatch(row["tag"], [nanoseconds(row["time"])], [record]))
    if host.errors or not left.records:
        return None if "error" in row and "expect" not in row else f"failed: {host.errors}"
    value = left.records[0]["field"]
    if "expect" not in row:
        return f"got {value!r}, fluentd fails"
    if "error" in row and not host.metrics.snapshot()["expansions_failed"]:
        return f"got {value!r} without a failure"
    return None if same_value(value, row["expect"]) else f"got {value!r}, fluentd {row['expect']!r}"


def same_value(value: Any, expected: Any) -> bool:
    """Return whether two JSON values are equal, and of the same types: 1 is neither 1.0 nor true."""
    if type(value) is not type(expected):
        return False
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(same_value, value, expected))
    if isinstance(expected, dict):
        return list(value) == list(expected) and all(same_value(value[key], expected[key]) for key in expected)
    if isinstance(expected, float):
        return value == expected or (math.isnan(value) and math.isnan(expected))
    return bool(value == expected)
