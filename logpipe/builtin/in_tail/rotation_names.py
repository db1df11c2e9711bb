"""What a rotated file may be called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_COUNTED: Final = r"[.-][0-9][0-9T:._-]*"
_DATED: Final = r"[._-][0-9]{4}-?[0-9]{2}-?[0-9]{2}[0-9T:._-]*"
_NUMBER_WITHIN: Final = re.compile(r"[._-][0-9]", re.ASCII)
_PARTS: Final = re.compile(r"[._~-]")


def looks_rotated(name: str) -> bool:
    """Return whether a name may be that of a rotated file, whatever it was before."""
    return _NUMBER_WITHIN.search(name) is not None


@lru_cache(maxsize=4096)
def rotation_of(name: str, archive_suffix: str = "") -> re.Pattern[str]:
    """Return what logrotate, the kubelet and log libraries call a file that was `name`."""
    stem, suffix = split_suffix(name)
    dated = f"{re.escape(stem)}{_DATED}{re.escape(suffix)}"
    return re.compile(f"(?:{re.escape(name)}{_COUNTED}|{dated})(?:{re.escape(archive_suffix)})?", re.ASCII)


def bases(name: str, archive_suffix: str = "") -> Iterator[str]:
    """Yield the names that a file may have had, or have been copied from, before it was called `name`."""
    plain = name.removesuffix(archive_suffix) if archive_suffix else name
    _, suffix = split_suffix(plain)
    for found in _PARTS.finditer(name):
        if found.start():
            yield name[: found.start()]
            if (dated := name[: found.start()] + suffix) != name:
                yield dated


def youth(name: str) -> int:
    """Return what sorts names of files written at the same moment: logrotate counts up from the youngest."""
    number = name[len(name.rstrip("0123456789")) :]
    return -int(number) if 0 < len(number) < 8 else 0


def split_suffix(name: str) -> tuple[str, str]:
    """Return a name's part before its last dot, and the rest."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")
