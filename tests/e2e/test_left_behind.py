"""Events in a buffer that the configuration names no more are said, and can be delivered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from logpipe.testing import wait_for
from tests.e2e.program import Logpipe

CONFIG = """
<source>
  @type tail
  path {folder}/app.log
  pos_file {folder}/app.pos
  read_from_head true
  tag app
  <parse>
    @type none
  </parse>
</source>
<match app>
  @type file
  @id out
  path {target}
  <buffer []>
    {buffer}
    flush_mode interval
    flush_interval 1h
    flush_at_shutdown false
  </buffer>
</match>
"""


@pytest.mark.long("the program is started five times")
@pytest.mark.parametrize("after", ["@type memory", "@type file\n    path {folder}/new"])
async def test_a_buffer_that_is_configured_no_more(after: str, tmp_path: Path) -> None:
    """One line when the program stops, one at each start, until somebody has delivered what is there."""
    config, log = tmp_path / "td.conf", tmp_path / "said.log"
    before = f"@type file\n    path {tmp_path}/old"
    config.write_text(CONFIG.format(folder=tmp_path, target=f"{tmp_path}/out", buffer=before))
    (tmp_path / "app.log").write_text("".join(f"line {n}\n" for n in range(7)))
    program = Logpipe(config, log, environment={"FLUENT_BACKUP_DIR": str(tmp_path / "backup")})
    with program.start():
        await wait_for(lambda: list((tmp_path / "old").glob("buffer.c*")), "a chunk")
        await wait_for(lambda: (tmp_path / "app.pos").exists() and "0000" in (tmp_path / "app.pos").read_text(), "it")
        program.stop()
    assert f"7 events stay in {tmp_path}/old/buffer.*.log, for the next start" in log.read_text()

    config.write_text(CONFIG.format(folder=tmp_path, target=f"{tmp_path}/out", buffer=after.format(folder=tmp_path)))
    left = f"7 events stay in {tmp_path}/old/buffer.*.log: no <buffer> of {config}"
    for times in (2, 4):  # at each start, and at each stop
        with program.start():
            await wait_for(lambda times=times: log.read_text().count(left) == times - 1, "the line at the start")
            program.stop()
        assert log.read_text().count(left) == times

    command = ["buffer", "replay", str(tmp_path / "old"), "-c", str(config), "--to", "out"]
    done = subprocess.run([sys.executable, "-m", "logpipe", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    lines = [line for path in tmp_path.glob("out*") for line in path.read_text().splitlines()]
    assert sorted(json.loads(line.split("\t")[2])["message"] for line in lines) == [f"line {n}" for n in range(7)]
    with program.start():
        await wait_for(lambda: "following" in log.read_text(), "the start")
        program.stop()
    assert log.read_text().count(left) == 4
