"""Outputs that keep what they are given, and configurations around them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from logpipe import Chunk, ChunkKey, Clock, Event, EventBatch, Host, Options, Output, Plugin, param
from logpipe.builtin.buffers.file import FileBuffer
from logpipe.builtin.buffers.file.options import FileBufferOptions
from logpipe.builtin.chunk_payloads import payloads_of
from logpipe.testing import Pipeline, pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"


class SinkOptions(Options):
    """Settings of the outputs below."""

    name: str = param("Which sink it is.", default="")
    is_down: bool = param(
        "Whether it fails until `always` is cleared: a buffer delivers as soon as it starts.", default=False
    )


class Sink(Output[SinkOptions], type="sink"):
    """Keeps chunks; while `always` holds an exception it raises that instead, while `open` is clear it waits."""

    def __init__(self, options: SinkOptions, host: Host) -> None:
        super().__init__(options, host)
        self.chunks: list[tuple[ChunkKey, list[tuple[str, Event]]]] = []
        self.ids: list[str] = []
        self.always: Exception | None = OSError("down") if options.is_down else None
        self.attempts = 0
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, chunk: Chunk) -> None:
        self.attempts += 1
        await self.open.wait()
        if self.always is not None:
            raise self.always
        events = [(batch.tag, event) for batch in chunk.batches() for event in batch.events()]
        assert len(events) == len(chunk)
        self.ids.append(chunk.id)
        self.chunks.append((chunk.key, events))

    @property
    def records(self) -> list[Any]:
        return [event.record for _, events in self.chunks for _, event in events]


class Lines(Sink, type="lines"):
    """Encodes on entry."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [f"{batch.tag}:{record['n']}\n".encode() for record in batch.records]

    async def write(self, chunk: Chunk) -> None:
        self.attempts += 1
        if self.always is not None:
            raise self.always
        payloads = payloads_of(chunk, self.encode)
        assert len(payloads) == len(chunk)
        self.ids.append(chunk.id)
        self.chunks.append((chunk.key, [("", Event(0, {"payload": payload})) for payload in payloads]))

    @property
    def payloads(self) -> list[bytes]:
        return [record["payload"] for record in self.records]


def file_buffer(
    *,
    fdatasync: Callable[[int], None] = os.fdatasync,
    fsync: Callable[[int], None] = os.fsync,
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
) -> type[FileBuffer]:
    """Return a buffer whose disk behaves as told."""

    class Scripted(FileBuffer, type="file"):
        """A buffer on a disk that a test plays."""

        def __init__(self, options: FileBufferOptions, host: Host) -> None:
            super().__init__(options, host, fdatasync=fdatasync, fsync=fsync, statvfs=statvfs)

    return Scripted


def conf(
    path: Path | str | None, more: str = "", *, arg: str = "", kind: str = "sink", buffer: str = "file", head: str = ""
) -> str:
    """Return a configuration with one output behind a buffer in files."""
    where = "" if path is None else f"path {path}\n"
    section = f"<buffer {arg}>\n@type {buffer}\n{where}{more}\n</buffer>"
    return f"{head}<match **>\n@type {kind}\n@id out\n{section}\n</match>\n{QUIET}"


@asynccontextmanager
async def running(
    text: str, *, buffer: type[Plugin[Any]] = FileBuffer, clock: Clock | None = None, worker_id: int = 0
) -> AsyncIterator[Pipeline]:
    """Run such a configuration."""
    async with pipeline(text, Sink, Lines, buffer, clock=clock, worker_id=worker_id) as pipe:
        yield pipe


def sink(pipe: Pipeline) -> Sink:
    found: Sink = pipe.plugin(Sink)
    return found


def lines(pipe: Pipeline) -> Lines:
    found: Lines = pipe.plugin(Lines)
    return found


def files(folder: Path, pattern: str = "*.c*.log") -> list[Path]:
    """Return a folder's chunk files, oldest first."""
    return sorted(folder.glob(pattern))
