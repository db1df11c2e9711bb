"""Values as text in lines that are not JSON."""

from __future__ import annotations

from typing import Any

from logpipe.ruby import to_s


def to_bytes(value: Any) -> bytes:
    """Return what Ruby's `to_s` makes of a value; bytes that are not UTF-8 are as they came."""
    return value if isinstance(value, bytes) else to_s(value).encode("utf-8", "surrogatepass")
