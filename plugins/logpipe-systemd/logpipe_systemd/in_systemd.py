"""Reads the journal of systemd. Settings and rules: fluent-plugin-systemd 1.0.5, in_systemd.rb."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from logpipe import EventBatch, Input, InputHost, InvalidSetting, Options, Size, param, section
from logpipe.durable import Disk
from logpipe.storage import Storage, StorageOptions
from logpipe_systemd.cursors import Cursors
from logpipe_systemd.entries import EntryOptions, shape_of
from logpipe_systemd.library import JournalError, library
from logpipe_systemd.reader import Batch, Reader

_CURSOR: Final = "journal"
"""What the plugin calls it in its storage."""
_PAUSE: Final = 1.0
"""Seconds after which the journal is looked at without a sign of something new, or opened again."""
_FIELD: Final = re.compile(r"_?[A-Z0-9][A-Z0-9_]*")


def _matches(text: str) -> list[bytes | None]:
    """Return the terms of matches, None between those of one hash and the next: "or".

    Raises:
        ValueError: it is no JSON, or what it holds cannot be matched.
    """
    try:
        found: Any = json.loads(text) if text else []
    except ValueError as problem:
        raise ValueError(f'"{text[:60]}" is not JSON: {problem}') from None
    hashes = [found] if isinstance(found, dict) else found
    if not isinstance(hashes, list) or not all(isinstance(each, dict) for each in hashes):
        raise ValueError(f'"{text[:60]}" is no list of hashes: write [{{"_SYSTEMD_UNIT": "kubelet.service"}}]')
    terms: list[bytes | None] = []
    for fields in filter(None, hashes):
        terms += [None] if terms else []
        for name, value in fields.items():
            if not _FIELD.fullmatch(name.upper()):
                raise ValueError(f'"{name}" cannot be matched: names of fields have letters, digits and _')
            values = value if isinstance(value, list) else [value]
            if not values or any(isinstance(each, (dict, list)) or each is None for each in values):
                raise ValueError(f'"{name}" is to be a text, or one of a list of texts')
            terms += [f"{name.upper()}={_text(each)}".encode() for each in values]
    return terms


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class SystemdOptions(Options):
    """Settings of `<source> @type systemd`."""

    tag: str = param("Tag of the events.")
    path: str = param(
        "Folder of the journal; its files and those in the folders below it are read.", default="/var/log/journal"
    )
    matches: list[bytes | None] | None = param(
        'Which entries are read: `[{"_SYSTEMD_UNIT": "a.service", "PRIORITY": [3, 4]}, {"_PID": 1}]`. All fields of a '
        "hash must fit, one of a list of values, and one of the hashes.",
        default=None,
        convert=_matches,
    )
    filters: list[bytes | None] = param(
        "What `matches` was called.", default="[]", convert=_matches, deprecated="write matches"
    )
    read_from_head: bool = param(
        "Whether reading begins with the oldest entry, where no place is known; else with the last one.", default=False
    )
    strip_underscores: bool = param(
        "What `fields_strip_underscores` was before version 1.",
        default=False,
        deprecated="write fields_strip_underscores in <entry>",
    )
    pos_file: str | None = param(
        "Where the place was kept before version 1: it is read where `<storage>` has none, and kept up to date where "
        "`<storage>` has no file.",
        default=None,
        deprecated="write <storage> with a path; the place is taken over while both are written",
    )
    max_entry_size: Size = param(
        "How many bytes of an entry's fields are read, of those of journald and of the others each: what is longer "
        "is cut, and what is behind it left out.",
        default="4m",
    )
    storage: StorageOptions | None = section("Where the place is kept.")
    entry: EntryOptions | None = section("Which fields events have, and what they are called.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a limit that leaves nothing."""
        if self.max_entry_size < 1:
            yield InvalidSetting("max_entry_size must be 1 or more", param="max_entry_size")


