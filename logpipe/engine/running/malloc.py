"""Tells glibc's allocator, Python's collector and its threads what kind of program this is."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEPT_BYTES: Final = 16 << 20
_SWITCH_SECONDS: Final = 0.001


def tune() -> None:
    """Keep freed buffers of up to 16 MiB in the process, look for cycles rarely, let threads wait for a short time.

    Blocks read and requests sent are large buffers of short life: by default each is mapped and given back to the
    kernel, and half of what sending costs is page faults. Records hold no cycles, and a batch is thousands of dicts,
    so that the collector's defaults would scan them over and over. A thread that reads or writes files needs the
    interpreter for microseconds between its system calls: the default lets it wait 5 ms each time while the loop
    computes, which would hold a buffer in files to a third of its speed. What the C library does not know is left.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        pass
    else:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_ARENA_MAX, 2)
    gc.freeze()  # what start-up made stays for good: it is not worth a look for garbage now, nor ever again
    gc.set_threshold(100_000, 20, 50)
    gc.enable()
