"""`process_name`: what the process list shows of a process."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_NAME: Final = 15
_ARG_START: Final = 48
"""The number of the field of /proc/PID/stat with the address that the command line begins at; the next has its end."""


def set_title(title: str) -> None:
    """Have `ps` and `top` show a title, as long as the command line has room for it; without effect but on Linux."""
    text = title.encode("utf-8", "replace").replace(b"\0", b" ")
    with suppress(OSError, ValueError, IndexError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(text), 0, 0, 0)
        # after the name in parentheses, which may hold anything, comes the third field
        fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
        start, end = int(fields[_ARG_START - 3]), int(fields[_ARG_START - 2])
        room = end - start
        ctypes.memmove(start, text[: room - 1].ljust(room, b"\0"), room)
