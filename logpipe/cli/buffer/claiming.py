"""Files without a lock of their buffer: each is claimed by itself, by its name, while it is replayed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from logpipe.cli.buffer.store import Item
from logpipe.errors import LogpipeError

REPLAYING: Final = ".replaying"
"""What the name of a file ends with while it is being replayed, or after a replay was interrupted."""


class ClaimedFile(Item):
    """A file that another process may be adding to, which keeps it locked meanwhile."""

    def __init__(self, path: Path, item_id: str) -> None:
        self.item_id = item_id
        self.path = path
        self._claimed: int | None = None

    @property
    def state(self) -> str:
        """Of its row in `ls`."""
        return "dead" if self._claimed is None and not self.path.name.endswith(REPLAYING) else "claimed"

    def claim(self) -> None:
        """Give it the name of a file that is being replayed, and lock it."""
        is_fresh = not self.path.name.endswith(REPLAYING)
        if is_fresh:
            claimed = self.path.with_name(f"{self.path.name}{REPLAYING}")
            if claimed.exists():
                raise LogpipeError(f"{claimed} exists already: replay that one first")
            self.path.rename(claimed)
            self.path = claimed
        self._claimed = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:  # who opened the file before the renaming keeps it locked until his bytes are complete
            fcntl.flock(self._claimed, fcntl.LOCK_EX if is_fresh else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise LogpipeError(f"{self.path} is being replayed by another process") from None

    def remove(self) -> None:
        """Delete it after delivery."""
        self.path.unlink()
        self._release()

    def give_back(self) -> None:
        """Give it its name again, unless there is a new file of that name."""
        back = self.path.with_name(self.path.name.removesuffix(REPLAYING))
        if not back.exists():
            self.path.rename(back)
            self.path = back
        self._release()

    def _release(self) -> None:
        if self._claimed is not None:
            os.close(self._claimed)
            self._claimed = None
