"""Gzip and Zstandard, as fluentd writes both: the content is a sequence of members."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

Compression: TypeAlias = Literal["gzip", "zstd"]

_GZIP_WINDOW: Final = 31
_GZIP_OR_ZLIB: Final = 47
_FAST: Final = 1


class CorruptError(Exception):
    """Bytes are not valid compressed content."""


def compressor(compression: Compression) -> Callable[[bytes], bytes]:
    """Return the function that compresses bytes to a member, optimized for speed rather than size."""
    if compression == "zstd":
        compress = _zstd().compress
        return lambda data: bytes(compress(data, _FAST))
    return _gzip


def decompressor(compression: Compression) -> Decompressor:
    """Return a decompressor of one member; gzip includes the zlib format."""
    if compression == "zstd":
        library = _zstd()
        return Decompressor(library.ZstdDecompressor(), library.ZstdError)
    return _Gunzip()


def _gzip(data: bytes) -> bytes:
    stream = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP_WINDOW)
    return stream.compress(data) + stream.flush()


class Decompressor:
    """Reads one member by a library's stream."""

    def __init__(self, stream: Any, error: type[Exception]) -> None:
        self._stream = stream
        self._error = error

    @property
    def needs_input(self) -> bool:
        """Whether no more output is available without further input."""
        needs: bool = self._stream.needs_input
        return needs

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""
        ended: bool = self._stream.eof
        return ended

    @property
    def unused_data(self) -> bytes:
        """Input after the end of the member."""
        rest: bytes = self._stream.unused_data
        return rest

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return available output, `max_length` bytes at most.

        Raises:
            CorruptError: the data are damaged.
        """
        try:
            found: bytes = self._stream.decompress(data, max_length)
        except self._error as error:
            raise CorruptError(str(error)) from None
        return found


class _Gunzip(Decompressor):
    """zlib returns unconsumed input, where the others keep it."""

    def __init__(self) -> None:
        super().__init__(zlib.decompressobj(_GZIP_OR_ZLIB), zlib.error)

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return super().decompress(self._stream.unconsumed_tail + data, max_length)


def _zstd() -> Any:
    """Return the module, imported on demand."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
