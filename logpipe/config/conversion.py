"""Selects the function that reads a setting's text, by the setting's annotation.

`ambiguity` finds numbers, sizes and times that fluentd reads differently from what was meant: `300ms`, `1.5k`, `1m30s`.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Final, Literal, NewType

from logpipe.config.json_text import dump_json
from logpipe.config.values import (
    convert_array,
    convert_bool,
    convert_enum,
    convert_float,
    convert_hash,
    convert_integer,
    convert_regexp,
    convert_size,
    convert_string,
    convert_time,
    text_of,
)
from logpipe.errors import ExpressionError
from logpipe.expression.accessor import RecordAccessor

Size = NewType("Size", int)
"""A number of bytes."""

Seconds = NewType("Seconds", float)
"""A duration in seconds."""

FileMode = NewType("FileMode", int)
"""The mode of a file or folder, written in octal digits."""


def convert_file_mode(text: str) -> int:
    """Return a file's mode.

    Raises:
        ValueError: the text is not one.
    """
    if not re.fullmatch("0?[0-7]{1,4}", text):
        raise ValueError(f"{text!r} is no file mode: write octal digits, 0640 for example")
    return int(text, 8)


def convert_path(text: str) -> RecordAccessor:
    """Return a path into records.

    Raises:
        ValueError: the text is not one.
    """
    try:
        return RecordAccessor(text)
    except ExpressionError as problem:
        raise ValueError(str(problem)) from None


_SIMPLE: Final[dict[Any, Callable[..., Any]]] = {
    str: convert_string,
    int: convert_integer,
    float: convert_float,
    bool: convert_bool,
    Size: convert_size,
    Seconds: convert_time,
    FileMode: convert_file_mode,
    RecordAccessor: convert_path,
}


_NUMBERS: Final = frozenset({int, float, bool, Size, Seconds})


def converter(hint: Any, *, strict: bool = False) -> Callable[[str], Any]:
    """Return the function that turns a parameter's text into a value of type `hint`.

    With `strict` text that is no number or bool is refused, as by fluentd's `--strict-config-value`.

    The function raises ValueError with a message on text it cannot read. Supported hints: str, int, float, bool, Size,
    Seconds, FileMode, RecordAccessor, re.Pattern[str], Literal of strings, list and dict of these, and each of them or
    None.
    """
    if isinstance(hint, Hashable) and hint in _SIMPLE:
        return partial(_SIMPLE[hint], strict=True) if strict and hint in _NUMBERS else _SIMPLE[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        inner = [argument for argument in arguments if argument is not type(None)]
        if len(inner) == 1:
            return converter(inner[0], strict=strict)
    if origin is Literal and all(isinstance(choice, str) for choice in arguments):
        return partial(convert_enum, choices=arguments)
    if hint is re.Pattern or origin is re.Pattern:
        return convert_regexp
    if origin is list or hint is list:
        return partial(_list, inner=converter(arguments[0], strict=strict) if arguments else None)
    if origin is dict or hint is dict:
        return partial(
            _dict, inner=converter(arguments[1], strict=strict) if arguments and arguments[1] is not Any else None
        )
    raise TypeError(f"no conversion to {hint!r}: give the setting a convert function")


def _list(text: str, *, inner: Callable[[str], Any] | None) -> list[Any]:
    found = convert_array(text)
    return found if inner is None else [_inner(item, inner) for item in found]


def _dict(text: str, *, inner: Callable[[str], Any] | None) -> dict[str, Any]:
    found = convert_hash(text)
    return found if inner is None else {key: _inner(item, inner) for key, item in found.items()}


def _inner(item: Any, inner: Callable[[str], Any]) -> Any:
    # JSON items are already typed; fluentd converts them to text and applies the item's rule
    return inner(item if isinstance(item, str) else text_of(item)) if item is not None else None


def default_words(default: Any) -> str | None:
    """Return a default as a user would write it; None where it cannot be written."""
    if default is None or isinstance(default, str):
        return default
    return dump_json(default) if isinstance(default, (list, dict)) else text_of(default)


MOST: Final = 1 << 62
"""Larger values are not checked."""

_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-zA-Z]*)\s*")
_SIZES: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_TIMES: Final = {
    "": 1.0, "ms": 0.001, "msec": 0.001, "millis": 0.001, "us": 0.000001, "s": 1.0, "sec": 1.0, "secs": 1.0,
    "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0,
    "hr": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0, "w": 604800.0,
}  # fmt: skip
_TIME_UNITS: Final = {"d": 86400, "h": 3600, "m": 60}
_TIME_WORDS: Final = (("d", "day"), ("h", "hour"), ("m", "minute"))


def ambiguity(text: str, value: Any, hint: Any) -> tuple[str, str] | None:
    """Return how fluentd reads a text, and what to write instead; None where that is the obvious reading.

    Args:
        text: what the user wrote.
        value: what it was converted to.
        hint: the setting's type.
    """
    kind = _kind(hint)
    if kind is bool:
        hint = "write true or false; a comment goes on a line of its own"
        return ("read as true", hint) if text.startswith("#") else None
    if kind not in {Seconds, Size, int, float} or abs(value) > MOST or _is_number(text, value):
        return None
    if kind is Seconds:
        meant, shown = _meant_seconds(text), _duration(value)
        hint = "write seconds, or 30s, 5m, 2h, 1d" if meant is None else f"write {_write_seconds(meant)}"
    elif kind is Size:
        meant, shown = _meant_bytes(text), _counted(value, "byte")
        hint = "write bytes, or 64k, 8m, 1g" if meant is None else f"write {_write_bytes(meant)}"
    else:
        meant, shown, hint = None, f"{value:g}" if kind is float else f"{value}", "write a number"
    return None if meant is not None and math.isclose(value, meant, rel_tol=1e-9) else (f"read as {shown}", hint)


def _is_number(text: str, value: float) -> bool:
    try:
        return float(text) == value
    except ValueError:
        return False


def _kind(hint: Any) -> Any:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return next(inner for inner in typing.get_args(hint) if inner is not types.NoneType)
    return hint


def _meant_seconds(text: str) -> float | None:
    """Return the obvious meaning: the sum of quantities, each with a known unit; None where there is none."""
    text, total, end = text.strip(), 0.0, 0
    for found in _QUANTITY.finditer(text):
        factor = _TIMES.get(found[2].lower())
        if factor is None or found.start() != end:
            return None
        total += float(found[1]) * factor
        end = found.end()
    return total if text and end == len(text) and total < MOST else None


def _meant_bytes(text: str) -> float | None:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        return None
    unit = found[2].lower()
    factor = _SIZES.get(unit if len(unit) < 2 else unit.removesuffix("b").removesuffix("i"))
    meant = float(found[1]) * (factor or 0)
    return None if factor is None or meant > MOST else meant


def _duration(seconds: float) -> str:
    for unit, word in _TIME_WORDS:
        size = _TIME_UNITS[unit]
        if seconds and seconds % size == 0:
            return _counted(seconds / size, word)
    return _counted(seconds, "second")


def _counted(number: float, word: str) -> str:
    return f"{int(number) if number == int(number) else number} {word}{'' if number == 1 else 's'}"


def _write_seconds(seconds: float) -> str:
    for unit, size in _TIME_UNITS.items():
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds == int(seconds) else f"{seconds:g}"


def _write_bytes(size: float) -> str:
    for unit in "tgmk":
        if size >= _SIZES[unit] and size % _SIZES[unit] == 0:
            return f"{size / _SIZES[unit]:g}{unit}"
    return f"{math.ceil(size)}"
