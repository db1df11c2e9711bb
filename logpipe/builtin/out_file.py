"""Writes events to files. Settings and names: fluentd's plugin/out_file.rb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from logpipe import (
    Chunk,
    EventBatch,
    Options,
    Output,
    OutputHost,
    PermanentError,
    PluginConf,
    Seconds,
    param,
    plugin_section,
    section,
)
from logpipe.builtin.chunk_link import ChunkLink
from logpipe.builtin.chunk_payloads import Encode, compressed_of, pieces_of
from logpipe.builtin.compression import Compression, compressor
from logpipe.builtin.file_store import append, create_first_free, is_bad_name
from logpipe.builtin.path_template import INDEX, fixed_folder, path_template, placeholder_problems
from logpipe.codec import InjectOptions, compile_inject
from logpipe.durable import Disk

_DAY: Final = Seconds(86_400.0)
_NUMBER: Final = "\0"


class SliceOptions(Options):
    """The settings of `<buffer>` that out_file uses itself; the engine reads the rest."""

    _extra: ClassVar = re.compile(".*")

    timekey: Seconds | None = param("Length of a time slice.", default=None)


class FileOptions(Options):
    """Settings of `<match> @type file`."""

    path: str = param(
        "Where files go: a name to which the time slice, a number and `path_suffix` are added. `*` stands for time and "
        "number; `%Y%m%d`, `${tag}` and `${key}` are filled in. A value may contain `/`, but cannot leave the folder "
        "before it; a chunk without a valid file name becomes a dead letter at once. With `append` it may be a device "
        "or a FIFO: written bytes count as delivered, and a chunk waits while a FIFO has no reader.",
        placeholders=True,
    )
    append: bool = param("Write all chunks of a time slice to one file, instead of one file each.", default=False)
    add_path_suffix: bool = param("Add `path_suffix`.", default=True)
    path_suffix: str = param("Suffix of the files.", default=".log", placeholders=True)
    compress: Literal["text", "gz", "gzip", "zstd"] = param("Compression of the files.", default="text")
    recompress: bool = param("Compress again chunks that `<buffer>` has compressed the same way.", default=False)
    symlink_path: str | None = param(
        "A link to the file of the newest chunk, where `<buffer>` is in files: of the latest time slice, the chunk "
        "that was begun last. Placeholders are filled in as in `path`, and folders are made. Only a link is "
        "replaced. The file contains binary indexes between the lines: `tail -F` shows both, `logpipe buffer cat` "
        "the lines alone.",
        default=None,
        placeholders=True,
    )
    symlink_path_use_relative: bool = param("Make the link's target relative to its folder.", default=False)
    time_slice_format: str | None = param(
        "0.12's way to write the time slice in names; it sets the slice's length too.", default=None
    )
    format: PluginConf = plugin_section("How an event is written.", kind="formatter", default_type="out_file")
    inject: InjectOptions | None = section("Fields to add.")
    buffer: SliceOptions | None = section("How chunks are cut; without it, and by default, one a day.")


class FileOutput(Output[FileOptions], type="file"):
    """Writes each chunk to a file of its time slice.

    A chunk counts as delivered when its bytes are on the disk. A file appears complete, under its final name, unless
    chunks are appended; a failed append is undone. A device or a FIFO allows neither: written bytes are delivered, and
    a chunk that fails half-way is written again from its start.
    """

    compat: ClassVar = frozenset({"buffer", "formatter", "inject"})
    compat_kept: ClassVar = frozenset({"time_slice_format"})
    buffer_argument = "time"
    # a day's chunk may be larger than the memory
    buffer_defaults: ClassVar = {"@type": "file", "timekey": "86400", "memory_limit_size": "1m"}

    def __init__(self, options: FileOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._disk = Disk(host.files, "out_file")
        self._template = _template(options, host)
        if not host.is_secondary:
            for problem in placeholder_problems("path", self._template, host.chunk_keys):
                raise problem
        # values contain no NUL, so that none can be mistaken for the placeholder of the number
        self._template = self._template.replace(INDEX, _NUMBER)
        self._folder = fixed_folder(self._template)
        self._formatter = host.formatter(options.format)
        self._injected = compile_inject(options.inject, host)
        self._content = _content_function(options, self.encode)
        self._link = _link(options, host)
        timekey = options.buffer.timekey if options.buffer is not None else None
        if timekey is None and "time" in host.chunk_keys and not host.is_secondary:
            host.log.warning(
                "default timekey interval (1d) will be used. To change the output frequency, please modify the "
                "timekey value"
            )

    @classmethod
    def buffer_path(cls, options: FileOptions) -> str:
        """Return the configured path of the files; the buffer uses it as a folder."""
        return options.path

    def encode(self, batch: EventBatch) -> list[bytes]:
        """Return each event's bytes; a bad record is empty and goes to `@ERROR`."""
        tag, times, records = batch.tag, batch.times, batch.records
        written = EventBatch(tag, times, self._injected(batch))

        def failed(index: int, error: Exception) -> None:
            self.host.emit_error(tag, times[index], records[index], error, receipt=batch.receipt)

        return self._formatter.format_batch(written, failed)

    async def begun(self, chunk: Chunk, file: Path | None) -> None:
        """Point the link to a chunk's file."""
        if self._link is not None:
            await self._link.lead_to(chunk, file)

    async def write(self, chunk: Chunk) -> None:
        """Write a chunk to its file.

        Raises:
            PermanentError: the fields or the tag in its name make it invalid.
            OSError: it could not be written; no part of it remains.
        """
        path = self.host.expand(self._template, chunk)
        if path.endswith("/"):
            raise PermanentError(f"no file can have the name {path!r}: it is a folder's")
        try:
            await self.host.in_thread(self._store, path, chunk)
        except OSError as error:
            if is_bad_name(error, folder=self._folder):
                name = path.replace(_NUMBER, INDEX)
                raise PermanentError(f"no file can have the name {name!r}: {error.strerror}") from error
            raise

    def _store(self, path: str, chunk: Chunk) -> None:
        if self.options.append:
            is_text = self.options.compress == "text"
            append(Path(path), self._content(chunk), self._disk, is_text=is_text)
        else:
            create_first_free(path, self._content(chunk), placeholder=_NUMBER, name=chunk.id, disk=self._disk)


