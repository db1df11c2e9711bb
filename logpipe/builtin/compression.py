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
    return _Unzstd() if compression == "zstd" else _Gunzip()


def _gzip(data: bytes) -> bytes:
    stream = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP_WINDOW)
    return stream.compress(data) + stream.flush()


class _Gunzip:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        except zlib.error as error:
            raise CorruptError(str(error)) from None


class _Unzstd:
    def __init__(self) -> None:
        library = _zstd()
        self._stream: Decompressor = library.ZstdDecompressor()
        self._error: type[Exception] = library.ZstdError

    @property
    def needs_input(self) -> bool:
        return self._stream.needs_input

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._stream.decompress(data, max_length)
        except self._error as error:
            raise CorruptError(str(error)) from None


def _zstd() -> Any:
    """Return the module; only who needs it imports it."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
