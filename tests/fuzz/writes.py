"""Sees every write of this process: what lies outside of a case's folders is a finding."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, Self

_PARTS: Final = {
    "os.mkdir": (slice(0, 1), slice(2, 3)),
    "os.rename": (slice(0, 2), slice(2, 4)),
    "os.remove": (slice(0, 1), slice(1, 2)),
    "os.rmdir": (slice(0, 1), slice(1, 2)),
    "os.link": (slice(0, 2), slice(2, 4)),
    "os.symlink": (slice(1, 2), slice(2, 3)),
    "os.truncate": (slice(0, 1), slice(9, 9)),
}
"""Which arguments of an audit event are paths, and which the folders that they are relative to."""

_current: list[Writes] = []
_hooked: list[bool] = []


class Writes:
    """While it is entered, what is opened for writing, made, renamed or removed outside of `root` is a problem."""

    def __init__(self, root: Path) -> None:
        self.problems: list[str] = []
        self._allowed = tuple(str(root / name) for name in ("in", "state", "deep/er/out", "witness"))
        self._elsewhere = (f"{tempfile.gettempdir()}/logpipe-backup-", "/dev/", "/proc/")

    def __enter__(self) -> Self:
        if not _hooked:
            _hooked.append(True)
            sys.addaudithook(_audit)
        _current.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.remove(self)

    def see(self, event: str, path: Any) -> None:
        """Judge one change."""
        if isinstance(path, int) or path is None:
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links are not to be followed
        inside = any(name == root or name.startswith(root + os.sep) for root in self._allowed)
        if not inside and not name.startswith(self._elsewhere) and ".pyc" not in name and len(self.problems) < 10:
            self.problems.append(f"{event} outside of its folder: {name!r}")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _current:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _current[-1].see(event, path)
    elif event in _PARTS:
        paths, folders = _PARTS[event]
        for path, folder in zip(arguments[paths], arguments[folders] or (-1, -1), strict=False):
            if folder == -1:  # else the path is relative to a folder that was opened: a temporary one's removal
                _current[-1].see(event, path)
