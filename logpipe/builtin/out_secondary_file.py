"""Writes chunks that an output has given up to files. Settings and names: fluentd's plugin/out_secondary_file.rb."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgpack

from logpipe import (
    Chunk,
    EventBatch,
    InvalidSetting,
    LogpipeError,
    Options,
    Output,
    OutputHost,
    PermanentError,
    Record,
    Time,
    param,
)
from logpipe.builtin.chunk_payloads import compressed_of, pieces_of
from logpipe.builtin.file_store import append, create_first_free, is_bad_name
from logpipe.builtin.path_template import fixed_folder
from logpipe.durable import Disk

_NUMBER: Final = "\0"
"""Stands for the number in a name: no value contains it."""
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]+)\}")
_TAG: Final = re.compile(r"tag(?:\[-?\d+\])?")
_DIRECTIVE: Final = re.compile(r"%[-0^#_:]*\d*[A-Za-z]")
_EVENT_TIME: Final = 0
"""Fluentd's MessagePack extension for a time: seconds and nanoseconds, 32 bits each."""


class SecondaryFileOptions(Options):
    """Settings of `<secondary> @type secondary_file`."""

    directory: str = param(
        "The folder of the files; it is made where it is missing. `%Y%m%d`, `${tag}`, `${key}` and `${chunk_id}` are "
        "filled in from the chunk, as far as they are chunk keys of the output; no value can lead out of the folder."
    )
    basename: str = param("The files' name, without `/`; filled in as `directory` is.", default="dump.bin")
    append: bool = param(
        "Write to one file of that name, instead of one with a number behind it for each chunk.", default=False
    )
    compress: Literal["text", "gzip"] = param("Compression of the files.", default="text")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield names that name no file, or one somewhere else."""
        if "/" in self.basename:
            yield InvalidSetting("basename should not include `/`: write the folder in directory", param="basename")
        if self.basename in {"", ".", ".."}:
            yield InvalidSetting(f"basename {self.basename!r} is no file's name", param="basename")
        if not self.directory:
            yield InvalidSetting("directory is empty: write a folder's path", param="directory")


class SecondaryFile(Output[SecondaryFileOptions], type="secondary_file"):
    """Writes the chunks of any output to files, as `<secondary>`: what the output has encoded, as it is.

    Of an output that encodes later the events are written as MessagePack, `[time, record]` each. A chunk counts as
    delivered when its bytes are on the disk; a file appears complete, and a failed append is undone.
    """

    takes_any_chunk = True

    def __init__(self, options: SecondaryFileOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        if not host.is_secondary:
            raise InvalidSetting(
                "secondary_file can only be used in a <secondary> section: write @type file here", param="@type"
            )
        for name, text in (("directory", options.directory), ("basename", options.basename)):
            for problem in _unserved(text, host.chunk_keys):
                raise InvalidSetting(f"{name} has an incompatible placeholder, {problem}", param=name)
        ending = ".gz" if options.compress == "gzip" else ""
        self._template = f"{Path(options.directory) / options.basename}{'' if options.append else _NUMBER}{ending}"
        self._folder = fixed_folder(self._template)
        self._disk = Disk(host.files, "secondary_file")

    async def start(self) -> None:
        """Look whether the folder can be written to.

        Raises:
            LogpipeError: it cannot.
        """
        if not await self.host.in_thread(_is_writable, Path(self._folder or self.options.directory)):
            raise LogpipeError(f"{self.options.directory} should be writable: give another directory, or the right")

    async def write(self, chunk: Chunk) -> None:
        """Write a chunk to its file.

        Raises:
            PermanentError: the fields or the tag in its name make it invalid.
            OSError: it could not be written; no part of it remains.
        """
        path = self.host.expand(self._template, chunk)
        try:
            await self.host.in_thread(self._store, path, chunk)
        except OSError as error:
            if is_bad_name(error, folder=self._folder):
                name = path.replace(_NUMBER, ".0")
                raise PermanentError(f"no file can have the name {name!r}: {error.strerror}") from error
            raise

    def _store(self, path: str, chunk: Chunk) -> None:
        is_compressed = self.options.compress == "gzip"
        pieces = compressed_of(chunk, self._pack, "gzip") if is_compressed else pieces_of(chunk, self._pack)
        if self.options.append:
            is_text = not is_compressed and next(iter(chunk.payloads()), None) is not None
            append(Path(path), pieces, self._disk, is_text=is_text)
        else:
            create_first_free(path, pieces, placeholder=_NUMBER, name=chunk.id, disk=self._disk, mark=".")

    def _pack(self, batch: EventBatch) -> list[bytes]:
        return [_packed(time, record) for time, record in batch.events()]


def _packed(time: Time, record: Record) -> bytes:
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    moment = msgpack.ExtType(_EVENT_TIME, (seconds & 0xFFFFFFFF).to_bytes(4, "big") + nanoseconds.to_bytes(4, "big"))
    packed: bytes = msgpack.packb([moment, record], unicode_errors="surrogatepass", default=str)
    return packed


def _unserved(text: str, chunk_keys: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with the placeholders of a text."""
    if "time" not in chunk_keys and _DIRECTIVE.search(text):
        yield "remove time formats, like `%Y%m%d`, or add the chunk key time to the output's <buffer>"
    for name in _PLACEHOLDER.findall(text):
        key = "tag" if _TAG.fullmatch(name) else name
        if key not in {*chunk_keys, "chunk_id"}:
            yield f"remove ${{{name}}}, or add the chunk key {key} to the output's <buffer>"


def _is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder, or the folder where it is missing."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
