"""Reads records that came as maps in MessagePack, whatever a well-formed one may hold."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from logpipe.event.batch import Record
from logpipe.raw_text import readable, text_or_bytes, unescaped

_ODD: Final = tuple(bytes((code,)) for code in (*range(0xC4, 0xCA), *range(0xD4, 0xD9)))
"""What byte strings and extensions begin with; the letters of some languages in UTF-8, too."""
_EVENT_TIME: Final = 0
_EVENT_TIME_BYTES: Final = 8
_NAMES: Final[dict[Any, str]] = {None: "", True: "true", False: "false"}


def unpack_records(lines: list[bytes]) -> list[Record]:
    """Return the records of maps.

    Byte strings that are UTF-8 become text, keys that are not text become it, an EventTime its seconds, as fluentd
    writes all of them as JSON, and other extensions their bytes.

    Raises:
        ValueError: one is not a map in MessagePack, or holds a Timestamp of another length than there is.
    """
    unpack = import_module("msgpack").unpackb  # only who has such lines imports it
    joined = b"".join(lines)
    if not any(mark in joined for mark in _ODD):
        try:
            return list(map(unpack, lines))
        except ValueError:  # a key that is not text, or a text that is not UTF-8
            pass
    hooks = {"object_pairs_hook": _record, "list_hook": _list, "ext_hook": _extension}
    return [
        unpack(line, strict_map_key=False, unicode_errors="surrogateescape", timestamp=1, **hooks) for line in lines
    ]


def _record(pairs: list[tuple[Any, Any]]) -> Record:
    return {key if type(key) is str and key.isascii() else _name(key): _value(value) for key, value in pairs}


def _list(values: list[Any]) -> list[Any]:
    return list(map(_value, values))


def _value(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return unescaped(value)
    return text_or_bytes(value) if kind is bytes else value


def _name(key: Any) -> str:
    if type(key) is str or type(key) is bytes:
        return str(readable(key))
    return _NAMES[key] if key is None or type(key) is bool else str(key)


def _extension(code: int, data: bytes) -> Any:
    if code == _EVENT_TIME and len(data) == _EVENT_TIME_BYTES:
        return int.from_bytes(data[:4], "big")
    return data
