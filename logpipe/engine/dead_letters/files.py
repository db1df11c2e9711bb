"""Where events go that nothing takes: files of dead letters, so that giving up loses nothing.

They lie in `(root_dir | $FLUENT_BACKUP_DIR | /tmp/fluent)/backup/workerN/PLUGIN_ID/`, where fluentd saves bad chunks: a
file for each chunk that was given up, and `events-….jsonl` for events that went to no `@ERROR`. letters.py says what a
line holds; `logpipe buffer` reads, checks and replays them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from logpipe.durable import Disk
from logpipe.engine.dead_letters.letters import Culprit, Letter, encode
from logpipe.engine.syncing import FIRST_BACK_OFF, LONGEST_BACK_OFF
from logpipe.plugin import Chunk, Clock, Files, Host

SUFFIX: Final = ".jsonl"
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
    """

    def __init__(self, base: Path, worker_id: int, clock: Clock, files: Files | None = None) -> None:
        self.base = base
        self.folder_of_all = base / "backup" / f"worker{worker_id}"
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
        if path is None or _size(path) >= MOST_BYTES:
            stamp = datetime.fromtimestamp(self._clock.now() / 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%S")
            path = folder / f"events-{stamp}-{os.getpid()}{SUFFIX}"
        self._prepare(folder)
        self._disk.append_shared(path, lines)
        self._paths[folder] = path
        return path

    def _write_whole(self, path: Path, lines: Iterable[bytes]) -> None:
        """Write a file that is whole as soon as it has its name."""
        self._prepare(path.parent)
        self._disk.replace(path, lines)

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
