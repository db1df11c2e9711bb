"""logpipe is killed at each named point of all that writes files which must survive: no line is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.killing import Machine

# one line in ten is for nobody
PICKY = """
<filter t>
  @type record_transformer
  enable_ruby true
  <record>
    number ${record["message"] =~ /^line \\d*[1-9] / ? 1 : Integer("none")}
  </record>
</filter>
"""
GIVING_UP = "retry_max_times 1\nretry_wait 0.01"
APPEND = ("folder", "created", "opened", "written", "synced")
REPLACE = ("opened", "written", "replacing", "replaced", "synced")


@pytest.mark.long("the program is killed at each step of it, a dozen times or more")
@pytest.mark.parametrize(
    ("name", "steps", "settings"),
    [
        ("out_file", APPEND, {}),
        ("out_file", ("folder", "opened", "written", "named", "replacing", "replaced", "synced"), {"append": "false"}),
        ("letters", APPEND, {"filters": PICKY}),
        ("letters", ("folder", *REPLACE), {"out": "in.log/out", "more": GIVING_UP}),
        ("positions", ("folder", *REPLACE), {}),
        ("places", ("folder", *REPLACE), {}),
    ],
    ids=["appended files", "whole files", "letters", "given up", "positions", "places of buffers"],
)
def test_killed_at_each_step(name: str, steps: tuple[str, ...], settings: dict[str, str], tmp_path: Path) -> None:
    """One after the other: what one kill leaves, the next run takes up until it is killed."""
    machine = Machine(tmp_path, **settings)
    for step in steps:
        machine.run_to(f"{name}.{step}")
    machine.run_to_the_end()
