"""What a look at the disk brings, for `decide`: files that were found, and what became of followed paths."""

from __future__ import annotations

from typing import NamedTuple

from logpipe.builtin.in_tail.logfile import Head, Identity, LogFile
from logpipe.builtin.in_tail.rotation_names import youth
from logpipe.builtin.position_file import Position

Hops = tuple[tuple[str, str], ...]
"""Folder and name of a path, and of every symbolic link on the way to its file."""


class Found(NamedTuple):
    """A file as it was found under a name."""

    path: str
    identity: Identity
    born: int = 0
    """Nanoseconds since the epoch; 0 where the disk does not know."""
    size: int = 0
    modified: int = 0
    changed: int = 0
    """When it was written, renamed or linked last, nanoseconds since the epoch."""
    beginning: bytes = b""
    """As much of it as a fingerprint covers."""
    file: LogFile | None = None
    """The open file, which belongs to whoever decides; None where nothing is opened."""

    @property
    def head(self) -> Head:
        """The fingerprint."""
        return Head.of(self.beginning)

    @property
    def exact(self) -> bool:
        """Whether its size is known from the first; that of a compressed file is a guess until all was read."""
        return self.file is None or self.file.exact

    @property
    def age(self) -> tuple[int, int]:
        """What sorts files from the oldest to the youngest."""
        return self.modified, youth(self.path)

    def was(self, head: Head, size: int) -> bool:
        """Return whether it is the file that had its inode and this head and size, and not another one.

        A file that begins with a hole has no head to tell.
        """
        return head.begins(self.beginning) and (head.length > 0 or 0 < size == self.size)


class Doubtful(NamedTuple):
    """A file whose name is that of a rotated one, and that was not there at the last look."""

    found: Found
    since: int
    """When that look was, nanoseconds since the epoch."""
    listed: bool
    """Whether it is known what lay there then; else only when it was."""


class Place(NamedTuple):
    """What became of a path since the last look."""

    path: str
    hops: Hops = ()
    now: Found | None = None
    """The file that it leads to."""
    error: OSError | None = None
    """Why that cannot be opened."""
    before: tuple[Found, ...] = ()
    """Files that had its name since the last look and have another one now, oldest first: for certain."""
    new: tuple[Doubtful, ...] = ()
    """Files that may have had its name."""

    @property
    def files(self) -> list[Found]:
        """Every file that may be open."""
        now = [self.now] if self.now is not None else []
        return [*now, *self.before, *(each.found for each in self.new)]


class Row(NamedTuple):
    """One saved position of a path, and the file that it was found to be of."""

    position: Position
    found: Found | None


class Beginning(NamedTuple):
    """What the saved positions say of a path that is to be followed."""

    place: Place
    own: Position | None
    """The row of the file that the path leads to."""
    rows: tuple[Row, ...]
    """Those of files that it led to before, oldest first."""
    known: bool
    """Whether the path ever had a row."""
    arrived: bool = False
    """Whether the file that the path leads to was not there at the last look of an earlier run."""
