"""Where chunks go that no output takes: files in the backup folder, so that giving up loses nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgpack

from logpipe.plugin import Chunk, Host

# compat: plugin/output.rb replaces blanks and these characters in a plugin's id
_UNSAFE = re.compile(r'[ \t"/\\:;|*<>?]')


class Backup:
    """Writes given-up chunks to `(root_dir | $FLUENT_BACKUP_DIR | /tmp/fluent)/backup/workerN/PLUGIN_ID/`."""

    def __init__(self, root_dir: Path | None, worker_id: int) -> None:
        base = root_dir or Path(os.environ.get("FLUENT_BACKUP_DIR") or "/tmp/fluent")  # noqa: S108 - fluentd's folder
        self._folder = base / "backup" / f"worker{worker_id}"

    async def save(self, chunk: Chunk, host: Host, error: Exception) -> None:
        """Write a chunk to a file of its own and say where; an error that prevents it is logged, not raised."""
        path = self._folder / _UNSAFE.sub("_", host.plugin_id) / f"{chunk.id}.log"
        try:
            await host.in_thread(_write, path, _content(chunk))
        except OSError as problem:
            lost = "chunk %s with %d records is lost: it cannot be saved to %s: %s"
            host.log.error(lost, chunk.id, len(chunk), path, problem)  # noqa: TRY400 - the errno says it all
        else:
            host.log.error("bad chunk is moved to %s records=%d error=%r", path, len(chunk), str(error))


def _content(chunk: Chunk) -> bytes:
    """Return the payloads as they are, or each event as fluentd stores it: msgpack of [time, record]."""
    payloads = b"".join(chunk.payloads())
    if payloads:
        return payloads
    return b"".join(_pack(time, record) for batch in chunk.batches() for time, record in batch.events())


def _pack(time: int, record: dict[str, Any]) -> bytes:
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    # fluentd's EventTime: extension type 0, two big-endian 32-bit numbers
    stamp = msgpack.ExtType(0, seconds.to_bytes(4, "big") + nanoseconds.to_bytes(4, "big"))
    packed: bytes = msgpack.packb([stamp, record], default=repr, unicode_errors="surrogatepass")
    return packed


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole as soon as it has its name."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
