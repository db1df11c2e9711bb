"""How far each followed file is settled, on disk, in fluentd's own format: either program can take over from the other.

A row is `PATH<TAB>OFFSET<TAB>INODE<LF>`, the numbers as 16 hexadecimal digits. What that format has no room for, the
fingerprint of each file's head, stands in a file beside it (`PATH.heads`): without it everything still works, but a
reused inode cannot be told from the file it belonged to.

fluentd writes its rows in place and cuts the file to nothing before it compacts it; here the whole file is replaced
at once, so that a crash leaves the old rows or the new ones and never a mixture. The rows of the write before stay in
`PATH.old`: they stand in for those that damage has made unreadable.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from logpipe import Files, LogpipeError

UNWATCHED: Final = 0xFFFF_FFFF_FFFF_FFFF
"""The offset of a file that fluentd has stopped watching."""

_ROW: Final = re.compile(rb"([^\t\0]+)\t([0-9a-fA-F]{1,16})\t([0-9a-fA-F]{1,16})\r?")
_WHOLE_ROW: Final = re.compile(rb"[^\t\0]+\t[0-9a-fA-F]{16}\t[0-9a-fA-F]{16}")
_HEAD: Final = re.compile(rb"([^\t\0]+)\t([0-9a-fA-F]{16})\t([!-~]+)")
_SHOWN: Final = 200
_UNPARSABLE: Final = "Unparsable line in pos_file"


class Position(NamedTuple):
    """How far one file is settled."""

    path: str
    """The file as the configuration names it, not where a symbolic link leads."""
    offset: int
    """Bytes from its beginning; what comes after is read again after a crash."""
    inode: int
    fingerprint: str = ""
    """Tells the file from another that got the same inode; empty where unknown."""


class Entry(NamedTuple):
    """Rows as they are written; made once and kept while they do not change, for there may be ten thousand."""

    rows: bytes
    heads: bytes


class Loaded(NamedTuple):
    """What a position file held."""

    positions: list[Position]
    """Oldest row first; rows of one path but different inodes are its rotated generations, the current one last."""
    complaints: list[str]
    """What was wrong with it, one sentence each."""
    written_at: float
    """When it was last written, seconds since the epoch; 0.0 where there was none."""


class PositionFile:
    """The rows on disk. Every method blocks: call them in a thread."""

    def __init__(self, path: str, files: Files | None = None) -> None:
        self.path = path
        self._files = files or Files()
        self._real = Path(path)
        self._lock: int | None = None
        self._saved: bytes | None = None
        self._saved_heads: bytes | None = None
        self._saving = threading.Lock()  # a cancelled caller leaves its thread at work

    @property
    def companions(self) -> tuple[str, ...]:
        """Every file it may write, itself first."""
        return (self.path, *(self.path + suffix for suffix in (".heads", ".old", ".tmp", ".heads.tmp")))

    def open(self) -> None:
        """Create the file where it is missing, and keep other processes from using it until `close`.

        Raises:
            LogpipeError: another process has it.
            OSError: it cannot be made or opened.
        """
        self._real = Path(self.path).resolve()  # a link is written through, not replaced
        self._files.make_folder(self._real.parent)
        while self._lock is None:
            descriptor = self._files.open(self._real, os.O_RDWR | os.O_CREAT)
            try:
                self._take(descriptor)
                replaced = not _is_at(descriptor, self._real)
            except BaseException:
                os.close(descriptor)
                raise
            if replaced:  # by the process that had it, between our open and our lock
                os.close(descriptor)
            else:
                self._lock = descriptor

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogpipeError(
                f"pos_file {self.path} is in use by another process: stop that one, or give each its own pos_file"
            ) from None
        except OSError:  # a file system without locks: two processes on it cannot be told apart
            return

    def load(self) -> Loaded:
        """Return the rows; a missing file has none, and for a broken row its older self stands in.

        An empty file has none either: that is how positions are reset by hand.

        Raises:
            OSError: the file cannot be read.
        """
        try:
            with self._real.open("rb") as file:
                written_at = os.fstat(file.fileno()).st_mtime
                content = file.read()
        except FileNotFoundError:
            return Loaded([], [], 0.0)
        complaints: list[str] = []
        positions = decode(content, complaints.append)
        if any(complaint.startswith(_UNPARSABLE) for complaint in complaints):
            positions = self._with_older(positions, complaints.append)
        heads = self._load_heads() if positions else {}
        named = [row._replace(fingerprint=heads.get((row.path, row.inode), "")) for row in positions]
        return Loaded(named, complaints, written_at)

    def _with_older(self, positions: list[Position], complain: Callable[[str], None]) -> list[Position]:
        """Return the rows after those of paths that only the write before knew."""
        try:
            content = _beside(self._real, ".old").read_bytes()
        except OSError:
            return positions
        known = {row.path for row in positions}
        older = [row for row in decode(content, lambda _: None) if row.path not in known]
        if older:
            complain(f"pos_file {self.path} is damaged: for {len(older)} rows those of the write before are taken")
        return [*older, *positions]

    def _load_heads(self) -> dict[tuple[str, int], str]:
        try:
            content = _beside(self._real, ".heads").read_bytes()
        except OSError:
            return {}
        found = filter(None, map(_HEAD.fullmatch, content.split(b"\n")))
        return {(os.fsdecode(row[1]), int(row[2], 16)): row[3].decode("ascii") for row in found}

    def save(self, entries: Iterable[Entry]) -> bool:
        """Replace all rows, so that they survive a power cut; returns whether anything had changed.

        The heads come second: between the two a crash leaves offsets whose heads are old, which is seen and costs a
        second reading. The other order could leave an old offset that fits a new file, and lose what is before it.

        Raises:
            LogpipeError: another process has the file.
            OSError: it cannot be written (disk full, read-only); the old rows still stand.
        """
        kept = list(entries)
        with self._saving:
            return self._save(b"".join(each.rows for each in kept), b"".join(each.heads for each in kept))

    def _save(self, content: bytes, heads: bytes) -> bool:
        changed = False
        if content != self._saved:
            self.open()
            descriptor = self._replace(self._real, content)
            if self._lock is not None:
                os.close(self._lock)
            self._lock = descriptor
            self._saved = content
            changed = True
        if heads != self._saved_heads:
            os.close(self._replace(_beside(self._real, ".heads"), heads))
            self._saved_heads = heads
            changed = True
        return changed

    def _replace(self, path: Path, content: bytes) -> int:
        """Put a new file in the place of `path`; returns its descriptor, locked."""
        temporary = _beside(path, ".tmp")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = self._files.open(temporary, flags)
        try:
            self._take(descriptor)
            _give_away(descriptor, path)
            remaining = memoryview(content)
            while remaining:
                remaining = remaining[os.write(descriptor, remaining) :]
            os.fsync(descriptor)
            if path == self._real and self._saved is not None:  # else it is not ours, and may be damaged
                _keep(path, _beside(path, ".old"))
            temporary.rename(path)
            self._files.sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        return descriptor

    def close(self) -> None:
        """Let other processes have the file; safe to call twice."""
        with self._saving:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None


def _give_away(descriptor: int, path: Path) -> None:
    """Give a new file the mode and the owner of the one whose place it takes: fluentd, and who reads it, still can."""
    with contextlib.suppress(OSError):
        before, now = path.stat(), os.fstat(descriptor)
        if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def is_storable(path: str) -> bool:
    """Return whether a path fits in a row: a name with a tab or a line feed would be read as something else."""
    return not any(character in path for character in "\t\n\r\0")


def entry(positions: Iterable[Position]) -> Entry:
    """Return positions as they are written, those left out whose paths fit in no row."""
    rows = [position for position in positions if is_storable(position.path)]
    return Entry(encode(rows), b"".join(b"%b\t%016x\t%b\n" % _head_row(row) for row in rows if row.fingerprint))


def encode(positions: Iterable[Position]) -> bytes:
    """Return rows as fluentd writes them (in_tail/position_file.rb)."""
    return b"".join(b"%b\t%016x\t%016x\n" % (os.fsencode(row.path), row.offset, row.inode) for row in positions)


def decode(content: bytes, complain: Callable[[str], None]) -> list[Position]:
    """Return the rows of a position file, fluentd's or ours, in order.

    Rows of unwatched files are left out; of rows with the same path and inode the last one counts. A row that is
    broken (torn, interleaved, zero-filled) is left out and complained about.
    """
    rows: dict[tuple[str, int], Position] = {}
    *lines, rest = content.split(b"\n")
    if _WHOLE_ROW.fullmatch(rest):
        lines.append(rest)  # written by hand: all digits are there, so nothing was torn off
    elif rest:
        complain(f"{_UNPARSABLE}: {_shown(rest)}")
    for line in lines:
        found = _ROW.fullmatch(line)
        if found is None:
            complain(f"{_UNPARSABLE}: {_shown(line)}")
            continue
        path, offset, inode = os.fsdecode(found[1]), int(found[2], 16), int(found[3], 16)
        if rows.pop((path, inode), None) is not None:
            complain(f"{path} already exists. use latest one")
        if offset != UNWATCHED:
            rows[path, inode] = Position(path, offset, inode)
    return list(rows.values())


def _head_row(position: Position) -> tuple[bytes, int, bytes]:
    return os.fsencode(position.path), position.inode, position.fingerprint.encode("ascii")


def _shown(line: bytes) -> str:
    text = ascii(line[:_SHOWN].decode("utf-8", "replace"))
    return text if len(line) <= _SHOWN else f"{text}… ({len(line)} bytes)"


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _keep(path: Path, old: Path) -> None:
    """Give a file a second name, where the file system lets it have one: what loses it costs no more than that."""
    with contextlib.suppress(OSError):
        old.unlink(missing_ok=True)
        old.hardlink_to(path)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
