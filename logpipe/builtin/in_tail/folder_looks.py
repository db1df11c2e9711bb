"""What lay in folders at the last look, in this run and the one before: what is new there, and what is written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from logpipe.builtin.in_tail.folders import Folder, Folders, Key, Lying
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.look import Survey
from logpipe.builtin.in_tail.rotation_names import bases
from logpipe.builtin.in_tail.saved import FolderLook, Saved, folder_line
from logpipe.builtin.in_tail.table import Table
from logpipe.builtin.position_file import Entry, Loaded, entry


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
        self.saved = Saved(Loaded([], [], 0.0))
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
                files = self._folders.known(base, but=undecided.files if undecided is not None else ())
                since = undecided.since if undecided is not None else folder.looked_at
                looked_at = min([since, *(born for _, born in files & owed)])
                line = folder_line(base, FolderLook(looked_at, frozenset(files - owed)))
                (self._lines if files.isdisjoint(owed) else lines)[base] = line
        lines |= self._lines
        unseen = (folder_line(base, look) for base, look in self.saved.folders.items() if base not in lines)
        finished = (each for trail in self._table.by_path.values() for each in trail.finished_rows())
        return b"".join((*lines.values(), *unseen, self.saved.lines(finished)))

    def changed(self, base: str) -> None:
        """Note that other files lie in a folder now."""
        self._lines.pop(base, None)
        self._moved()

    def note(self, base: str, seen: Survey) -> Fresh:
        """Take what lies in a folder for what is known of it; returns what is new there since the survey before."""
        folder = self._folders.at(base)
        first, since, listed = not folder.looked_at, folder.looked_at, True
        known = self._folders.known(base)
        if first:
            earlier = self.saved.folders.pop(base, None)
            since, listed = (earlier.looked_at, True) if earlier else (self.saved.written_at, False)
            known = set(earlier.files) if earlier is not None else set()
        files = {
            name: identity
            for name, (identity, born) in seen.rotated.items()
            if (identity.inode, born) not in known and not self._table.has(identity, born)
        }
        new = Fresh(files, since, listed, first)
        before = self._undecided.get(base, new)
        undecided = {*before.files.values(), *files.values()}
        self._undecided[base] = before._replace(
            files={name: identity for name, (identity, _) in seen.rotated.items() if identity in undecided}
        )
        self._adopt(base, folder, seen)
        return new

    def awaiting(self, base: str, path: str) -> Fresh | None:
        """Return what was new at the first survey of a folder and may be the past of a path of an earlier run."""
        fresh = self._undecided.get(base)
        is_awaited = self._table.live(path) is None and self.saved.knew(path)
        return fresh if fresh is not None and fresh.first and is_awaited else None

    def _adopt(self, base: str, folder: Folder, seen: Survey) -> None:
        old = {lying.who: lying for lying in folder.names.values()}
        folder.names = {}
        for name, who in seen.rotated.items():
            lying = folder.names[name] = old.get(who) or Lying(base, name, who)
            lying.move(base, name)
        folder.looked_at, folder.changed = seen.looked_at, seen.changed
        # not to be written before it is decided who follows what: the rows of new files are what a crash needs first
        self._lines.pop(base, None)

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
