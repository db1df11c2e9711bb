"""`logpipe buffer` says nothing that `logpipe config` masks; only `cat` prints events as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from logpipe.cli import main
from logpipe.testing import pipeline

CONFIG = """
<system>
  root_dir "{folder}/root_#{{ENV['DB_PASSWORD']}}"
</system>
<match good.**>
  @type file
  path "{folder}/out_#{{ENV['DB_PASSWORD']}}/${{token}}"
  <buffer tag,token>
    @type file
    path "{folder}/buffer_#{{ENV['DB_PASSWORD']}}"
    flush_mode lazy
    flush_at_shutdown false
  </buffer>
</match>
<match bad.**>
  @type file
  @id bad
  path "{folder}/out_#{{ENV['DB_PASSWORD']}}/${{token}}"
  <buffer token>
    flush_mode immediate
  </buffer>
</match>
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
"""


@pytest.fixture
async def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a configuration of which a chunk and a dead letter are left, with secrets all around them."""
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    text = CONFIG.format(folder=tmp_path).replace("${token}", "${token}${tag}", 1)
    path = tmp_path / "logpipe.conf"
    path.write_text(text)
    async with pipeline(text, file=str(path)) as running:
        await running.feed("good.http://user:hunter2@host/", {"token": "hunter2", "message": "hunter2"})
        await running.feed("bad", {"token": "hunter2" * 100, "message": "hunter2"})
        await running.wait_for(lambda: [*tmp_path.rglob("*.jsonl")])
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("ls",),
        ("ls", "--format", "json"),
        ("verify",),
        ("repair",),
        ("repair", "--apply"),
        ("replay", "--dry-run"),
        ("replay",),
    ],
    ids=" ".join,
)
def test_no_command_says_a_secret(command: tuple[str, ...], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither of a path, nor of a tag, nor of a field by which chunks are cut, nor of why an event is a dead letter."""
    main(["buffer", *command, "-c", str(config), "--all"])
    shown = capsys.readouterr()
    assert shown.out
    assert "hunter2" not in shown.out + shown.err


def test_what_replaying_logs(config: Path) -> None:
    """What an output says when it fails again is on the terminal, too."""
    command = [sys.executable, "-m", "logpipe", "buffer", "replay", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no file can have the name" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_what_is_damaged(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same where there is something to say of it."""
    for path in config.parent.rglob("*.jsonl"):
        path.write_text("hunter2\n")
    (chunk,) = (config.parent / "buffer_hunter2").glob("*.log")
    chunk.write_bytes(chunk.read_bytes()[:-20])
    for command in (["verify"], ["repair"], ["replay"], ["repair", "--apply"]):
        main(["buffer", *command, "-c", str(config), "--all"])
        shown = capsys.readouterr()
        assert "hunter2" not in shown.out + shown.err


def test_a_listing_for_programs_stays_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mask stands where the secret did, also of a field that is no text."""
    assert main(["buffer", "ls", "--format", "json", "-c", str(config)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (row,) = (row for row in rows if row["state"] != "dead")
    assert row["key"] == {"tag": "good.http://user:xxxxxx@host/", "token": "xxxxxx"}
    assert row["tag"] == "good.http://user:xxxxxx@host/"
    assert row["folder"] == f"{config.parent}/buffer_xxxxxx"


def test_events_are_printed_as_they_are(config: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Somebody who takes them out of a chunk wants them whole."""
    assert main(["buffer", "cat", "-c", str(config), "--all"]) == 0
    shown = capfdbinary.readouterr()
    assert b'"message":"hunter2"' in shown.out
    assert b"hunter2" not in shown.err
