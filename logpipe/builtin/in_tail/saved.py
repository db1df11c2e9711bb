"""What an earlier run left: positions that no file has claimed yet, and what lay in folders at the last look."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from logpipe.builtin.in_tail.difference import Found
from logpipe.builtin.in_tail.logfile import Head, Identity
from logpipe.builtin.position_file import Loaded, Position, encode, is_storable

LONGEST_ABSENCE: Final = 24 * 3600.0
"""Seconds after which a file that is nowhere to be found is gone for good."""

_UNNOTICED: Final = 2_000_000_000
"""Nanoseconds by which the rows may be older than the file that holds them: rotations are seen a moment later."""

_FOLDER: Final = re.compile(rb"F\t([^\t\0]*)\t([0-9a-f]{1,16})\t([0-9a-f: ]*)")
_MISSING: Final = re.compile(rb"R\t([^\t\0]+)\t([0-9a-f]{1,16})\t([0-9]+)")
_WHOLE: Final = re.compile(rb"E\t([^\t\0]+)\t([0-9a-f]{16})\t([0-9a-f]{16})")


class FolderLook(NamedTuple):
    """What lay in a folder, of files with names of rotated ones."""

    looked_at: int
    """Nanoseconds since the epoch."""
    files: frozenset[tuple[int, int]]
    """Inode and time of birth, 0 where unknown."""


def folder_line(folder: str, look: FolderLook) -> bytes:
    """Return what is known of a folder as it is written; empty where its name fits in no line."""
    if not is_storable(folder):
        return b""
    files = b" ".join(b"%x:%x" % file for file in sorted(look.files))
    return b"F\t%b\t%016x\t%b\n" % (os.fsencode(folder), look.looked_at, files)


class Saved:
    """The rows of the position file that no file has claimed yet."""

    def __init__(self, loaded: Loaded) -> None:
        self.written_at = int(loaded.written_at * 1_000_000_000) - _UNNOTICED
        """A time, nanoseconds since the epoch, before which nothing was written that the rows do not tell of."""
        self.folders: dict[str, FolderLook] = {}
        """By the text before the names in a folder."""
        self._paths: set[str] = set()
        self._by_path: dict[str, list[Position]] = {}
        self._by_inode: dict[int, list[Position]] = {}
        self._missing: dict[tuple[str, int], float] = {}
        """Path and inode of rows whose file is nowhere to be found, and since when: seconds since the epoch."""
        whole = self._take(loaded.looks)
        for row in loaded.positions:
            self.add(row._replace(whole=row[:3] in whole))

    def _take(self, looks: bytes) -> set[tuple[str, int, int]]:
        """Take what stands beside the rows; returns which of these are whole."""
        whole: set[tuple[str, int, int]] = set()
        for line in looks.split(b"\n"):
            if (row := _FOLDER.fullmatch(line)) is not None:
                files = (each.partition(b":") for each in row[3].split())
                seen = frozenset((int(inode or b"0", 16), int(born or b"0", 16)) for inode, _, born in files)
                self.folders[os.fsdecode(row[1])] = FolderLook(int(row[2], 16), seen)
            elif (row := _MISSING.fullmatch(line)) is not None:
                self._missing[os.fsdecode(row[1]), int(row[2], 16)] = float(row[3])
            elif (row := _WHOLE.fullmatch(line)) is not None:
                whole.add((os.fsdecode(row[1]), int(row[2], 16), int(row[3], 16)))
        return whole

    def lines(self, rows: Iterable[Position]) -> bytes:
        """Return what is to stand beside the rows of the next run: which are missing, and which of these are whole."""
        missing = (
            b"R\t%b\t%016x\t%d\n" % (os.fsencode(path), inode, since)
            for (path, inode), since in self._missing.items()
            if is_storable(path)
        )
        whole = (each for each in (*self.unclaimed(), *rows) if each.whole and is_storable(each.path))
        return b"".join((*missing, *(b"E\t" + encode([each]) for each in whole)))

    def add(self, row: Position) -> None:
        """Keep a row for a file that is out of sight."""
        self._paths.add(row.path)
        self._by_path.setdefault(row.path, []).append(row)
        self._by_inode.setdefault(row.inode, []).append(row)

    def rows(self, path: str) -> list[Position]:
        """Return the rows of a path that are not claimed, oldest generation first."""
        return self._by_path.get(path, [])

    def own(self, path: str, found: Found, leads_elsewhere: Callable[[str, Identity], bool]) -> Position | None:
        """Return the row that was written for a file which a path leads to.

        Its head must be the saved one, whatever the file was called then. fluentd saves none: then the row must be
        the path's last one, or that of another name in its folder that `leads_elsewhere`.
        """
        rows = self.rows(path)
        others = [row for row in self._by_inode.get(found.identity.inode, ()) if row.path != path]
        for row in (*reversed([row for row in rows if row.inode == found.identity.inode]), *others):
            head = Head.parse(row.fingerprint)
            if head is not None:
                if head.begins(found.beginning) and (row.path != path or row.offset <= found.size):
                    return row
            elif row.path == path:
                # compat: in_tail.rb knows no heads: of its rows the last one of a path counts
                if row is rows[-1] and row.offset <= found.size:
                    return row
            elif os.path.dirname(row.path) == os.path.dirname(path) and leads_elsewhere(row.path, found.identity):  # noqa: PTH120
                return row
        return None

    def claim(self, rows: Iterable[Position]) -> None:
        """Take rows out: what they say is kept by generations from now on."""
        for row in rows:
            self._missing.pop((row.path, row.inode), None)
            for rows_left in (self._by_path.get(row.path, []), self._by_inode.get(row.inode, [])):
                if row in rows_left:
                    rows_left.remove(row)

    def knew(self, path: str) -> bool:
        """Return whether the path had a row, claimed or not."""
        return path in self._paths

    def unclaimed(self) -> list[Position]:
        """Return the rows that no file has claimed."""
        return [row for rows in self._by_path.values() for row in rows]

    def expire(self, inodes: dict[str, int | None], now: float, *, compact: bool) -> bool:
        """Drop the rows whose file is gone for good; returns whether anything changed.

        `inodes` tells where paths lead, None where nowhere; rows of other paths stay. With `compact` all go that are
        not at their path.
        """
        changed = False
        for row in [row for row in self.unclaimed() if row.path in inodes]:
            key = (row.path, row.inode)
            inode = inodes[row.path]
            if inode == row.inode:
                changed |= self._missing.pop(key, None) is not None
                continue
            since = self._missing.get(key)
            if since is None:
                self._missing[key] = now
                changed = True
            if inode is not None or compact or (since is not None and now - since > LONGEST_ABSENCE):
                self.claim([row])
                changed = True
        return changed
