"""Writes our chunks as fluentd reads them, for the way back. Formats: fluentd's plugin/buffer/file*_chunk.rb.

A chunk becomes a queued one, `PREFIX.qID.SUFFIX` with its `.meta`, which fluentd delivers at once; file_single's name
has the chunk key in it. Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgpack

from logpipe import ChunkKey, EventBatch
from logpipe.builtin.buffers.file.chunk_files import Found
from logpipe.builtin.buffers.file.codec import decode_label
from logpipe.builtin.buffers.file.fluentd import META_MARK
from logpipe.builtin.buffers.file.frame import Kind
from logpipe.builtin.buffers.file.frame_reader import read_batches, read_pieces
from logpipe.builtin.buffers.file.inspection import scanned
from logpipe.builtin.buffers.file.location import META, SINGLE_PREFIX, SINGLE_SUFFIX, Place
from logpipe.builtin.buffers.file.salvage import Scan
from logpipe.builtin.compression import compressor
from logpipe.builtin.forward_protocol.encoding import pack_event, pack_events
from logpipe.durable import Disk

_SECOND: Final = 1_000_000_000


def export(found: Found, place: Place, folder: Path, disk: Disk) -> tuple[Path, int]:
    """Write one of our chunks to a folder; ours stays. Returns the new file, and how many records it has.

    Events are MessagePack, what an output has encoded stays as it is, and both are compressed where the chunk is, for
    then the buffer's `compress` says so. Repeating it after a crash replaces what was written.

    Raises:
        ValueError: the chunk is damaged, or empty.
        OSError: it cannot be read or written; a tag that is too long for file_single's names is one reason.
    """
    seen = scanned(found)
    if seen.damages:
        raise ValueError("it is damaged: repair it first")
    if seen.first is None:
        raise ValueError("it is empty")
    label, count = decode_label(seen.first.label), sum(part.count for part in seen.parts)
    path = folder / _name(place, found.chunk_id, label.key)
    disk.make_folder(folder)
    if place.prefix != SINGLE_PREFIX:  # file_single has no metadata, and would leave them behind
        # fluentd takes a chunk without metadata for one of nobody's, so that these come first
        meta = _meta(found.chunk_id, label.key, count, created=label.created, modified=found.path.stat().st_mtime_ns)
        disk.replace(path.with_name(path.name + META), [meta])
    disk.replace(path, _content(found, seen))
    return path, count


def _name(place: Place, chunk_id: str, key: ChunkKey) -> str:
    if place.suffix != SINGLE_SUFFIX:
        return f"{place.prefix}q{chunk_id}{place.suffix}"
    text = str(key.variables[0][1]) if key.variables else key.tag or ""
    # compat: file_single_chunk.rb escapes all but these, so that a tag is no path
    escaped = quote(text.encode("utf-8", "surrogatepass"), safe="").replace("~", "%7E")
    return f"{place.prefix}{escaped}.q{chunk_id}{place.suffix}"


def _meta(chunk_id: str, key: ChunkKey, count: int, *, created: int, modified: int) -> bytes:
    fields = {
        "timekey": key.timekey,
        "tag": key.tag,
        "variables": dict(key.variables) or None,
        "seq": 0,
        "id": bytes.fromhex(chunk_id),
        "s": count,
        "c": max(1, created // _SECOND),
        "m": max(1, modified // _SECOND),
    }
    packed: bytes = msgpack.packb(fields, unicode_errors="surrogatepass", default=str)
    return META_MARK + len(packed).to_bytes(4, "big") + packed


def _content(found: Found, seen: Scan) -> Iterator[bytes]:
    first = seen.first
    if first is not None and first.kind is Kind.PAYLOADS:
        pieces = read_pieces(found.path, seen.parts)
    else:
        pieces = map(_packed, read_batches(found.path, seen.parts))
    compression = None if first is None else first.compression
    return filter(None, pieces) if compression is None else map(compressor(compression), filter(None, pieces))


def _packed(batch: EventBatch) -> bytes:
    try:
        return b"".join(pack_events(batch))
    except (ValueError, TypeError, OverflowError):  # an integer over 64 bits, which fluentd has no form for either
        return b"".join(pack_event(time, _plain(record)) for time, record in batch.events())


def _plain(record: dict[str, object]) -> dict[str, object]:
    plain: dict[str, object] = msgpack.unpackb(
        msgpack.packb(record, unicode_errors="surrogatepass", default=str),
        unicode_errors="surrogatepass",
        strict_map_key=False,
    )
    return plain
