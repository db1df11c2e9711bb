"""A process beside this one that kills our children when we are killed, by whatever, and could not do it ourselves.

It knows their process groups by a pipe, whose other end the kernel closes with this process. A child's own
PR_SET_PDEATHSIG would have to be set between fork and exec, where nothing is safe in a process with threads; it would
follow the thread that has forked, not the process, and would not reach what the child has started.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import Final

_PROGRAM: Final = """\
trap '' HUP INT TERM USR1 USR2
groups=' '
while read -r what group; do
  case "$what$groups" in
    +*) groups="$groups$group " ;;
    -*" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do
  kill -KILL "-$group" 2>/dev/null
done
"""


class Guard:
    """Tells the process, which is started with the first child, and again if it has died."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        """The number of the process; None where there is none yet."""
        return None if self._process is None else self._process.pid

    def watch(self, group: int) -> None:
        """Have a process group killed when this process ends.

        Raises:
            OSError: the guard cannot be started.
        """
        self._groups.add(group)
        if self._process is None or self._owner != os.getpid():
            self._start()
        elif not self._tell(f"+ {group}\n"):
            self._process.kill()  # it is dead, or stopped: nobody may wait for it, and its work is not to be done yet
            self.close()
            self._start()

    def forget(self, group: int) -> None:
        """Leave a process group alone, which has ended; to be called before another can have its number."""
        self._groups.discard(group)
        self._tell(f"- {group}\n")

    def close(self) -> None:
        """Have it do its work now, and end; the next child starts another. A process that ends need not."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            if process.stdin is not None:
                process.stdin.close()
            process.wait()

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - nothing in it comes from outside
            ["/bin/sh", "-c", _PROGRAM, "logpipe: kills the children of a process that is gone"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._owner = os.getpid()
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        os.set_blocking(self._process.stdin.fileno(), False)
        for group in self._groups:
            self._tell(f"+ {group}\n")

    def _tell(self, line: str) -> bool:
        """Return whether it was told; it never waits for a guard that reads nothing."""
        if self._process is None or self._process.stdin is None:
            return False
        with suppress(OSError):
            return os.write(self._process.stdin.fileno(), line.encode()) == len(line)
        return False


GUARD: Final = Guard()
"""That of this process."""
