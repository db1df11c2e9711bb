"""What docs/monitoring.md says can be found where it says so."""

from __future__ import annotations

import re
from pathlib import Path

from logpipe.testing import pipeline
from tests.builtin.in_monitor_agent.client import ask, source
from tests.builtin.in_monitor_agent.stages import Vault

PAGE = (Path(__file__).parents[3] / "docs/monitoring.md").read_text()


async def test_metrics_of_the_documentation(tmp_path: Path) -> None:
    """Each name that somebody may alert on exists."""
    named = set(re.findall(r"\blogpipe_[a-z_]+", PAGE))
    text = (
        f"<source>\n@type tail\npath {tmp_path}/*.log\ntag app\n<parse>\n@type none\n</parse>\n</source>\n"
        "<filter app>\n@type stdout\n</filter>\n<match app>\n@type vault\n<buffer>\n</buffer>\n</match>\n"
    )
    async with pipeline(source() + text, Vault) as running:
        there = set(re.findall(r"^# TYPE (\S+)", (await ask(running, "/metrics")).text, re.MULTILINE))
    assert "logpipe_behind_bytes" in named
    assert named - there == set()


async def test_paths_of_the_documentation() -> None:
    """Each path of the table is answered."""
    paths = re.findall(r"`(/[a-z./]+)`", PAGE.split("## Paths")[1].split("## Names")[0])
    async with pipeline(source() + "<match **>\n@type test\n</match>\n") as running:
        statuses = {path: (await ask(running, path)).status for path in paths}
    assert len(statuses) == 7
    assert set(statuses.values()) == {200}
