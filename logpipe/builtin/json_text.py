"""Records as JSON text: by orjson where it can, else by Python's own writer, which knows more kinds of values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import orjson

from logpipe import FormatError, Record


def dump(record: Record) -> bytes:
    r"""Return a record as compact UTF-8 JSON.

    Integers have no limit; a lone surrogate keeps its escape, `\ud800`; bytes are read as UTF-8, with replacements;
    keys become text; what JSON has no word for becomes null if it is a number (NaN, Infinity), and text if not.

    Raises:
        FormatError: it is nested too deep.
    """
    try:
        return orjson.dumps(record)
    except TypeError:
        return _dump_slowly(record)


def dump_all(records: list[Record], failed: Callable[[int, Exception], None], *, newline: bytes = b"") -> list[bytes]:
    """Return each record as `dump` does, with `newline` behind it; a bad one is empty, and `failed` is told."""
    try:
        if newline == b"\n":
            return [orjson.dumps(record, None, orjson.OPT_APPEND_NEWLINE) for record in records]
        if not newline:
            return list(map(orjson.dumps, records))
    except TypeError:
        pass
    return [_dump_one(index, record, failed, newline) for index, record in enumerate(records)]


def _dump_one(index: int, record: Record, failed: Callable[[int, Exception], None], newline: bytes) -> bytes:
    try:
        return dump(record) + newline
    except MemoryError:
        raise  # no record is to blame
    except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch
        failed(index, error)
        return b""


def _dump_slowly(record: Record) -> bytes:
    try:
        text = json.dumps(_plain(record), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (RecursionError, ValueError) as problem:
        raise FormatError(f"the record cannot be written as JSON: {problem}") from None
    # only lone surrogates cannot be encoded, and their backslash form is their JSON escape
    return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _key(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    return key if isinstance(key, str) else str(key)