class SystemdInput(Input[SystemdOptions], type="systemd"):
    """Emits the entries of a journal, with the times at which journald received them.

    The place is the cursor of the last entry before which nothing is owed to any output, so that a kill -9 loses none.
    Where the journal is not there it is waited for. Of an entry or a file that is damaged the log tells, and the
    others go on.
    """

    keeps_tag = True

    def __init__(self, options: SystemdOptions, host: InputHost) -> None:
        super().__init__(options, host)
        matches = options.matches if options.matches is not None else options.filters
        shape = shape_of(options.entry or EntryOptions(), is_entry=True, strips=options.strip_underscores)
        self._reader = Reader(options.path, matches, options.max_entry_size, shape)
        self._storage = Storage(options.storage, host, usage="positions")
        self._pos_file = Path(options.pos_file) if options.pos_file else None
        if self._pos_file is not None and not self._storage.is_kept:
            host.claim("position file", str(self._pos_file))
        self._disk = Disk(host.files, "cursor")
        self._cursors = Cursors(self._has_moved)
        self._moved = asyncio.Event()
        self._saved = ""
        self._accepted = ""
        """The cursor of the last entry that was accepted; "" where there is none."""
        self._from_head = options.read_from_head
        self._wakes = asyncio.Event()
        self._is_quiet = False
        self._problem = ""
        self._damaged = host.counter("damaged_entries", "Entries that could not be read whole.")
        host.gauge("cut_fields", lambda: self._reader.cut)

    async def start(self) -> None:
        """Load the library, and read where the journal was read up to.

        Raises:
            LogpipeError: the library cannot be loaded, or the file of `<storage>` cannot be used.
            OSError: a file cannot be read.
        """
        await self.host.in_thread(library)
        await self._storage.start()
        found = self._storage.get(_CURSOR)
        if not found and self._pos_file is not None:
            found = await self.host.in_thread(_content, self._pos_file)
        self._accepted = found if isinstance(found, str) else ""
        if not self._storage.is_kept and self._pos_file is None:
            self.host.log.warning(
                "the place in the journal is not kept over a restart: write <storage> with a path, or an @id and "
                "<system> root_dir"
            )
        self.host.start_task(self._save_what_moves(), name="cursor")

    async def stop(self) -> None:
        """Save the place, and let go of the journal."""
        self._reader.end()
        await self._save()
        await self._storage.stop()

    async def run(self) -> None:
        """Emit entries until the worker stops.

        Raises:
            Exception: a batch was not accepted; called again, it begins with that one.
        """
        try:
            while not self._is_quiet:
                try:
                    await self._open()
                    await self._follow()
                except JournalError as problem:
                    self._tell(f"{problem}; retrying in {_PAUSE:g}s")
                    await self._rest()
        finally:
            self._reader.end() if self._is_quiet else await self._reader.close()

    async def quiesce(self) -> None:
        """Read nothing more."""
        self._is_quiet = True
        self._wakes.set()

    async def _open(self) -> None:
        where = "head" if self._from_head else "tail"
        if not await self._reader.open(self._accepted, from_head=self._from_head):
            self.host.log.warning(
                "could not seek to cursor %s of the journal, falling back to reading from %s", self._accepted, where
            )
            self._accepted = ""
        unreadable = await self._reader.unreadable()
        if unreadable:
            more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
            hint = "give the user of logpipe the group systemd-journal, or install a newer libsystemd"
            self.host.log.warning("a file of the journal is not read: %s%s: %s", unreadable[0], more, hint)

    async def _follow(self) -> None:
        """Emit what there is and what comes, until the journal must be opened anew."""
        while not self._is_quiet:
            batch = await self._reader.read()
            if batch.cursor:
                await self._emit(batch)
            if not batch.is_last:
                continue
            self._problem = ""
            # what comes to a journal that was empty is new
            self._from_head = self._from_head or not self._accepted
            if await self._reader.wait(_PAUSE, self._wakes, self.host.clock):
                return
            if not self._is_quiet:
                self._wakes.clear()

    async def _emit(self, batch: Batch) -> None:
        tag, host, damaged = self.options.tag, self.host, batch.damaged
        receipt = self._cursors.expect(batch.cursor)
        try:
            if batch.times:
                await host.emit(EventBatch(tag, batch.times, batch.records, receipt))
        except BaseException:
            self._cursors.refuse()
            raise
        if damaged:
            self._damaged.add(len(damaged))
            now = host.clock.now()
            for time, record, error in damaged:
                host.emit_error(tag, time or now, record, error, receipt=receipt)
        self._accepted = batch.cursor
        receipt.release()

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self.host.log.warning("%s", problem)
            self._problem = problem

    async def _rest(self) -> None:
        try:
            async with self.host.clock.timeout(_PAUSE):
                await self._wakes.wait()
        except TimeoutError:
            pass

    def _has_moved(self) -> None:
        self._moved.set()

    async def _save_what_moves(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                await self._save()
            except OSError as problem:
                self.host.log.error("the place in the journal cannot be saved: %s", problem)  # noqa: TRY400 - no bug
                await self.host.clock.sleep(_PAUSE)
                self._moved.set()

    async def _save(self) -> None:
        cursor = self._cursors.settled
        if not cursor or cursor == self._saved:
            return
        await self._storage.put(_CURSOR, cursor)
        if self._pos_file is not None and not self._storage.is_kept:
            await self.host.in_thread(self._write, self._pos_file, cursor)
        self._saved = cursor

    def _write(self, path: Path, cursor: str) -> None:
        self._disk.make_folder(path.parent)
        self._disk.replace(path, [cursor.encode()])


def _content(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
