"""Records as JSON text: by orjson where possible, else by Python's own writer, which supports more values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import orjson

from logpipe.errors import FormatError
from logpipe.event import Record
from logpipe.metrics import Counter
from logpipe.plugin import Host
from logpipe.raw_text import readable


def replaced_texts(host: Host) -> Counter:
    """Return the plugin's counter of texts that are not UTF-8."""
    return host.counter("replaced_texts", "Texts that are not UTF-8 and are in JSON with U+FFFD.")


def dump_record(record: Any, replaced: Counter | None = None, to_text: Callable[[Any], str] = str) -> bytes:
    r"""Return a record as compact UTF-8 JSON.

    Integers have no limit; a lone surrogate keeps its escape, `\ud800`; bytes that are not UTF-8 become U+FFFD, counted
    by `replaced`; keys become text; NaN and the infinities become null, other values unknown to JSON text by `to_text`.

    Raises:
        FormatError: it is nested too deep.
    """
    try:
        return orjson.dumps(record)
    except TypeError:
        pass
    try:
        text = json.dumps(_plain(record, replaced, to_text), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (RecursionError, ValueError) as problem:
        raise FormatError(f"the record cannot be written as JSON: {problem}") from None
    # only lone surrogates cannot be encoded, and their backslash form is their JSON escape
    return text.encode("utf-8", "backslashreplace")


def dump_records(
    records: list[Record],
    failed: Callable[[int, Exception], None],
    *,
    newline: bytes = b"",
    replaced: Counter | None = None,
) -> list[bytes]:
    """Return each record as by `dump_record`, with `newline` after it; `failed` is called for a bad one, left empty."""
    try:
        if newline == b"\n":
            return [orjson.dumps(record, None, orjson.OPT_APPEND_NEWLINE) for record in records]
        if not newline:
            return list(map(orjson.dumps, records))
    except TypeError:
        pass
    return [_dump_one(index, record, failed, newline, replaced) for index, record in enumerate(records)]


def _dump_one(
    index: int, record: Record, failed: Callable[[int, Exception], None], newline: bytes, replaced: Counter | None
) -> bytes:
    try:
        return dump_record(record, replaced) + newline
    except MemoryError:
        raise  # not the fault of a record
    except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch
        failed(index, error)
        return b""


def _plain(value: Any, replaced: Counter | None, to_text: Callable[[Any], str]) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        if replaced is not None:
            replaced.add(1)
        return readable(value)
    if isinstance(value, dict):
        return {_key(key, to_text): _plain(item, replaced, to_text) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, replaced, to_text) for item in value]
    return to_text(value)


def _key(key: Any, to_text: Callable[[Any], str]) -> str:
    text = readable(key)
    return text if isinstance(text, str) else to_text(text)
