"""Tells glibc's allocator and Python's collector what kind of program this is."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEPT_BYTES: Final = 16 << 20


def tune() -> None:
    """Keep freed buffers of up to 16 MiB in the process, and look for cycles rarely.

    Blocks read and requests sent are large buffers of short life: by default each is mapped and given back to the
    kernel, and half of what sending costs is page faults. Records hold no cycles, and a batch is thousands of dicts,
    so that the collector's defaults would scan them over and over. Does nothing where the C library is another.
    """
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
