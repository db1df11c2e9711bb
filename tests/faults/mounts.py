"""Small disks and folders in other places, seen by the programs that are started with them and by nobody else."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.faults.outcome import Impossible


class Mounts:
    """A mount namespace that stays while its block lasts, whatever becomes of the programs in it.

    Args:
        commands: what to mount, each a command with its arguments.

    Raises:
        Impossible: this user may not mount anything here.
    """

    def __init__(self, *commands: Sequence[str]) -> None:
        own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
        script = " && ".join(shlex.join(command) for command in commands)
        self._holder = subprocess.Popen(
            # Its input ends when this process does, so that nothing stays mounted.
            ["unshare", "--mount", *own_user, "sh", "-c", f"{script} && echo ready && read never"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            _, said = self._holder.communicate()
            reason = said.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise Impossible(f"mounting needs root or user namespaces ({reason[0]})")
        join = ["--user", "--preserve-credentials"] if own_user else []
        self.through = ["nsenter", f"--target={self._holder.pid}", "--mount", *join, "--"]

    def inside(self, path: Path) -> Path:
        """Return where a path of the programs in here is found from outside."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def run(self, *command: str) -> None:
        """Run a command in here."""
        subprocess.run([*self.through, *command], check=True, capture_output=True)

    def tries(self, *command: str) -> bool:
        """Run a command in here, and return whether it succeeded."""
        return not subprocess.run([*self.through, *command], check=False, capture_output=True).returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.communicate()


def tmpfs(folder: Path, *, size: str) -> list[str]:
    """Return the command that puts a disk of that size in a folder's place."""
    return ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)]


def bind(folder: Path, to: str | Path) -> list[str]:
    """Return the command that shows a folder, and what is mounted in it, in another place too."""
    return ["mount", "--rbind", str(folder), str(to)]


def fill(folder: Path) -> Path:
    """Leave no room on a disk, and return the file that takes it."""
    filler = folder / "filler"
    block = bytes(4096)
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError:
            return filler
