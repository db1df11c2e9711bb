"""The settings of buffers in files. Names and defaults: fluentd's plugin/buf_file.rb and buf_file_single.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from logpipe import BufferOptions, FileMode, InvalidSetting, Size, param


class StoredOptions(BufferOptions):
    """The settings that buffers in files have in common."""

    chunk_limit_size: Size = param("Largest size of a chunk.", default="256m")
    total_limit_size: Size = param("Largest size of all chunks together.", default="64g")
    path: str | None = param(
        "Folder of the chunk files, or the prefix of their names followed by `.*`; unset: the folder `buffer` of the "
        "plugin, under `root_dir`.",
        default=None,
    )
    file_permission: FileMode | None = param(
        "Mode of the chunk files, octal; unset: that of `<system>`, else 0644 cut by the umask.", default=None
    )
    dir_permission: FileMode | None = param(
        "Mode of the folders that are made, octal; unset: that of `<system>`, else 0755 cut by the umask.", default=None
    )
    free_space_reserve: Size | None = param(
        "Bytes to leave free on the disk: with fewer, inputs wait; unset: a twentieth of the disk, 64m at most.",
        default=None,
    )
    memory_limit_size: Size = param(
        "Bytes of events that are kept in memory as well, so that they are not read back from the disk; none where "
        "chunks are compressed.",
        default="32m",
    )


class FileBufferOptions(StoredOptions):
    """Settings of `<buffer> @type file`."""

    path_suffix: str = param("Suffix of the chunk files.", default=".log")


class FileSingleBufferOptions(StoredOptions):
    """Settings of `<buffer> @type file_single`."""

    calc_num_records: bool = param("Accepted for compatibility: events are always counted.", default=True)
    chunk_format: Literal["msgpack", "text", "auto"] = param(
        "Accepted for compatibility: the format of a chunk is detected from its content.", default="auto"
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield settings that cannot work together."""
        yield from super().check()
        if len(self.chunk_keys) > 1:
            # compat: buf_file_single.rb has one key in its file names
            yield "file_single takes one chunk key, the tag or one field: use @type file for more"
