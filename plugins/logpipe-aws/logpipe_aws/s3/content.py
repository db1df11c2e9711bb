"""What is in an object: `store_as`. Rules: the compressors of fluent-plugin-s3."""

from __future__ import annotations

import base64
import hashlib
import sys
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NamedTuple, TypeAlias

from logpipe.bulk import gzipped

Pack: TypeAlias = Callable[[Sequence[bytes]], list[bytes]]


class Store(NamedTuple):
    """A value of `store_as`."""

    extension: str
    content_type: str
    pack: Pack
    """Makes the parts of an object of a chunk's payloads; for a thread."""


def zstd(parts: Sequence[bytes], level: int = 3) -> list[bytes]:
    """Return the parts of an object of Zstandard."""
    library = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    return [library.compress(b"".join(parts), level)]


def _lzma(parts: Sequence[bytes]) -> list[bytes]:
    import lzma  # noqa: PLC0415 - few need it

    return [lzma.compress(b"".join(parts))]


def _joined(parts: Sequence[bytes]) -> list[bytes]:
    return [b"".join(parts)]


STORES: Final = {
    "gzip": Store("gz", "application/x-gzip", gzipped),
    "gzip_command": Store("gz", "application/x-gzip", gzipped),
    "json": Store("json", "application/json", _joined),
    "text": Store("txt", "text/plain", _joined),
    "zstd": Store("zst", "application/x-zst", zstd),
    "lzma2": Store("xz", "application/x-xz", _lzma),
}
REFUSED: Final = {
    "lzo": "no library of Python's writes lzop's format: use gzip or zstd",
    "parquet": "columns are made by the program columnify, which is not run here: write json, and convert it at the "
    "bucket",
}


def checksum(algorithm: str, parts: Sequence[bytes]) -> str:
    """Return a body's checksum as S3's headers have it: base64 of its bytes, the highest first."""
    if algorithm == "CRC32":
        value = 0
        for part in parts:
            value = zlib.crc32(part, value)
        return base64.b64encode(value.to_bytes(4, "big")).decode()
    digest = hashlib.new(algorithm.lower(), usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return base64.b64encode(digest.digest()).decode()
