"""Selects the function that reads a setting's text, by the setting's annotation."""

from __future__ import annotations

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
