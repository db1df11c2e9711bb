"""What is remembered from one run to the next: rows that no file has claimed, what lay in folders, and when to write.

Beside the rows of the position file stands, in lines of its own: `F` what lay in a folder at the last look, `R` which
rows' files are nowhere to be found and since when, `E` which rows' files were read to their end.
"""
# ruff: noqa: PTH120
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

from logpipe import Host, LogpipeError
from logpipe.builtin.in_tail.decide import Beginning, Place
from logpipe.builtin.in_tail.disk import Looker, Survey, look
from logpipe.builtin.in_tail.folders import Folders, Found, Key, Member, bases
from logpipe.builtin.in_tail.logfile import Head, Identity
from logpipe.builtin.in_tail.table import Table
from logpipe.builtin.position_file import Entry, Loaded, Position, PositionFile, encode, entry, is_storable

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

    def line(self, folder: str) -> bytes:
        """Return this as it is written; nothing where the folder's name fits in no line."""
        files = b" ".join(b"%x:%x" % file for file in sorted(self.files))
        return b"F\t%b\t%016x\t%b\n" % (os.fsencode(folder), self.looked_at, files) if is_storable(folder) else b""


class Saved:
    """The rows of the position file that no file has claimed yet; there are none before `take`."""

    def __init__(self) -> None:
        self.written_at = -_UNNOTICED
        """A time, nanoseconds since the epoch, before which nothing was written that the rows do not tell of."""
        self.folders: dict[str, FolderLook] = {}
        """By the text before the names in a folder."""
        self._paths: set[str] = set()
        self._by_path: dict[str, list[Position]] = {}
        self._by_inode: dict[int, list[Position]] = {}
        self._missing: dict[tuple[str, int], float] = {}
        """Path and inode of rows whose file is nowhere to be found, and since when: seconds since the epoch."""

    def take(self, loaded: Loaded) -> None:
        """Take what an earlier run wrote."""
        self.written_at += int(loaded.written_at * 1_000_000_000)
        whole: set[tuple[str, int, int]] = set()
        for line in loaded.looks.split(b"\n"):
            if (row := _FOLDER.fullmatch(line)) is not None:
                files = (each.partition(b":") for each in row[3].split())
                seen = frozenset((int(inode or b"0", 16), int(born or b"0", 16)) for inode, _, born in files)
                self.folders[os.fsdecode(row[1])] = FolderLook(int(row[2], 16), seen)
            elif (row := _MISSING.fullmatch(line)) is not None:
                self._missing[os.fsdecode(row[1]), int(row[2], 16)] = float(row[3])
            elif (row := _WHOLE.fullmatch(line)) is not None:
                whole.add((os.fsdecode(row[1]), int(row[2], 16), int(row[3], 16)))
        for position in loaded.positions:
            self.add(position._replace(whole=position[:3] in whole))

    def lines(self, rows: Iterable[Position]) -> bytes:
        """Return what is to stand beside the rows of the next run: which are missing, and which of these are whole."""
        known = ((*key, since) for key, since in self._missing.items() if is_storable(key[0]))
        missing = (b"R\t%b\t%016x\t%d\n" % (os.fsencode(path), inode, since) for path, inode, since in known)
        whole = (each for each in (*self.unclaimed(), *rows) if each.whole and is_storable(each.path))
        return b"".join((*missing, *(b"E\t" + encode([each]) for each in whole)))

    def add(self, row: Position) -> None:
        """Keep a row for a file that is out of sight."""
        self._paths.add(row.path)
        self._by_path.setdefault(row.path, []).append(row)
        self._by_inode.setdefault(row.inode, []).append(row)

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

    def beginnings(self, places: Iterable[Place], arrived: Collection[str], looker: Looker) -> list[Beginning]:
        """Return what the rows say of paths that are to be followed; opens the files that they are of, and blocks."""
        surveys: dict[str, Survey] = {}
        return [self._begin(place, looker, surveys, arrived=place.path in arrived) for place in places]

    def _begin(self, place: Place, looker: Looker, surveys: dict[str, Survey], *, arrived: bool) -> Beginning:
        now = place.now
        if now is None or place.error is not None:
            return Beginning(place, None, (), known=False)
        own = self._own(place.path, now)
        others = [row for row in self._by_path.get(place.path, ()) if row is not own]
        rows = looker.rows(others, surveys, {now.identity})
        return Beginning(place, own, tuple(rows), known=self.knew(place.path), arrived=arrived)

    def _own(self, path: str, found: Found) -> Position | None:
        """Return the row that was written for a file which a path leads to.

        Its head must be the saved one, whatever the file was called then. fluentd saves none: then the row must be
        the path's last one, or that of another name in its folder that leads elsewhere now.
        """
        rows = self._by_path.get(path, [])
        here = [row for row in reversed(rows) if row.inode == found.identity.inode]
        elsewhere = [row for row in self._by_inode.get(found.identity.inode, ()) if row.path != path]
        for row in (*here, *elsewhere):
            head = Head.parse(row.fingerprint)
            if head is not None:
                if head.begins(found.beginning) and (row.path != path or row.offset <= found.size):
                    return row
            elif row.path == path:
                # compat: in_tail.rb knows no heads: of its rows the last one of a path counts
                if row is rows[-1] and row.offset <= found.size:
                    return row
            elif os.path.dirname(row.path) == os.path.dirname(path):
                status = look(row.path)
                if status is None or Identity.of(status) != found.identity:
                    return row
        return None

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


