"""Chunks written by fluentd: read, delivered, deleted; never added to. Formats: fluentd's plugin/buffer/*.rb."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import msgpack

from logpipe import ChunkKey, EventBatch, Time
from logpipe.builtin.buffers.file.chunk_files import Found
from logpipe.builtin.buffers.file.fluentd_content import Content, NotReadableError
from logpipe.builtin.buffers.file.location import META, FluentdName
from logpipe.builtin.buffers.file.salvage import Damage
from logpipe.codec import Payloads

META_MARK: Final = b"\xc1\x00"
_META_HEAD: Final = 6
_MOST_META: Final = 1 << 20
_SLICES: Final = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class FluentdChunk:
    """One chunk of fluentd's, read from its file each time; `check` must be called first.

    Args:
        name: the parts of the file's name.
        path: the file.
        size: its bytes.
        chunk_keys: the keys that 0.12's single key may be.
        zone: of the time slices; None for the machine's.
        limit: bytes that the content may have decompressed.
    """

    is_sealed: Final = True
    created: Final[Time] = 0

    def __init__(
        self, name: FluentdName, path: Path, size: int, *, chunk_keys: list[str], zone: tzinfo | None, limit: int
    ) -> None:
        self.id = name.chunk_id
        self.path = path
        self.size = size
        self.key = ChunkKey()
        self.progress: Any = None
        self.encoded = False
        self.unreadable = ""
        """Why the content cannot be read; such a file is not moved or deleted."""
        self.must_stay = False
        """Whether damaged parts were not copied: then the file is moved to `corrupt` in the end, not deleted."""
        self._name = name
        self._chunk_keys = chunk_keys
        self._zone = zone
        self._limit = limit
        self._content: Content | None = None
        self.tag = ""
        """Of all its events; empty where it is unknown."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def meta_path(self) -> Path:
        """The file beside it with the chunk key of its events."""
        return self.path.with_name(self.path.name + META)

    def check(self) -> list[Damage]:
        """Find its intact parts, in a thread; returns the damaged ones.

        Raises:
            OSError: it cannot be read.
        """
        if self._content is not None or self.unreadable:
            return []
        self.key, self.tag = self._shared()
        try:
            content = Content(self.path, limit=self._limit)
            self.encoded = not content.has_events
            self._count = sum(map(len, content.events())) if content.has_events else sum(1 for _ in content.lines())
        except NotReadableError as error:
            self.unreadable = str(error)
            return []
        self._content = content
        return [Damage(0, self.size, None, self._count)] if content.damages else []

    def _shared(self) -> tuple[ChunkKey, str]:
        """Return the chunk key of the events, and their tag."""
        meta = read_meta(self.meta_path)
        if meta is not None:
            timekey, tag, variables = meta.get("timekey"), meta.get("tag"), meta.get("variables")
            pairs = tuple(variables.items()) if isinstance(variables, dict) else ()
            key = ChunkKey(
                timekey if isinstance(timekey, int) else None,
                tag if isinstance(tag, str) else None,
                tuple((str(name), value) for name, value in pairs),
            )
            return key, key.tag or ""
        if self._name.key is None:
            return ChunkKey(), ""
        return key_of(unquote(self._name.key), self._chunk_keys, self._zone)

    def vanished(self) -> int:
        """Record that the file was removed; returns the number of lost events, as far as it is known."""
        lost, self._count, self._content = self._count, 0, None
        return lost

    def batches(self) -> Iterator[EventBatch]:
        """Yield the events, oldest first."""
        if self._content is not None and not self.encoded:
            for events in self._content.events():
                yield EventBatch(self.tag, [time for time, _ in events], [record for _, record in events])

    def payloads(self) -> Iterator[bytes]:
        """Yield the content in the output's format, a line at a time."""
        if self._content is not None and self.encoded:
            yield from self._content.lines()

    def append(self, batch: EventBatch, payloads: Payloads | None, size: int) -> None:
        """Raise an error: fluentd's chunks take no events."""
        del batch, payloads, size
        raise RuntimeError(f"chunk {self.id} is fluentd's and takes no events")

    async def sync(self) -> None:
        """Do nothing: it is on the disk."""


def key_of(text: str, chunk_keys: list[str], zone: tzinfo | None) -> tuple[ChunkKey, str]:
    """Return 0.12's single key, or file_single's, as today's chunk key; and the events' tag."""
    if "time" in chunk_keys and text.isdigit() and len(text) in _SLICES:
        return ChunkKey(timekey=_slice_start(text, zone)), ""
    if "tag" in chunk_keys:
        return ChunkKey(tag=text), text
    if len(chunk_keys) == 1 and chunk_keys != ["time"]:
        return ChunkKey(variables=((chunk_keys[0], text),)), ""
    return ChunkKey(), text


def _slice_start(text: str, zone: tzinfo | None) -> int | None:
    try:
        moment = datetime.strptime(text, _SLICES[len(text)])  # noqa: DTZ007 - the zone comes in the next line
    except ValueError:
        return None
    return int((moment.replace(tzinfo=zone) if zone is not None else moment.astimezone()).astimezone(UTC).timestamp())


def count_of(found: list[Found]) -> tuple[int, bool]:
    """Return how many events are in chunks, fluentd's by their metadata, and whether all of these say it."""
    counts = [
        each.end.count
        if each.end is not None
        else (read_meta(each.path.with_name(each.path.name + META)) or {}).get("s")
        for each in found
    ]
    return sum(count for count in counts if isinstance(count, int)), all(isinstance(count, int) for count in counts)


def read_meta(path: Path) -> dict[str, Any] | None:
    """Return a chunk's metadata; None where there are none or they are unreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_META)
    except OSError:
        return None
    if data.startswith(META_MARK):
        data = data[_META_HEAD : _META_HEAD + int.from_bytes(data[2:_META_HEAD], "big")]
    try:
        unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="replace")
        unpacker.feed(data)  # fluentd has also written plain maps, and remains of an older version may follow
        meta = _text_of(unpacker.unpack())
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        return None
    return meta if isinstance(meta, dict) else None


def _text_of(value: Any) -> Any:
    """Return a value with its byte strings as text: tags and values of chunk keys name things."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_text_of(name): _text_of(inner) for name, inner in value.items()}
    return list(map(_text_of, value)) if isinstance(value, list) else value
