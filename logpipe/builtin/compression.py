"""Gzip and Zstandard, as fluentd writes both: members one after the other make one content."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Literal, Protocol, TypeAlias

Compression: TypeAlias = Literal["gzip", "zstd"]

_GZIP_WINDOW: Final = 31
_GZIP_OR_ZLIB: Final = 47
_FAST: Final = 1


class CorruptError(Exception):
    """Bytes are no compressed content, or not any more."""


class Decompressor(Protocol):
    """Reads one member."""

    @property
    def needs_input(self) -> bool:
        """Whether more can be had of what was given already."""
        ...

    @property
    def eof(self) -> bool:
        """Whether the member is at its end."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return as much as there is, `max_length` at most.

        Raises:
            CorruptError: the data are damaged.
        """
        ...


def compressor(compression: Compression) -> Callable[[bytes], bytes]:
    """Return the function that makes a member of bytes, quickly rather than as small as can be."""
    if compression == "zstd":
        compress = _zstd().compress
        return lambda data: bytes(compress(data, _FAST))
    return _gzip


def decompressor(compression: Compression) -> Decompressor:
    """Return what reads one member; of gzip, the bare form of zlib as well."""
    if compression == "zstd":
        library = _zstd()
        return _Member(library.ZstdDecompressor(), library.ZstdError)
    return _Gunzip()


def _gzip(data: bytes) -> bytes:
    stream = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP_WINDOW)
    return stream.compress(data) + stream.flush()


class _Member:
    """A library's stream; its own exception becomes CorruptError."""

    def __init__(self, stream: Any, error: type[Exception]) -> None:
        self._stream = stream
        self._error = error

    @property
    def needs_input(self) -> bool:
        needs: bool = self._stream.needs_input
        return needs

    @property
    def eof(self) -> bool:
        ended: bool = self._stream.eof
        return ended

    @property
    def unused_data(self) -> bytes:
        rest: bytes = self._stream.unused_data
        return rest

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            found: bytes = self._stream.decompress(data, max_length)
        except self._error as error:
            raise CorruptError(str(error)) from None
        return found


class _Gunzip(_Member):
    """zlib gives back what it did not come to, where others keep it."""

    def __init__(self) -> None:
        super().__init__(zlib.decompressobj(_GZIP_OR_ZLIB), zlib.error)

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return super().decompress(self._stream.unconsumed_tail + data, max_length)


def _zstd() -> Any:
    """Return the module; only who needs it imports it."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