def _template(options: FileOptions, host: OutputHost) -> str:
    timekey: Any = None
    if "time" in host.chunk_keys:
        timekey = (options.buffer.timekey if options.buffer is not None else None) or _DAY
    return path_template(
        options.path,
        timekey=timekey,
        time_slice_format=options.time_slice_format,
        append=options.append,
        suffix=options.path_suffix if options.add_path_suffix else "",
        compress=_compression(options) or "",
    )


def _link(options: FileOptions, host: OutputHost) -> ChunkLink | None:
    """Return the link of `symlink_path`, None where there is none."""
    template = options.symlink_path
    if template is None:
        return None
    if host.is_secondary:
        host.log.warning("symlink_path has no effect in <secondary>: the chunks are another output's")
        return None
    for problem in placeholder_problems("symlink_path", template, host.chunk_keys):
        # compat: the message of out_file.rb
        host.log.warning(
            "%s. This means multiple chunks are competing for a single symlink_path, so some logs may not be taken "
            "from the symlink.",
            problem,
        )
    return ChunkLink(template, is_relative=options.symlink_path_use_relative, host=host)


def _compression(options: FileOptions) -> Compression | None:
    if options.compress == "text":
        return None
    return "zstd" if options.compress == "zstd" else "gzip"


def _content_function(options: FileOptions, encode: Encode) -> Callable[[Chunk], Iterable[bytes]]:
    """Return the function that yields the bytes of a chunk's file, in pieces."""
    compression = _compression(options)
    if compression is None:
        return lambda chunk: pieces_of(chunk, encode)
    if options.recompress:
        compress = compressor(compression)
        return lambda chunk: map(compress, pieces_of(chunk, encode))
    return lambda chunk: compressed_of(chunk, encode, compression)
