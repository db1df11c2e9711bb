"""What a logpipe leaves behind that was stopped after Kafka was away for long: a folder full of chunks."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import orjson

from logpipe import ChunkKey, EventBatch
from logpipe.builtin.buffers.file.codec import Label, encode_events, encode_label
from logpipe.builtin.buffers.file.frame import Content, encode_frame

BATCH = 1_000


def leave_chunks(folder: Path, log: Path, topic: str, *, size: int, chunk_size: int) -> None:
    """Fill a buffer's folder with about `size` bytes of chunks, each a copy of the first but for its id."""
    folder.mkdir(parents=True)
    key = ChunkKey(variables=(("topic", topic),))
    label = encode_label(Label("kubernetes.app", key, time.time_ns()))
    contents: list[Content] = []
    room = chunk_size
    with log.open("rb") as lines:
        while room > 0 and (batch := [{**orjson.loads(line), "topic": topic} for line in islice(lines, BATCH)]):
            events = EventBatch("kubernetes.app", [time.time_ns()] * len(batch), batch)
            contents += encode_events(events, len(orjson.dumps(batch)), _refuse)
            room -= len(orjson.dumps(batch))
    for number in range(max(1, size // chunk_size)):
        chunk_id = f"{(time.time_ns() // 1000) << 12:016x}{number:016x}"
        first = 0
        with (folder / f"buffer.c{chunk_id}.log").open("wb") as file:
            for content in contents:
                file.writelines(encode_frame(bytes.fromhex(chunk_id), first, label, content))
                first += len(content.records)


def _refuse(_index: int, error: Exception) -> None:
    raise error
