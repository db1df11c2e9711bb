"""Fluentd's record_accessor: `name`, `$.a.b[0]`, `$['a']["b.c"][0]` compiled to functions that read, write and delete.

Values nested in a record may be shared with other records, so `set` and `delete` copy what they change below the top.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from logpipe.errors import ExpressionError
from logpipe.event import Record

Key: TypeAlias = str | int

_STEP: Final = re.compile(r"\[(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|(-?\d+))\]")
_INDEX: Final = re.compile(r"\[(-?\d+)\]")


class RecordAccessor:
    """One path into records. A plain name is one top-level key, dots and all.

    Attributes:
        text: The path as the user wrote it.
        keys: Its steps: names of fields, and integers for places in arrays.
        get: Returns the value at the path, None where a step is missing.
    """

    __slots__ = ("get", "keys", "text")

    def __init__(self, text: str) -> None:
        """Compile a path.

        Raises:
            ExpressionError: the path is malformed; `offset` is the place.
        """
        self.text = text
        self.keys: tuple[Key, ...] = tuple(parse_path(text))
        self.get: Callable[[Record], Any] = _getter(self.keys)

    def __repr__(self) -> str:
        return f"RecordAccessor({self.text!r})"

    def dig(self, record: Record) -> Any:
        """Return the value at the path, None where a step is missing, as Ruby's `dig` does.

        Raises:
            ExpressionError: a value on the path is neither an object nor an array.
        """
        value: Any = record
        for key in self.keys:
            if value is None:
                return None
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int):
                value = value[key] if -len(value) <= key < len(value) else None
            else:
                raise ExpressionError(f"{self.text}: there is no {key!r} in a value of type {type(value).__name__}")
        return value

    def set(self, record: Record, value: Any) -> None:
        """Write `value` at the path; missing objects on the path are created, as in fluentd.

        Raises:
            ExpressionError: a value on the path is neither an object nor an array.
        """
        holder = _own_way(record, self.keys[:-1], make=True)
        last = self.keys[-1]
        fits = isinstance(holder, list) and isinstance(last, int) and -len(holder) <= last < len(holder)
        if not (isinstance(holder, dict) or fits):
            raise ExpressionError(f"cannot write to {self.text}: a value on the path is no object or array")
        holder[last] = value

    def delete(self, record: Record) -> Any:
        """Remove the value at the path and return it; None where there is none."""
        if len(self.keys) == 1:
            return record.pop(str(self.keys[0]), None)
        if self.get(record) is None and not self._present(record):
            return None
        holder = _own_way(record, self.keys[:-1], make=False)
        last = self.keys[-1]
        if isinstance(holder, dict):
            return holder.pop(last, None)
        if isinstance(holder, list) and isinstance(last, int) and -len(holder) <= last < len(holder):
            return holder.pop(last)
        return None

    def _present(self, record: Record) -> bool:
        holder = _getter(self.keys[:-1])(record)
        return isinstance(holder, dict) and self.keys[-1] in holder


def parse_path(text: str) -> list[Key]:
    """Split a path into its steps.

    Raises:
        ExpressionError: the path is malformed; `offset` is the place.
    """
    if text.startswith("$."):
        return _dotted(text)
    if text.startswith("$["):
        return _bracketed(text, 1)
    return [text]


def _dotted(text: str) -> list[Key]:
    keys: list[Key] = []
    offset = 2
    for part in text[2:].split("."):
        name, bracket, _ = part.partition("[")
        if re.search(r"\s", name):
            raise ExpressionError(
                f"white space in the path {text!r}", offset=offset, hint="use the form $['a b'] for such names"
            )
        if name:
            keys.append(name)
        if bracket:
            keys += _indices(text, part[len(name) :], offset + len(name))
        elif not name:
            raise ExpressionError(f"an empty step in the path {text!r}", offset=offset, hint="write $.name.name")
        offset += len(part) + 1
    return keys


def _indices(text: str, brackets: str, offset: int) -> list[Key]:
    found: list[Key] = [int(index) for index in _INDEX.findall(brackets)]
    if not found or _INDEX.sub("", brackets):
        raise ExpressionError(
            f"{brackets!r} in the path {text!r} is no place in an array", offset=offset, hint="write [0]"
        )
    return found


def _bracketed(text: str, position: int) -> list[Key]:
    keys: list[Key] = []
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ExpressionError(
                f"the path {text!r} is malformed at {text[position:]!r}",
                offset=position,
                hint="write $['name'] or $[\"name\"][0]",
            )
        single, double, index = match.groups()
        keys.append(
            int(index) if index is not None else re.sub(r"\\(.)", r"\1", single if single is not None else double)
        )
        position = match.end()
    return keys


def _getter(keys: Sequence[Key]) -> Callable[[Record], Any]:
    """Choose the shortest function that reads the path."""
    match keys:
        case []:
            return lambda record: record
        case [str(only)]:
            return lambda record: record.get(only)
        case [str(first), str(second)]:

            def get_two(record: Record) -> Any:
                try:
                    return record[first][second]
                except (KeyError, TypeError):
                    return None

            return get_two
    steps = tuple(keys)

    def get(record: Record) -> Any:
        value: Any = record
        for key in steps:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
                value = value[key]
            else:
                return None
        return value

    return get


def _own_way(record: Record, keys: Sequence[Key], *, make: bool) -> Any:
    """Return the last container on the path; each one on it is replaced by a copy, since they may be shared."""
    holder: Any = record
    for key in keys:
        inner: Any = None
        if isinstance(holder, dict):
            inner = holder.get(key)
        elif isinstance(holder, list) and isinstance(key, int) and -len(holder) <= key < len(holder):
            inner = holder[key]
        else:
            return None
        if inner is None and make:
            inner = {}
        elif isinstance(inner, (dict, list)):
            inner = inner.copy()
        else:
            return None
        holder[key] = inner
        holder = inner
    return holder
