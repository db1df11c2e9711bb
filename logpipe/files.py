"""Files and folders with the modes that `<system>` asks for; a plugin makes them through `host.files`."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o644
FOLDER_MODE: Final = 0o755
# compat: env.rb, DEFAULT_FILE_PERMISSION and DEFAULT_DIR_PERMISSION


@dataclass(frozen=True, slots=True)
class Files:
    """Makes files and folders. Everything here blocks.

    A mode that the configuration gives is what comes out, whatever the umask; without one it is fluentd's, cut by the
    umask. What is there already keeps its mode.
    """

    file_mode: int | None = None
    """`file_permission`; None for 0644 and the umask."""
    folder_mode: int | None = None
    """`dir_permission`; None for 0755 and the umask."""

    def given(self, file_mode: int | None, folder_mode: int | None) -> Files:
        """Return what makes files and folders with other modes, where these are given."""
        return Files(
            self.file_mode if file_mode is None else file_mode,
            self.folder_mode if folder_mode is None else folder_mode,
        )

    def open(self, path: str | Path, flags: int) -> int:
        """Open a file, which is made where it is missing and `flags` have O_CREAT; returns the descriptor.

        Raises:
            OSError: it cannot be opened or made.
        """
        flags |= os.O_CLOEXEC
        if self.file_mode is None or not flags & os.O_CREAT:
            return os.open(path, flags, FILE_MODE)
        while True:
            if not flags & os.O_EXCL:
                with contextlib.suppress(FileNotFoundError):
                    return os.open(path, flags & ~os.O_CREAT)
            try:
                descriptor = os.open(path, flags | os.O_EXCL, self.file_mode)
            except FileExistsError:
                if flags & os.O_EXCL or os.path.islink(path):  # noqa: PTH114 - a link to nothing is both there and not
                    raise
            else:
                os.fchmod(descriptor, self.file_mode)
                return descriptor

    def make_folder(self, folder: Path, sync: Callable[[Path], None] | None = None) -> None:
        """Make a folder with its parents, so that it survives a power cut; `sync` makes a folder's entries safe.

        Raises:
            OSError: it cannot be made.
        """
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            try:
                path.mkdir(mode=FOLDER_MODE if self.folder_mode is None else self.folder_mode, exist_ok=True)
            except FileExistsError:  # a link that leads nowhere, or in a circle: that is the error to show
                path.stat()
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
            if self.folder_mode is not None:
                path.chmod(self.folder_mode)
            (sync or sync_folder)(path.parent)


def sync_folder(folder: Path, fsync: Callable[[int], None] | None = None) -> None:
    """Return when a folder's entries survive a power cut.

    Raises:
        OSError: they may not.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (fsync or os.fsync)(descriptor)
    finally:
        os.close(descriptor)
