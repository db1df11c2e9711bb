"""`process_name`: the title of a process in the process list."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_NAME: Final = 15
_ARG_START: Final = 48
"""The field of /proc/PID/stat with the address where the command line begins; the next one has its end."""


def set_title(title: str) -> None:
    """Set the title that `ps` and `top` show, cut to the length of the command line; works on Linux only."""
    text = title.encode("utf-8", "replace").replace(b"\0", b" ")
    with suppress(OSError, ValueError, IndexError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(text), 0, 0, 0)
        # the third field follows the name in parentheses, which may contain anything
        fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
        start, end = int(fields[_ARG_START - 3]), int(fields[_ARG_START - 2])
        room = end - start
        ctypes.memmove(start, text[: room - 1].ljust(room, b"\0"), room)
