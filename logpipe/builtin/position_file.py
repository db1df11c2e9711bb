"""How far each followed file is settled, on disk, in fluentd's own format: either program can take over from the other.

A row is `PATH<TAB>OFFSET<TAB>INODE<LF>`, the numbers as 16 hexadecimal digits. What that format has no room for, the
fingerprint of each file's head, stands in a file beside it (`PATH.heads`): without it everything still works, but a
reused inode cannot be told from the file it belonged to. What lay in the folders of followed files at the last look
stands in `PATH.looks`, whose lines are not this module's: without it less is known of files that came and went while
nobody looked.

fluentd writes its rows in place and cuts the file to nothing before it compacts it; here the whole file is replaced
at once, so that a crash leaves the old rows or the new ones and never a mixture. The rows of the write before stay in
`PATH.old`: they stand in for those that damage has made unreadable.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from logpipe import LogpipeError
from logpipe.durable import UNFINISHED, Disk, Files, is_at, lock

UNWATCHED: Final = 0xFFFF_FFFF_FFFF_FFFF
"""The offset of a file that fluentd has stopped watching."""

_ROW: Final = re.compile(rb"([^\t\0]+)\t([0-9a-fA-F]{1,16})\t([0-9a-fA-F]{1,16})\r?")
_WHOLE_ROW: Final = re.compile(rb"[^\t\0]+\t[0-9a-fA-F]{16}\t[0-9a-fA-F]{16}")
_HEAD: Final = re.compile(rb"([^\t\0]+)\t([0-9a-fA-F]{16})\t([!-~]+)")
_SHOWN: Final = 200
_NULL_DEVICE: Final = os.makedev(1, 3)
_NO_FILES: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_COMPANIONS: Final = (".heads", ".old", ".tmp", ".heads.tmp", ".looks", ".looks.tmp")
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
    whole: bool = False
    """Whether the file was rotated away, read to its end and let go: when it is gone, nothing is missing."""


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
    looks: bytes = b""
    """What was saved beside the rows."""


class PositionFile:
    """The rows on disk. Every method blocks: call them in a thread."""

    def __init__(self, path: str, files: Files | None = None) -> None:
        self.path = path
        self._disk = Disk(files or Files(), "positions")
        self._real = Path(path)
        self._lock: int | None = None
        self._saved: bytes | None = None
        self._saved_heads: bytes | None = None
        self._saved_looks = b""
        self.forgets = path == os.devnull
        """Whether it is the null device, where nothing is kept."""
        self._saving = threading.Lock()  # a cancelled caller leaves its thread at work

    @property
    def companions(self) -> tuple[str, ...]:
        """Every file it may write, itself first."""
        return (self.path, *(self.path + suffix for suffix in _COMPANIONS))

    def open(self) -> None:
        """Create the file where it is missing, and keep other processes from using it until `close`.

        Raises:
            LogpipeError: another process has it, or it is no regular file.
            OSError: it cannot be made or opened.
        """
        if self.forgets:
            return
        try:
            self._real = Path(self.path).resolve()  # a link is written through, not replaced
            self.forgets = not self._is_regular(os.stat(self._real))  # noqa: PTH116 - not followed any further
        except FileNotFoundError:
            pass
        except (RuntimeError, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.ELOOP:
                raise
            raise LogpipeError(f"pos_file {self.path} is a link in a circle: name a file") from None
        if self.forgets:
            return
        self._disk.make_folder(self._real.parent)
        if self._lock is not None:
            return
        try:
            descriptor = self._disk.open_locked(self._real, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        except BlockingIOError:
            raise LogpipeError(
                f"pos_file {self.path} is in use by another process: stop that one, or give each its own pos_file"
            ) from None
        try:
            self._is_regular(os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def _is_regular(self, status: os.stat_result) -> bool:
        """Return whether positions can be kept there: not in the null device, which is no mistake.

        Raises:
            LogpipeError: nor in anything else that is no file.
        """
        if stat.S_ISREG(status.st_mode):
            return True
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL_DEVICE:
            return False
        what = next((what for test, what in _NO_FILES if test(status.st_mode)), "no regular file")
        raise LogpipeError(f"pos_file {self.path} is {what}: name a file, or /dev/null to remember nothing")

    def load(self) -> Loaded:
        """Return the rows; a missing file has none, and for a broken row its older self stands in.

        An empty file has none either: that is how positions are reset by hand.

        Raises:
            OSError: the file cannot be read.
        """
        if self.forgets:
            return Loaded([], [], 0.0)
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
        return Loaded(named, complaints, written_at, _read(_beside(self._real, ".looks")) if positions else b"")

    def _with_older(self, positions: list[Position], complain: Callable[[str], None]) -> list[Position]:
        """Return the rows after those of paths that only the write before knew."""
        content = _read(_beside(self._real, ".old"))
        known = {row.path for row in positions}
        older = [row for row in decode(content, lambda _: None) if row.path not in known]
        if older:
            complain(f"pos_file {self.path} is damaged: for {len(older)} rows those of the write before are taken")
        return [*older, *positions]

    def _load_heads(self) -> dict[tuple[str, int], str]:
        found = filter(None, map(_HEAD.fullmatch, _read(_beside(self._real, ".heads")).split(b"\n")))
        return {(os.fsdecode(row[1]), int(row[2], 16)): row[3].decode("ascii") for row in found}

    def save(self, entries: Iterable[Entry], looks: bytes = b"") -> bool:
        """Replace all rows, so that they survive a power cut; returns whether anything had changed.

        Heads that change come after the rows: between the two a crash leaves offsets whose heads are old, which is
        seen and costs a second reading. The other order could leave an old offset that fits a new file, and lose what
        is before it. Heads of new rows come before these: an offset without a head fits whatever got its inode.
        The looks come first: they name only files of which nothing is owed any more, so that one for which no row
        could be written after them is taken for a new one.

        Raises:
            LogpipeError: another process has the file.
            OSError: it cannot be written (disk full, read-only); the old rows still stand.
        """
        kept = list(entries)
        with self._saving:
            return self._save(b"".join(each.rows for each in kept), b"".join(each.heads for each in kept), looks)

    def _save(self, content: bytes, heads: bytes, looks: bytes) -> bool:
        if self.forgets or (content, heads, looks) == (self._saved, self._saved_heads, self._saved_looks):
            return False
        self.open()
        if looks != self._saved_looks:
            self._replace(_beside(self._real, ".looks"), looks)
            self._saved_looks = looks
        if content != self._saved:
            if heads != self._saved_heads:
                self._add_heads(heads)
            self._replace_rows(content)
            self._saved = content
        if heads != self._saved_heads:
            self._replace(_beside(self._real, ".heads"), heads)
            self._saved_heads = heads
        return True

    def _add_heads(self, heads: bytes) -> None:
        """Write the heads of new rows behind those that are written; these stay as they are."""
        old = _read(_beside(self._real, ".heads")) if self._saved_heads is None else self._saved_heads
        known = {line.rpartition(b"\t")[0] for line in old.split(b"\n")}
        new = [line for line in heads.split(b"\n") if line and line.rpartition(b"\t")[0] not in known]
        if new:
            both = old + b"".join(line + b"\n" for line in new)
            self._replace(_beside(self._real, ".heads"), both)
            self._saved_heads = both

    def _replace(self, path: Path, content: bytes) -> None:
        self._disk.replace(path, [content], ready=lambda descriptor: _give_away(descriptor, path))

    def _replace_rows(self, content: bytes) -> None:
        """Put a new file in the place of the one with the rows, which stays locked all the time."""
        temporary = _beside(self._real, UNFINISHED)
        descriptor = self._disk.fill(temporary, [content], ready=self._prepare)
        try:
            if self._saved is not None:  # else it is not ours, and may be damaged
                _keep(self._real, _beside(self._real, ".old"))
            self._disk.move(temporary, self._real)
        finally:
            if is_at(descriptor, self._real):  # also where its name could not be synced
                if self._lock is not None:
                    os.close(self._lock)
                self._lock = descriptor
            else:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    temporary.unlink()

    def _prepare(self, descriptor: int) -> None:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _give_away(descriptor, self._real)

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
    heads = ((os.fsencode(row.path), row.inode, row.fingerprint.encode("ascii")) for row in rows if row.fingerprint)
    return Entry(encode(rows), b"".join(b"%b\t%016x\t%b\n" % head for head in heads))


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


def _shown(line: bytes) -> str:
    text = ascii(line[:_SHOWN].decode("utf-8", "replace"))
    return text if len(line) <= _SHOWN else f"{text}… ({len(line)} bytes)"


def _read(path: Path) -> bytes:
    """Return what a companion holds; nothing where it is missing, cannot be read, or is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        except OSError:
            return b""


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _keep(path: Path, old: Path) -> None:
    """Give a file a second name, where the file system lets it have one: what loses it costs no more than that."""
    with contextlib.suppress(OSError):
        old.unlink(missing_ok=True)
        old.hardlink_to(path)
