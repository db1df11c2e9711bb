"""`with_source_only`: what sources emit waits in files until WINCH, over kills as well, and goes where it belongs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from logpipe.supervisor import Settings, check
from tests.services.waiting import wait_until
from tests.supervisor.running import PATIENCE, Running

SOURCE = """
<source>
  @type tail
  path {folder}/app.log
  pos_file {folder}/labelled
  tag other
  @label @OTHER
  read_from_head true
  refresh_interval 1
  <parse>
    @type none
  </parse>
</source>
<label @OTHER>
  <match **>
    @type lines
    path {folder}/other
    <buffer>
      flush_interval 0.1
    </buffer>
  </match>
</label>
"""


def configure(running: Running, *, workers: int = 1, system: str = "") -> None:
    more = f"<worker 0>{SOURCE.format(folder=running.folder)}</worker>"
    running.configure(more=more, workers=workers)
    settings = f"<system>\n  root_dir {running.folder}/root\n  {system}\n"
    running.config.write_text(running.config.read_text().replace("<system>\n", settings, 1))


def waits(running: Running) -> bytes:
    """Return what the files hold."""
    return b"".join(each.read_bytes() for each in running.folder.glob("root/source-only-buffer/**/*.log"))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_waits_is_delivered(running: Running, workers: int) -> None:
    """Nothing before WINCH, though the process is killed meanwhile, then all of it, each in its label; and the rest."""
    configure(running, workers=workers)
    running.write(10)
    running.start("--with-source-only")
    wait_until(lambda: waits(running).count(b"line 9") == 2, seconds=PATIENCE, what=lambda: running.said)
    assert running.delivered == []
    running.send(signal.SIGWINCH)
    running.write(10)
    running.has_delivered_all()
    other = running.folder / "other"
    wait_until(lambda: other.exists() and len(other.read_text().splitlines()) == 20, seconds=PATIENCE, what="the label")
    assert running.stop() == 0
    assert sorted(other.read_text().splitlines()) == sorted(running.delivered) == sorted(running.written)
    assert "does not add up" not in running.said


def test_a_kill(running: Running) -> None:
    """What was kept is delivered by the next start without it; the log says nothing of sections nobody has written."""
    configure(running, system="with_source_only true")
    running.write(10)
    running.start()
    wait_until(lambda: waits(running).count(b"line 9") == 2, seconds=PATIENCE, what=lambda: running.said)
    running.process.kill()
    running.end()
    configure(running)
    running.start()
    wait_until(lambda: len(running.delivered) >= 10, seconds=PATIENCE, what=lambda: running.said)
    assert running.stop() == 0
    assert set(running.delivered) == set(running.written)
    assert "unmatched" not in running.said
    assert "SOURCE_ONLY" not in running.said


def test_the_configuration_is_checked(tmp_path: Path) -> None:
    """Also what does not run yet; and sources alone without sources are refused."""
    config = tmp_path / "conf"
    config.write_text(
        "<system>\nwith_source_only true\nwithout_source true\n</system>\n<match a>\n@type nothing\n</match>\n"
    )
    said = [each.code for each in check(Settings(config)).diagnostics]
    assert "unknown-plugin" in said
    assert "invalid-parameter" in said