class Fresh(NamedTuple):
    """Files with names of rotated ones that a survey found and the look before had not."""

    files: dict[str, Identity]
    since: int
    """When the look before was, nanoseconds since the epoch."""
    listed: bool
    """Whether it is known what lay there then."""
    first: bool
    """Whether that look was of an earlier run: they may be of paths that are not followed yet."""


class FolderLooks:
    """Compares what lies in folders with what lay there."""

    def __init__(self, folders: Folders, table: Table, moved: Callable[[], None], *, archive_suffix: str) -> None:
        """Call `moved` when there is something to write."""
        self.saved = Saved()
        self._undecided: dict[str, Fresh] = {}
        """Files that are not written down as seen, since it is not decided what is done with them."""
        self.leads: dict[Key, str] = {}
        """Paths of an earlier run by folder and name of the file that each leads to."""
        self.searched = False
        """Whether the paths that are there were searched for; until then nothing is decided."""
        self._folders = folders
        self._table = table
        self._moved = moved
        self._archive_suffix = archive_suffix
        self._lines: dict[str, bytes] = {}

    def entries(self) -> list[Entry]:
        """Return the rows of the position file: what was followed before and is not found yet, and what is followed."""
        return [entry(self.saved.unclaimed()), *(trail.entry for trail in self._table.by_path.values())]

    def written(self) -> bytes:
        """Return what lay in folders at the last look, and which rows' files are missing or done, as it is written.

        A file that something is or may be owed of is left out: its row may not be written, or be that of an earlier
        content, and what has no row and is not new would never be read. No look counts as later than such a file.
        """
        owed = set(self._table.owed())
        lines: dict[str, bytes] = {}
        for base, folder in self._folders.by_base.items():
            if folder.looked_at and base not in self._lines:
                undecided = self._undecided.get(base)
                if undecided is not None and not undecided.listed:
                    continue  # a list that was never complete must not look so to the next run
                files = self._folders.known(base, but=undecided.files if undecided is not None else ())
                since = undecided.since if undecided is not None else folder.looked_at
                looked_at = min([since, *(born for _, born in files & owed)])
                line = FolderLook(looked_at, frozenset(files - owed)).line(base)
                (self._lines if files.isdisjoint(owed) else lines)[base] = line
        lines |= self._lines
        unseen = (earlier.line(base) for base, earlier in self.saved.folders.items() if base not in lines)
        trails = self._table.by_path.values()
        finished = (each.saved_as(trail.path) for trail in trails for each in trail.generations if each.finished)
        return b"".join((*lines.values(), *unseen, self.saved.lines(finished)))

    def changed(self, base: str) -> None:
        """Note that other files lie in a folder now, which is to be written down."""
        self._lines.pop(base, None)
        self._moved()

    def note(self, base: str, seen: Survey) -> Fresh:
        """Take what lies in a folder for what is known; returns what is new there, or was and is not decided yet."""
        folder = self._folders.by_base[base]
        first = not folder.looked_at
        if not seen.there:  # it is away: what lay there is known on, for when it comes back
            folder.changed = seen.changed
            return Fresh({}, folder.looked_at, listed=not first, first=first)
        before, listed = FolderLook(folder.looked_at, frozenset(self._folders.known(base))), True
        if first:
            listed = base in self.saved.folders
            before = self.saved.folders.pop(base, FolderLook(self.saved.written_at, frozenset()))
        files = {
            name: identity
            for name, (identity, born) in seen.rotated.items()
            if (identity.inode, born) not in before.files and not self._table.has(identity, born)
        }
        new = Fresh(files, before.looked_at, listed, first)
        older = self._undecided.get(base, new)
        undecided = {*older.files.values(), *files.values()}
        left = {name: identity for name, (identity, _) in seen.rotated.items() if identity in undecided}
        all_new = self._undecided[base] = older._replace(files=left)
        old = {member.who: member for member in folder.names.values()}
        folder.names = {}
        for name, who in seen.rotated.items():
            member = folder.names[name] = old.get(who) or Member(base, name, who)
            member.move(base, name)
        folder.looked_at, folder.changed = seen.looked_at, seen.changed
        # not to be written before it is decided who follows what: the rows of new files are what a crash needs first
        self._lines.pop(base, None)
        return new if all_new.first else all_new

    def awaiting(self, base: str, path: str) -> Fresh | None:
        """Return what was new at the first survey of a folder and may be the past of a path of an earlier run."""
        fresh = self._undecided.get(base)
        is_awaited = self._table.live(path) is None and self.saved.knew(path)
        return fresh if fresh is not None and fresh.first and is_awaited else None

    def decided(self) -> None:
        """Note that it is decided what is done with all that was new.

        What was at the first survey of a folder is kept: until all paths that are there were searched for, and for as
        long as it may be of one that is not there yet.
        """
        for base, fresh in list(self._undecided.items()):
            if fresh.first and not self.searched:
                continue
            left = {
                name: identity
                for name, identity in fresh.files.items()
                if any(
                    self.awaiting(base, self.leads.get((base, before), base + before))
                    for before in bases(name, self._archive_suffix)
                )
            }
            if left:
                self._undecided[base] = fresh._replace(files=left)
            else:
                del self._undecided[base]
            if left != fresh.files or not left:
                self.changed(base)

    def has_arrived(self, key: Key) -> bool:
        """Return whether a file was not there at the last look of an earlier run."""
        fresh = self._undecided.get(key[0])
        return fresh is not None and fresh.listed and key[1] in fresh.files


