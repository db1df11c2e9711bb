"""Chunks that fluentd has given up, as stores of `logpipe buffer`: its backups, and the files of a `<secondary>`.

Both hold what was in the chunk and nothing about it: no tag, no key, no reason. A backup's folder is named after its
output (plugin/buffer.rb, `backup`); the file of a `<secondary>` has any name, so that somebody has to say what it is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from logpipe.builtin.buffers.file.fluentd_content import Content, NotReadableError
from logpipe.builtin.buffers.file.quarantine import CORRUPT
from logpipe.builtin.forward_protocol.encoding import pack_event
from logpipe.cli.buffer.claiming import REPLAYING, ClaimedFile
from logpipe.cli.buffer.store import Finding, Item, Row, Store
from logpipe.durable import Disk
from logpipe.engine.dead_letters.letters import Culprit, Letter
from logpipe.errors import LogpipeError
from logpipe.event import EventBatch
from logpipe.files import Files

_BACKUP: Final = re.compile(rf"[0-9a-f]{{32}}\.log(?:{re.escape(REPLAYING)})?")
_WORKER: Final = re.compile(r"worker\d+")
_LIMIT: Final = 1 << 40
"""Decompressed bytes: no delivery waits for the result."""


def backup_stores(folder: Path) -> list[DumpStore]:
    """Return the store of a folder where fluentd keeps an output's backups; none where it is no such, or empty."""
    if folder.parent.parent.name != "backup" or not _WORKER.fullmatch(folder.parent.name):
        return []
    paths = [path for path in folder.iterdir() if _BACKUP.fullmatch(path.name) and path.is_file()]
    return [DumpStore(folder, paths, plugin_id=folder.name)] if paths else []


class DumpStore(Store):
    """Some files with the content of a chunk each.

    Args:
        folder: what they are in.
        paths: the files.
        plugin_id: of the output that they were for; "" where nobody can tell.
    """

    def __init__(self, folder: Path, paths: list[Path], *, plugin_id: str = "") -> None:
        self.folder = folder
        self._paths = paths
        self._plugin_id = plugin_id

    @property
    def notes(self) -> list[str]:
        """How to deliver them."""
        return ["given up by fluentd: `logpipe buffer replay` delivers them, with --tag, since fluentd keeps none"]

    def items(self) -> list[Item]:
        """Return the files, oldest first."""
        found: list[tuple[int, Item]] = []
        for path in self._paths:
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, _Dump(path, self._plugin_id)))
        return [item for _, item in sorted(found, key=lambda each: each[0])]


class _Dump(ClaimedFile):
    def __init__(self, path: Path, plugin_id: str) -> None:
        name = path.name.removesuffix(REPLAYING)
        super().__init__(path, name.removesuffix(".log") if plugin_id else name)
        self._plugin_id = plugin_id

    def row(self) -> Row:
        seen, status = self.verify(), self.path.stat()
        note = f"fluentd's, of {self._plugin_id}" if self._plugin_id else "fluentd's"
        problem = "; ".join(seen.damages)
        return Row(self.item_id, self.state, "", {}, seen.records, status.st_size, status.st_mtime_ns, problem, note)

    def read(self) -> Iterator[EventBatch | bytes]:
        return _read(self._content())

    def letters(self) -> Iterator[Letter]:
        now, culprit = time.time_ns(), Culprit("output", "", self._plugin_id)
        for content in self.read():
            if isinstance(content, bytes):
                yield Letter(now, culprit, "", "", payload=content)
            else:
                for event in content.events():
                    yield Letter(now, culprit, "", "", None, *event)

    def verify(self) -> Finding:
        try:
            content = self._content()
            count = sum(1 if isinstance(each, bytes) else len(each) for each in _read(content))
        except LogpipeError as problem:
            return Finding(0, [str(problem)])
        return Finding(count, ["some of it is no event"] if content.damages else [])

    def repair(self) -> str:
        self.claim()
        try:
            disk = Disk(Files(self.path.stat().st_mode & 0o7777), "letters")
            folder = self.path.parent / CORRUPT
            disk.make_folder(folder)
            kept = folder / self.path.name.removesuffix(REPLAYING)
            with suppress(FileExistsError):  # from a repair that was interrupted
                kept.hardlink_to(self.path)
            count = self.verify().records
            disk.replace(self.path, map(_packed, self.read()))
        finally:
            self.give_back()
        return f"{count} records kept, the file as it was in {kept}"

    def _content(self) -> Content:
        try:
            return Content(self.path, limit=_LIMIT)
        except NotReadableError as problem:
            raise LogpipeError(str(problem)) from problem


def _read(content: Content) -> Iterator[EventBatch | bytes]:
    if not content.has_events:
        yield from content.lines()
        return
    for events in content.events():
        yield EventBatch("", [time for time, _ in events], [record for _, record in events])


def _packed(content: EventBatch | bytes) -> bytes:
    return content if isinstance(content, bytes) else b"".join(pack_event(*event) for event in content.events())
