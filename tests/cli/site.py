"""A configuration with its folders, for commands that deliver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logpipe.cli import main
from logpipe.engine.dead_letters.letters import Culprit, Letter, encode
from logpipe.event import Record
from logpipe.plugin import ChunkKey
from tests.cli.chunk_files import Done

PLUGIN = """
from pathlib import Path
from logpipe import Filter, Options

class Touchy(Filter[Options], type="touchy"):
    def filter(self, tag, time, record):
        if "bad" in record:
            raise ValueError("it is bad")
        return {**record, "touched": True}
"""
CONFIG = """
<system>
  root_dir {folder}/root
</system>
<filter t>
  @type touchy
  @id touchy
</filter>
<match **>
  @type file
  @id out
  path {folder}/out
  <format>
    @type json
  </format>
  <buffer>
    @type file
    flush_mode interval
  </buffer>
</match>
<label @OTHER>
  <match **>
    @type null
  </match>
</label>
"""
OUTPUT = Culprit("output", "file", "out", "@ROOT")
FILTER = Culprit("filter", "touchy", "touchy", "@ROOT")


class Site:
    """A configuration with its folders, and the command."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.folder = folder
        self.letters = folder / "root/backup/worker0"
        self.config = folder / "test.conf"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "plugins").mkdir()
        (folder / "plugins/touchy.py").write_text(PLUGIN)

    @property
    def named(self) -> list[str]:
        """The arguments that name the configuration."""
        return ["-c", str(self.config), "-p", str(self.folder / "plugins")]

    def leave(self, culprit: Culprit, *records: Record, name: str = "one", payload: bytes | None = None) -> Path:
        """Leave a file of letters."""
        file = self.letters / culprit.plugin_id / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        letters = [Letter(1, culprit, "down", "OSError", "t", n, record) for n, record in enumerate(records)]
        if payload is not None:
            key = ChunkKey(timekey=1_700_000_000, tag=None)
            letters.append(Letter(1, culprit, "down", "OSError", None, payload=payload, chunk_id="c", key=key))
        file.write_bytes(b"".join(map(encode, letters)))
        return file

    def run(self, command: str, *arguments: object) -> Done:
        """Run a command on the configuration."""
        self._capfd.readouterr()
        status = main(["buffer", command, *(self.named if command == "replay" else []), *map(str, arguments)])
        return Done(status, *self._capfd.readouterr())

    @property
    def delivered(self) -> list[Record]:
        """What the output has written."""
        files = sorted(self.folder.glob("out.*.log"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]
