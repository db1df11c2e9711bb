"""The partition of a key, as by ruby-kafka's Partitioner (partitioner.rb)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

HashName: TypeAlias = Literal["crc32", "murmur2"]

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Return the hash of Java's client, without its sign."""
    whole = len(key) & ~3
    value = _SEED ^ len(key)
    for start in range(0, whole, 4):
        part = int.from_bytes(key[start : start + 4], "little") * _FACTOR & _MASK
        part = (part ^ part >> 24) * _FACTOR & _MASK
        value = value * _FACTOR & _MASK ^ part
    if rest := key[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    value = (value ^ value >> 13) * _FACTOR & _MASK
    return (value ^ value >> 15) & 0x7FFFFFFF


HASHES: Final[dict[HashName, Callable[[bytes], int]]] = {"crc32": zlib.crc32, "murmur2": murmur2}
