"""The judges read rows as their README says: placeholders anywhere, times that are null, lines in other encodings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.frame import Verdict, judge

SOURCE = (
    "<source>\n@type tail\npath {{DIR}}/in.log\ntag t\nread_from_head true\n<parse>\n@type none\n</parse>\n</source>\n"
)
OUTPUT = "@type file\npath {{DIR}}/out/f\nappend true\n<buffer []>\nflush_mode immediate\n</buffer>\n"

ROWS: dict[str, dict[str, Any]] = {
    "a host name within": {
        "kind": "filter",
        "type": "record_transformer",
        "config": '<record>\nh {"a":["${hostname}"]}\n</record>',
        "tag": "t",
        "time": "1.0",
        "record": {},
        "expect": [{"time": "1.0", "record": {"h": {"a": ["{{HOSTNAME}}"]}}}],
        "errors": [],
    },
    "an event without a time": {
        "kind": "parser",
        "type": "json",
        "config": "estimate_current_event false",
        "line": '{"a":1}',
        "expect": [{"time": None, "record": {"a": 1}}],
    },
    "the scenario's folder in its lines, and bytes that are not UTF-8": {
        "kind": "scenario",
        "encoding": "latin-1",
        "config": SOURCE
        + "<filter t>\n@type record_transformer\nenable_ruby\n<record>\n"
        + "message {{DIR}}|${record['message']}\n</record>\n</filter>\n"
        + f"<match t>\n{OUTPUT}<format>\n@type single_value\n</format>\n</match>\n",
        "files": {"in.log": "caf\xe9 {{DIR}}\n\x85\n"},
        "wait": 1,
        "expect": {"out/f.log": ["{{DIR}}|caf\xe9 {{DIR}}", "{{DIR}}|\x85"]},
    },
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_read_as_it_was_recorded(name: str) -> None:
    """It is judged equal, and different where what was recorded is another."""
    row = {"id": name, "fluentd": "1.19.3", **ROWS[name]}
    assert judge(row) == (Verdict.PASSED, "")


@pytest.mark.parametrize("name", ["a host name within", "an event without a time"])
def test_another_outcome_is_told(name: str) -> None:
    """A judge that lets anything pass is none."""
    row = {"id": name, "fluentd": "1.19.3", **ROWS[name]}
    (event,) = row["expect"]
    assert judge({**row, "expect": [{**event, "time": "2.0"}]})[0] is Verdict.FAILED
    assert judge({**row, "expect": [{**event, "record": {"h": 1}}]})[0] is Verdict.FAILED
