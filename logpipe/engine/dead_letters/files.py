"""The files of dead letters of a worker: one for each chunk that was given up, and shared ones for single events."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from logpipe.durable import Disk
from logpipe.engine.dead_letters.letters import Culprit, Letter, encode
from logpipe.engine.dead_letters.limits import SUFFIX as SUFFIX  # noqa: PLC0414 - exported
from logpipe.engine.dead_letters.limits import Keeper, Limits, Log
from logpipe.engine.syncing import FIRST_BACK_OFF, LONGEST_BACK_OFF
from logpipe.plugin import Chunk, Clock, Files, Host

MOST_BYTES: Final = 64 << 20
"""Size from which on a plugin's events go to a new file."""

# compat: plugin/output.rb replaces blanks and these characters in a plugin's id
_UNSAFE: Final = re.compile(r'[ \t"/\\:;|*<>?]')


def default_base() -> Path:
    """Return the folder to use without a `root_dir`."""
    return Path(os.environ.get("FLUENT_BACKUP_DIR") or "/tmp/fluent")  # noqa: S108 - fluentd's folder


class DeadLetterFiles:
    """Writes dead letters.

    Args:
        base: the folder that `backup` lies in.
        worker_id: of this worker.
        clock: says when a letter was written.
        files: makes files and folders.
        limits: how many are kept, and how long.
        log: told of those that are deleted.
    """

    def __init__(
        self,
        base: Path,
        worker_id: int,
        clock: Clock,
        files: Files | None = None,
        *,
        limits: Limits = Limits(),  # noqa: B008 - a tuple
        log: Log | None = None,
    ) -> None:
        self.base = base
        self.folder_of_all = base / "backup" / f"worker{worker_id}"
        self.keeper = Keeper(self.folder_of_all, limits, clock, log or logging.getLogger("logpipe"))
        self._clock = clock
        self._disk = Disk(files or Files(), "letters")
        self._paths: dict[Path, Path] = {}

    def folder(self, plugin_id: str) -> Path:
        """Return the folder of a plugin's letters."""
        return self.folder_of_all / (_UNSAFE.sub("_", plugin_id).lstrip(".") or "_")

    async def save(self, chunk: Chunk, host: Host, error: Exception, *, culprit: Culprit, encoded: bool) -> None:
        """Write a chunk's events to a file of their own and say where; tries again for as long as that fails."""
        path = self.folder(host.plugin_id) / f"{chunk.id}{SUFFIX}"
        back_off = FIRST_BACK_OFF
        while True:
            try:
                await host.in_thread(self._write_whole, path, self._letters(chunk, culprit, error, encoded=encoded))
            except Exception as problem:  # noqa: BLE001 - whatever keeps it from being saved, it must not be lost
                host.log.error(  # noqa: TRY400 - the message says it all
                    "chunk %s with %d records cannot be saved to %s: %s. It is kept, and tried again in %.0f seconds: "
                    "see to it that the folder can be written to",
                    chunk.id,
                    len(chunk),
                    path,
                    problem,
                    back_off,
                )
                await host.clock.sleep(back_off)
                back_off = min(LONGEST_BACK_OFF, back_off * 2)
            else:
                host.log.error(
                    "bad chunk is moved to %s records=%d error=%r. To deliver it again: logpipe buffer replay %s -c …",
                    path,
                    len(chunk),
                    str(error),
                    path.parent,
                )
                return

    def _letters(self, chunk: Chunk, culprit: Culprit, error: Exception, *, encoded: bool) -> Iterator[bytes]:
        at, reason, kind = self._clock.now(), str(error), type(error).__name__

        def letter(tag: str | None, time: int, record: dict[str, object] | None, payload: bytes | None) -> bytes:
            return encode(Letter(at, culprit, reason, kind, tag, time, record, payload, chunk.id, chunk.key))

        if encoded:
            return (letter(chunk.key.tag, 0, None, payload) for payload in chunk.payloads())
        return (letter(batch.tag, *event, None) for batch in chunk.batches() for event in batch.events())

    def append(self, lines: list[bytes], plugin_id: str) -> Path:
        """Write letters' lines to a plugin's file, which is returned when they are past a power cut; blocks.

        Raises:
            OSError: they are not.
        """
        folder = self.folder(plugin_id)
        path = self._paths.get(folder)
        if path is None or _size(path) >= min(MOST_BYTES, self.keeper.limit // 4):
            path = self._new_path(folder)
        self._prepare(folder)
        self._disk.append_shared(path, lines)
        self._paths[folder] = path
        self.keeper.wrote(sum(map(len, lines)))
        return path

    def _new_path(self, folder: Path) -> Path:
        stamp = datetime.fromtimestamp(self._clock.now() / 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%S")
        for number in itertools.count():
            path = folder / f"events-{stamp}-{os.getpid()}{f'-{number}' if number else ''}{SUFFIX}"
            if not path.exists():
                break
        return path

    def _write_whole(self, path: Path, lines: Iterable[bytes]) -> None:
        """Write a file that is whole as soon as it has its name."""
        self._prepare(path.parent)
        self._disk.replace(path, lines)
        self.keeper.wrote(_size(path))

    def _prepare(self, folder: Path) -> None:
        self._disk.make_folder(folder)
        owner = self.base.stat().st_uid
        if owner not in {0, os.geteuid()}:
            raise PermissionError(
                f"{self.base} belongs to user {owner}, who could read or replace what is written there"
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return MOST_BYTES  # it was taken away: replayed, or cleaned up
