"""Whether a process is there."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path


def is_gone(pid: int) -> bool:
    """Whether a process has ended: one that nobody waits for is a zombie until the system's first process does."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state in {"Z", "X"}
    return True


def heeds_term(pid: int) -> bool:
    """Whether SIGTERM would end a process, which it does until that has begun."""
    found = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:")]
    return not int(found[0].split()[1], 16) >> (signal.SIGTERM - 1) & 1
