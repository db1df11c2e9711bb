"""Hashes of keys, against Java's client and zlib."""

from __future__ import annotations

import zlib

import pytest
from aiokafka.partitioner import murmur2 as java_murmur2
from hypothesis import given
from hypothesis import strategies as st

from logpipe_kafka.messages.partitioner import HASHES, murmur2


@pytest.mark.parametrize(
    ("key", "expected"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536), (b"abc", 479470107)],
)
def test_murmur2_of_java(key: bytes, expected: int) -> None:
    """The values of Kafka's own UtilsTest.java, without their sign."""
    assert murmur2(key) == expected & 0x7FFFFFFF


@given(st.binary(max_size=64))
def test_murmur2_of_any_key(key: bytes) -> None:
    """The same as aiokafka's port of the Java function."""
    assert murmur2(key) == java_murmur2(key) & 0x7FFFFFFF


def test_crc32() -> None:
    """ruby-kafka's default is zlib's."""
    assert HASHES["crc32"](b"key") == zlib.crc32(b"key")
