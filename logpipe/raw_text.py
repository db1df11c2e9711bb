r"""Text that is not valid UTF-8: in records it is `bytes`, exactly as it came; everything else is `str`.

Such a text is processed as a `str` in which each byte that is not UTF-8 is a lone surrogate, U+DC80 to U+DCFF, as
Python's `surrogateescape` makes them. That form never stays in a record, since JSON has lone surrogates of its own:
`"\udc80"` is another text than the byte 80.
"""

from __future__ import annotations

import re
from typing import Any, Final

_LONE: Final = re.compile("[\ud800-\udfff]")
_CONTAINERS: Final = frozenset({dict, list})
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def text_or_bytes(data: bytes) -> str | bytes:
    """Return the form of some bytes in records: text, or the bytes themselves where they are not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def is_utf8(data: bytes) -> bool:
    """Return whether bytes are valid UTF-8."""
    return type(text_or_bytes(data)) is str


def texts_or_bytes(lines: list[bytes]) -> list[str | bytes]:
    """Return the form of many lines in records."""
    try:
        return [line.decode() for line in lines]
    except UnicodeDecodeError:
        return list(map(text_or_bytes, lines))


def escaped(data: bytes) -> str:
    """Return bytes as a text to process; `unescaped` is the inverse."""
    return data.decode("utf-8", "surrogateescape")


def unescaped(text: str) -> str | bytes:
    """Return the form of a processed text in records: bytes where some are not UTF-8."""
    if text.isascii() or _LONE.search(text) is None:
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that does not represent a byte
        return text
    return text_or_bytes(data)


def holds_bytes(*values: Any) -> bool:
    """Return whether one of the values is or contains text that is not UTF-8; False for one nested too deeply."""
    try:
        for value in values:
            if type(value) not in _PLAIN and _holds_bytes(value):
                return True
    except RecursionError:
        return False
    return False


def _holds_bytes(value: Any) -> bool:
    kind = type(value)
    members = value.values() if kind is dict else value if kind is list else ()
    types = set(map(type, members))
    if bytes in types or kind is bytes:
        return True
    if types.isdisjoint(_CONTAINERS):
        return False
    return any(type(member) in _CONTAINERS and _holds_bytes(member) for member in members)


def escape_record(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return a copy of a record with its texts escaped; None where it contains no bytes and needs no copy."""
    try:
        return escape_values(record) if holds_bytes(record) else None
    except RecursionError:  # nested too deeply to be processed at all
        return None


def escape_values(value: Any) -> Any:
    """Return a copy of a value with its texts escaped.

    Lone surrogates from JSON become the bytes that Ruby's JSON makes of them, since they would mean other bytes.

    Raises:
        RecursionError: it is nested too deeply.
    """
    kind = type(value)
    if kind is dict:
        return {key: escape_values(item) for key, item in value.items()}
    if kind is list:
        return list(map(escape_values, value))
    if kind is bytes:
        return escaped(value)
    if kind is str and not value.isascii() and _LONE.search(value) is not None:
        return escaped(value.encode("utf-8", "surrogatepass"))
    return value


def unescape_values(value: Any) -> Any:
    """Return a processed value in its form in records; keys are always text.

    Raises:
        RecursionError: it is nested too deeply.
    """
    kind = type(value)
    if kind is str:
        return unescaped(value)
    if kind is dict:
        return {readable(key): unescape_values(item) for key, item in value.items()}
    return list(map(unescape_values, value)) if kind is list else value


def readable(text: Any) -> Any:
    """Return a text as valid Unicode, with U+FFFD for what is not UTF-8.

    It may be escaped or a record's; a value that is neither text nor bytes is returned unchanged.
    """
    data = unescaped(text) if type(text) is str else text
    return data.decode("utf-8", "replace") if type(data) is bytes else data
