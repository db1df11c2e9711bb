"""One log file, open: which file it is, whether its content is still the one we know, and reads at a given place.

A file is known by device and inode for as long as it is held open, and by a fingerprint of its head for longer: an
inode is given to the next file as soon as the old one is gone, and copytruncate keeps the inode and changes the rest.
"""
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from typing import ClassVar, Final, NamedTuple, Self

HEAD_BYTES: Final = 1024
"""How much of a file's beginning its fingerprint covers: a whole line of most logs, with its time."""

MARK_BYTES: Final = 64
"""How much of what was read last is compared before more is read."""

TELLING: Final = 16
"""Bytes of head or mark that are enough to find a copy by."""

_SCANNED: Final = 256 * 1024

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Identity(NamedTuple):
    """What the file system calls a file, for as long as the file exists."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return the identity of what was asked about."""
        return cls(status.st_dev, status.st_ino)


class Head(NamedTuple):
    """The fingerprint of a file's first bytes."""

    length: int
    digest: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the fingerprint of a file that begins with `data`; NULs at its end may still be written over."""
        known = data[:HEAD_BYTES].rstrip(b"\0")
        return cls(len(known), hashlib.blake2b(known, digest_size=12).hexdigest())

    @property
    def telling(self) -> bool:
        """Whether it is enough to tell a copy by."""
        return self.length >= TELLING

    def begins(self, data: bytes) -> bool:
        """Return whether a file that begins with `data` is, or has grown from, the one this was taken of."""
        return len(data) >= self.length and Head.of(data[: self.length]) == self

    def __str__(self) -> str:
        return f"{self.length}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what `str` wrote; None for anything else, and for the head of an empty file, which fits every file."""
        length, _, digest = text.partition(":")
        return cls(int(length), digest) if length.isascii() and length.isdigit() and length != "0" else None


NO_HEAD: Final = Head.of(b"")
"""The head of a file that was empty."""


class Content(NamedTuple):
    """What was read of a file: enough to know it again."""

    head: Head
    offset: int
    mark: bytes
    """What stands right before `offset`; empty where unknown."""
    size: int = 0
    """Bytes that it held when last looked at."""

    @property
    def telling(self) -> bool:
        """Whether it is enough to tell a copy by."""
        return bool(self.mark) or self.head.telling

    def begins(self, beginning: bytes, size: int) -> bool:
        """Return whether a file of that size with that beginning may hold it.

        One that ends within the head is known only so far: it was copied before the rest was written, and its mark
        must do.
        """
        return self.head.begins(beginning) or (size < self.head.length and len(self.mark) >= TELLING)


class Rewritten(Exception):  # noqa: N818 - a thing that happens to files, not an error
    """The file no longer holds what was read from it: it was truncated, or written anew."""


class LogFile(io.FileIO):
    """A log file open for reading: its `read` looks, compares and reads, in a thread.

    `place`, `mark` and `head` say what is expected; `size`, `changed` and `head` what the last visit saw. They belong
    to whoever awaits the read: one at a time.

    Raises:
        OSError: it cannot be opened, is no regular file, or, from any method, cannot be read.
    """

    exact: ClassVar[bool] = True
    """Whether `size` is known from the first; else it is a guess until all was read."""
    damage = ""
    """Why what follows cannot be read, ever."""
    missing = 0
    """Bytes that are known to be missing then."""
    __slots__ = ("changed", "head", "identity", "mark", "place", "size")

    def __init__(self, path: str) -> None:
        super().__init__(path, "r", opener=_open)
        status = os.fstat(self.fileno())
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a regular file", path)
        self.identity = Identity.of(status)
        self.size = status.st_size
        self.changed = status.st_mtime_ns
        self.head = NO_HEAD
        self.place = 0
        self.mark = b""

    def __del__(self) -> None:
        """Close a file that nobody took: who waited for it was cancelled."""
        self.close()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the mark and up to `size` bytes that stand at `place`; only the mark where there is nothing new.

        Raises:
            Rewritten: head or mark are no longer there, or the file ends before `place`.
        """
        descriptor = self.fileno()
        status = os.fstat(descriptor)
        self.size, self.changed = status.st_size, status.st_mtime_ns
        if self.size < self.place:
            raise Rewritten
        available = self.size - self.place
        wanted = available if size is None or size < 0 else min(size, available)
        begin = self.place - len(self.mark)
        data = os.pread(descriptor, len(self.mark) + wanted, begin)
        if not data.startswith(self.mark):
            raise Rewritten
        if len(data) < len(self.mark) + wanted:  # cut a moment ago, or no file of a disk
            self.size = begin + len(data)
        # after the data and not before: then the data is of the file that the head says it is
        has_head = begin == 0 and len(data) >= min(HEAD_BYTES, self.size)
        self._look_at_head(data[:HEAD_BYTES] if has_head else os.pread(descriptor, HEAD_BYTES, 0))
        return data

    def _look_at_head(self, beginning: bytes) -> None:
        if not self.head.begins(beginning):
            raise Rewritten
        if self.head.length < len(beginning):
            self.head = Head.of(beginning)

    def rewind(self) -> bytes:
        """Expect nothing of the file any more, and return its beginning as it is now."""
        self.place, self.mark = 0, b""
        beginning = self.beginning()
        self.head = Head.of(beginning)
        status = os.fstat(self.fileno())
        self.size, self.changed = sound_size(status.st_size, beginning), status.st_mtime_ns
        return beginning

    def beginning(self) -> bytes:
        """Return as much of the file as a fingerprint covers."""
        return os.pread(self.fileno(), HEAD_BYTES, 0)

    def holds(self, content: Content) -> bool:
        """Return whether what was read of a file stands here."""
        start = content.offset - len(content.mark)
        return (
            self.size >= content.offset
            and content.begins(self.beginning(), self.size)
            and os.pread(self.fileno(), len(content.mark), start) == content.mark
        )

    def length(self) -> int:
        """Return how much it holds now; a look at it that no read has to wait for."""
        return os.fstat(self.fileno()).st_size

    def next_text(self, place: int) -> int | None:
        """Return where, from `place` on, the first byte stands that is no NUL; None where there is none yet."""
        while True:
            try:
                place = os.lseek(self.fileno(), place, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return None
                if error.errno != errno.EINVAL:  # a file system that knows no holes is read through
                    raise
            block = os.pread(self.fileno(), _SCANNED, place)
            if not block:
                return None
            text = block.lstrip(b"\0")
            if text:
                return place + len(block) - len(text)
            place += len(block)


class Look(NamedTuple):
    """What a file was seen to be, without reading on in it."""

    length: int
    head: Head

    @classmethod
    def at(cls, known: tuple[LogFile | None, str, Identity, Head]) -> Self | None:
        """Look at a file whose head may have grown; at its name where it is closed; None where that is another's."""
        file, path, identity, head = known
        try:
            if file is None:
                status = os.stat(path)  # noqa: PTH116 - paths stay as they are written
                return cls(status.st_size, head) if Identity.of(status) == identity else None
            length = file.length()
            beginning = file.beginning() if head.length < min(HEAD_BYTES, length) else b""
        except (OSError, ValueError):  # it may have been closed meanwhile
            return None
        return cls(length, Head.of(beginning) if head.begins(beginning) else head)


def sound_size(size: int, beginning: bytes) -> int:
    """Return the size of a file with that beginning; in /sys all say that they have 4096 bytes."""
    return size if len(beginning) == HEAD_BYTES else min(size, len(beginning))


def _open(path: str, flags: int) -> int:
    """Open without waiting for the writer of a FIFO that took the file's name."""
    del flags
    return os.open(path, _FLAGS)
