"""A configuration that fluentd and logpipe run in turn, on the same log, positions and buffer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgpack

from tests.e2e.program import Logpipe
from tests.fluentd_folder import load_positions, resume_file, resume_single

CONFIG = """
<source>
  @type tail
  path {folder}/app.log*
  pos_file {folder}/app.pos
  follow_inodes true
  refresh_interval 1s
  read_from_head true
  tag app
  <parse>
    @type none
  </parse>
</source>
<match app>
  @type file
  @id out
  path {folder}/{out}
  append true
  <format>
    @type single_value
  </format>
  <buffer {arg}>
    @type {buffer}
    path {folder}/buffer
    chunk_limit_size 64k
    flush_mode interval
    flush_interval {flush}
    flush_at_shutdown false
  </buffer>
</match>
"""
NEVER = "1h"
AT_ONCE = "1s"
ARGS = {"file": ("tag", "out.${tag}"), "file_single": ("[]", "out.app")}
"""The chunk keys, and the name of the output's files: file_single of fluentd's takes no tag as a key, and
forgets the time."""
_FIRST_ID = 0x0005_3551_B93D_A001


class Place:
    """The folder of all that both programs share.

    Args:
        folder: an empty one.
        buffer: the buffer's type.
    """

    def __init__(self, folder: Path, buffer: str) -> None:
        self.folder = folder
        self.log = folder / "app.log"
        self.positions = folder / "app.pos"
        self.buffer = folder / "buffer"
        self.type = buffer
        self.written = 0
        self._rotations = 0
        self._config = folder / "td.conf"

    def program(self, flush: str, fluentd: str = "") -> Logpipe:
        """Return a program that is to be started: logpipe, or the given command of fluentd's."""
        arg, out = ARGS[self.type]
        text = CONFIG.format(folder=self.folder, buffer=self.type, arg=arg, out=out, flush=flush)
        self._config.write_text(text)
        said = self.folder / ("fluentd.said" if fluentd else "logpipe.said")
        environment = {"FLUENT_BACKUP_DIR": str(self.folder / "backup")}
        command = [fluentd, "-c", str(self._config)] if fluentd else None
        return Logpipe(self._config, said, environment=environment, command=command)

    def write(self, count: int) -> None:
        """Add lines to the log, each with its number."""
        numbers = range(self.written, self.written + count)
        with self.log.open("a") as file:
            file.write("".join(f"line {number:06}\n" for number in numbers))
        self.written += count

    def rotate(self) -> None:
        """Give the log another name; the next line makes a new one."""
        self._rotations += 1
        self.log.rename(self.log.with_name(f"app.log.{self._rotations}"))

    @property
    def has_read_all(self) -> bool:
        """Whether the positions are at the end of every file."""
        found = load_positions(self.positions, follow_inodes=True) if self.positions.exists() else {}
        sizes = {path.stat().st_ino: path.stat().st_size for path in self.folder.glob("app.log*")}
        return all(found.get(inode, (0, 0))[0] == size for inode, size in sizes.items())

    @property
    def delivered(self) -> Counter[str]:
        """The lines that the output has written."""
        return Counter(line for path in self.folder.glob("out.*") for line in path.read_text().splitlines())

    @property
    def has_chunks(self) -> bool:
        """Whether something is in the buffer."""
        return any(path.stat().st_size for path in self.buffer.glob("*.[bqc]*") if path.suffix != ".meta")

    def export(self) -> None:
        """Do what an operator does before fluentd starts: a kill may have torn what was being written."""
        for arguments in (("repair", "--apply"), ("export", "--in-place", "--move")):
            command = [sys.executable, "-m", "logpipe", "buffer", *arguments, str(self.buffer)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done

    def found_by_fluentd(self) -> Counter[str]:
        """Return the lines that fluentd finds: in its chunks, and in the log behind its positions."""
        chunks = (resume_file if self.type == "file" else resume_single)(self.buffer)
        found = Counter(line for chunk in chunks for line in chunk.content.decode().splitlines())
        positions = load_positions(self.positions, follow_inodes=True)
        for path in self.folder.glob("app.log*"):
            offset, _ = positions.get(path.stat().st_ino, (0, 0))
            found.update(path.read_bytes()[offset:].decode().splitlines())
        return found

    def expected(self) -> set[str]:
        """Return all lines that were written."""
        return {f"line {number:06}" for number in range(self.written)}

    def leave_as_fluentd(self, *, behind: int) -> None:
        """Write buffer and positions as fluentd would have, had it read all that is in the log now.

        The positions are `behind` lines back, as after a kill: fluentd writes a chunk before it writes a position.
        """
        self.buffer.mkdir()
        lines: list[bytes] = []
        rows: list[bytes] = []
        for path in sorted(self.folder.glob("app.log*"), reverse=True):
            content = path.read_bytes()
            lines += content.splitlines(keepends=True)
            offset = len(content) - (behind * len(b"line 000000\n") if path == self.log else 0)
            rows.append(b"%b\t%016x\t%016x\n" % (bytes(self.log), offset, path.stat().st_ino))
        self.positions.write_bytes(b"".join(rows))
        parts = [b"".join(lines[start : start + 500]) for start in range(0, len(lines), 500)]
        for number, part in enumerate(parts):
            self._leave(number, part, "b" if number == len(parts) - 1 else "q")

    def _leave(self, number: int, content: bytes, state: str) -> None:
        chunk_id = f"{_FIRST_ID + number:016x}{number:016x}"
        if self.type == "file_single":
            (self.buffer / f"fsb.app.{state}{chunk_id}.buf").write_bytes(content)
            return
        file = self.buffer / f"buffer.{state}{chunk_id}.log"
        file.write_bytes(content)
        shared = {"timekey": None, "tag": "app", "variables": None, "seq": 0, "s": content.count(b"\n")}
        meta = msgpack.packb({**shared, "id": bytes.fromhex(chunk_id), "c": 1466000000, "m": 1466000000 + number})
        if number % 2 == 0:  # fluentd finds those without, too
            file.with_name(f"{file.name}.meta").write_bytes(b"\xc1\x00" + len(meta).to_bytes(4, "big") + meta)


def fluentd() -> str:
    """Return the command of a real fluentd; "" where none was given."""
    return os.environ.get("FLUENTD", "")