INTERVAL: Final = 0.5
"""Seconds between two writes while positions move."""
LONGEST_INTERVAL: Final = 10.0
SHARE: Final = 20
"""Writing may take one part in this many of the time."""
AFTER_ERROR: Final = 5.0


class Checkpoints:
    """Keeps `pos_file`; without one it keeps nothing."""

    def __init__(self, path: str | None, host: Host, written: Callable[[], tuple[list[Entry], bytes]]) -> None:
        self.file = PositionFile(path or os.devnull, host.files)
        self._host = host
        self._written = written
        self.due = asyncio.Event()
        """Set while there is something to write."""
        self._writing = threading.Lock()
        self._newest = 0
        self._failing = False
        self._failures = host.counter("position_write_errors", "Writes of pos_file that failed.")

    async def open(self) -> None:
        """Keep other processes from using the file.

        Raises:
            LogpipeError: another process has it.
        """
        try:
            await self._host.in_thread(self.file.open)
        except OSError as error:
            self._say_failure(error)

    async def load(self) -> Loaded:
        """Return what was written by an earlier run, as soon as it can be read.

        To go on without it would be to read what was delivered once more, or to pass over what was not.
        """
        is_first, loaded = True, None
        while loaded is None:
            try:
                loaded = await self._host.in_thread(self.file.load)
            except OSError as error:
                if is_first:
                    text = "pos_file %s cannot be read (%s): no file is followed until it can be, trying again"
                    self._host.log.error(text, self.file.path, error.strerror)  # noqa: TRY400 - the message says it all
                is_first = False
                await self._host.clock.sleep(AFTER_ERROR)
        for complaint in loaded.complaints:
            self._host.log.warning("%s", complaint)
        return loaded

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self.due.wait()
            began = self._host.clock.monotonic()
            await self.save()
            pause = min(LONGEST_INTERVAL, max(INTERVAL, SHARE * (self._host.clock.monotonic() - began)))
            await self._host.clock.sleep(AFTER_ERROR if self._failing else pause)

    async def save(self) -> None:
        """Write what is settled now; what cannot be written is kept in memory and tried again."""
        self.due.clear()
        if self.file.forgets:
            return
        self._newest += 1
        try:
            await self._host.in_thread(self._write, self._newest, *self._written())
        except asyncio.CancelledError:
            self.due.set()  # it may never have had a thread
            raise
        except (OSError, LogpipeError) as error:
            self.due.set()
            self._failures.add(1)
            self._say_failure(error)
        else:
            if self._failing:
                self._failing = False
                self._host.log.info("pos_file %s can be written again", self.file.path)

    def _write(self, number: int, entries: list[Entry], looks: bytes) -> None:
        with self._writing:
            if number == self._newest:  # what nobody waits for any more may come to a thread after what is newer
                self.file.save(entries, looks)

    def _say_failure(self, error: Exception) -> None:
        if self._failing:
            return
        self._failing = True
        text = "pos_file %s cannot be written: %s. Events go on; after a crash those since the last write come twice"
        self._host.log.warning(text, self.file.path, error)

    async def stop(self) -> None:
        """Write a last time and let the file go; safe to call twice, and without `load`."""
        if self.due.is_set():
            await self.save()
        await self._host.in_thread(self.file.close)
