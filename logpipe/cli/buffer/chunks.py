"""The chunks of `@type file` and `@type file_single`, written by logpipe or by fluentd."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from logpipe.builtin.buffers.file.chunk_files import Found, find_in
from logpipe.builtin.buffers.file.fluentd_export import export
from logpipe.builtin.buffers.file.inspection import read, summarize, verify
from logpipe.builtin.buffers.file.location import Place
from logpipe.builtin.buffers.file.lock import Lock, holder
from logpipe.builtin.buffers.file.quarantine import CORRUPT
from logpipe.builtin.buffers.file.repair import repair
from logpipe.builtin.buffers.file.salvage import Damage
from logpipe.cli.buffer.store import Finding, Item, Row, Store
from logpipe.durable import Disk
from logpipe.engine.dead_letters.letters import Culprit, Letter
from logpipe.errors import LogpipeError
from logpipe.event import EventBatch
from logpipe.files import Files
from logpipe.plugin import ChunkKey


class ChunkStore(Store):
    """The chunks of one place, or some of them."""

    def __init__(self, place: Place, only: Path | None = None) -> None:
        self.folder = place.folder
        self._place = place
        self._only = only
        self._lock = Lock(place.lock_path, Disk(Files(), "buffer"))

    @property
    def notes(self) -> list[str]:
        """The process that uses them, and the number of reports in `corrupt`."""
        notes: list[str] = []
        if (process := holder(self._place.lock_path)) is not None:
            notes.append(f"in use by process {process}")
        reports = sorted((self.folder / CORRUPT).glob(f"{self._place.prefix}*.json"))
        if reports:
            notes.append(f"{len(reports)} reports of damage in {self.folder / CORRUPT}")
        return notes

    def items(self) -> list[Item]:
        """Return the chunks, oldest first; empty files are not chunks yet."""
        found = sorted((each for each in find_in(self._place) if each.size), key=lambda each: each.chunk_id)
        newest: dict[ChunkKey, str] = {}
        for each in found:
            with suppress(FileNotFoundError):
                if each.fluentd is None:
                    newest[summarize(each).key] = each.chunk_id
        staged = set(newest.values())
        return [
            _ChunkItem(each, self._place, is_staged=each.chunk_id in staged)
            for each in found
            if self._only is None or each.path.name == self._only.name
        ]

    def lock(self) -> None:
        """Lock the buffer's folder against other processes."""
        self._lock.take()

    def unlock(self) -> None:
        """Release the lock."""
        self._lock.release()


class _ChunkItem(Item):
    def __init__(self, found: Found, place: Place, *, is_staged: bool) -> None:
        self.item_id = found.chunk_id
        self.path = found.path
        self._found = found
        self._place = place
        self._is_staged = is_staged if found.fluentd is None else found.fluentd.is_staged

    def row(self) -> Row:
        seen = summarize(self._found)
        timekey, tag, variables, _ = seen.key
        shared = {"timekey": timekey, "tag": tag, **dict(variables)}
        notes = ["fluentd's"] if self._found.fluentd is not None else []
        notes += ["encoded"] if seen.encoded else []
        return Row(
            self.item_id,
            "staged" if self._is_staged and not seen.problem else "queued",
            seen.tag,
            {name: value for name, value in shared.items() if value is not None or name not in {"timekey", "tag"}},
            seen.count,
            self._found.size,
            seen.created,
            seen.problem,
            ", ".join(notes),
        )

    def read(self) -> Iterator[EventBatch | bytes]:
        return read(self._found)

    def letters(self) -> Iterator[Letter]:
        seen, now = summarize(self._found), time.time_ns()
        nobody = Culprit("", "", "")
        for content in self.read():
            if isinstance(content, bytes):
                yield Letter(now, nobody, "", "", seen.tag, payload=content, chunk_id=self.item_id, key=seen.key)
            else:
                for event in content.events():
                    yield Letter(now, nobody, "", "", content.tag, *event)

    def export(self, folder: Path) -> tuple[Path, int] | None:
        if self._found.fluentd is not None:
            return None
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (self.path, self.path.parent)]
        return export(self._found, self._place, folder, Disk(Files(*modes), "export"))

    def remove(self) -> None:
        self.path.unlink()
        self.path.with_name(f"{self.path.name}.meta").unlink(missing_ok=True)

    def verify(self) -> Finding:
        count, damages, unreadable = verify(self._found)
        if unreadable:
            return Finding(0, [f"cannot be read: {unreadable}"])
        return Finding(count, list(map(_in_words, damages)))

    def repair(self) -> str:
        if self._found.fluentd is not None:
            raise LogpipeError(
                "fluentd wrote it: logpipe delivers what is intact and keeps the file in corrupt/ when it is started "
                "on the folder"
            )
        saved, moved = repair(self._found)
        return f"{saved} records kept, what is damaged moved to {moved}"


def _in_words(damage: Damage) -> str:
    size = damage.end - damage.start
    lost = "an unknown number of records" if damage.lost is None else f"{damage.lost} records"
    saved = f", {damage.saved} in it are intact" if damage.saved else ""
    return f"bytes {damage.start} to {damage.end} ({size}) are damaged: {lost} lost{saved}"
