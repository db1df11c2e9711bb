"""A buffer's folder and a position file as fluentd takes them up when it starts.

The rules are those of buf_file.rb, buf_file_single.rb and in_tail/position_file.rb, written anew: they judge what
logpipe writes for fluentd.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgpack

SECOND = 1_000_000_000
_STATE = re.compile(rb"\.(b|q)([0-9a-f]+)\.[^/]*\Z")
_SINGLE = re.compile(rb"\.(b|q)([0-9a-f]+)\.buf\Z")
_ROW = re.compile(rb"([^\t]+)\t([0-9a-fA-F]+)\t([0-9a-fA-F]+)")
_UNWATCHED = 0xFFFF_FFFF_FFFF_FFFF


class Resumed(NamedTuple):
    """One chunk that fluentd has found."""

    id: bytes
    queued: bool
    metadata: dict[str, Any]
    content: bytes
    size: int | None
    """Its records by its metadata; file_single has none."""

    @property
    def events(self) -> list[tuple[int, Any]]:
        """The events: nanoseconds and record; a plain integer is seconds."""
        unpacker = msgpack.Unpacker(ext_hook=_event_time, strict_map_key=False, unicode_errors="surrogateescape")
        unpacker.feed(self.content)
        return [(time if isinstance(time, _EventTime) else time * SECOND, record) for time, record in unpacker]


class _EventTime(int):
    pass


def _event_time(code: int, data: bytes) -> Any:
    assert (code, len(data)) == (0, 8)
    return _EventTime(int.from_bytes(data[:4], "big") * SECOND + int.from_bytes(data[4:], "big"))


def resume_file(folder: Path, pattern: str = "buffer.*.log", *, compress: str = "text") -> list[Resumed]:
    """Return what `@type file` resumes, in the order of its queue."""
    found: list[Resumed] = []
    for path in folder.glob(pattern):
        name = _STATE.search(bytes(path))
        if name is None:
            continue
        data = path.with_name(f"{path.name}.meta").read_bytes()
        assert data[:2] == b"\xc1\x00"
        meta = msgpack.unpackb(data[6 : 6 + int.from_bytes(data[2:6], "big")])
        assert meta["c"] > 0
        assert meta["m"] > 0
        key = {name: meta[name] for name in ("timekey", "tag", "variables", "seq")}
        assert path.stat().st_size, "fluentd takes an empty chunk for a broken one"
        found.append(Resumed(meta["id"], name[1] == b"q", key, _content(path, compress), meta["s"]))
    return sorted(found, key=lambda chunk: chunk.id)


def resume_single(folder: Path, pattern: str = "fsb.*.buf", *, field: str = "") -> list[Resumed]:
    """Return what `@type file_single` resumes; `field` is its chunk key where that is not the tag."""
    found: list[Resumed] = []
    for path in folder.glob(pattern):
        name = _SINGLE.search(path.name.encode())
        if name is None:
            continue
        key = unquote_to_bytes(path.name.encode()[4 : name.start()]).decode()
        metadata = {"variables": {field: key}} if field else {"tag": key}
        content = _content(path, "text")
        found.append(Resumed(bytes.fromhex(name[2].decode()), name[1] == b"q", metadata, content, None))
    return sorted(found, key=lambda chunk: chunk.id)


def _content(path: Path, compress: str) -> bytes:
    return gzip.decompress(path.read_bytes()) if compress == "gzip" else path.read_bytes()


def load_positions(path: Path, *, follow_inodes: bool = False) -> dict[Any, tuple[int, int]]:
    """Return offset and inode by path, or by inode; of rows for the same the last one counts."""
    rows: dict[Any, tuple[int, int]] = {}
    for line in path.read_bytes().splitlines(keepends=True):
        row = _ROW.match(line)
        assert row is not None, f"Unparsable line in pos_file: {line!r}"
        offset, inode = int(row[2], 16), int(row[3], 16)
        if offset != _UNWATCHED:
            rows[inode if follow_inodes else row[1].decode()] = (offset, inode)
    return rows
