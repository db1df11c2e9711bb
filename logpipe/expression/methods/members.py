"""The members of arrays, hashes, ranges and enumerators.

Those of a hash are pairs `[key, value]`; a block with two parameters gets both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from logpipe.expression.methods.string_edit import successor
from logpipe.expression.runtime.failures import BUDGET, RubyError
from logpipe.expression.runtime.text import class_name
from logpipe.expression.runtime.values import Enumerator, Range, from_key

Block: TypeAlias = Callable[..., Any]

WALKED: Final = (list, dict, Range, Enumerator)


def members(value: Any) -> list[Any]:
    """Return a value's members, and take a step of the budget for each."""
    if isinstance(value, list):
        BUDGET.spend(len(value))
        return value
    if isinstance(value, dict):
        BUDGET.spend(len(value))
        return [[from_key(key), item] for key, item in value.items()]
    if isinstance(value, Range):
        return range_members(value)
    BUDGET.spend(len(value.values))
    values: list[Any] = value.values
    return values


def waiting(value: Any, name: str) -> Enumerator:
    """Return the Enumerator of a method called without its block."""
    return Enumerator(list(members(value)), name, value)


def first_members(values: Range, wanted: int) -> list[Any]:
    """Return the first members of a range, which may have no end."""
    if values.high is None and type(values.low) is int:
        BUDGET.spend(wanted)
        return list(range(values.low, values.low + wanted))
    return range_members(values)[:wanted]


def range_members(values: Range) -> list[Any]:
    """Return the members of a range.

    Raises:
        RubyError: it has no end (RangeError), or its ends cannot be counted (TypeError).
    """
    low, high = values.low, values.high
    if type(low) is int and type(high) in (int, float):
        last = int(high) if type(high) is int else int(high // 1)
        exclusive = values.exclusive and last == high
        count = max(0, last - low + (0 if exclusive else 1))
        BUDGET.spend(count)
        return list(range(low, low + count))
    if high is None:
        raise RubyError("RangeError", "cannot convert endless range to an array")
    if isinstance(low, str) and isinstance(high, str):
        return list(text_range(low, high, exclusive=values.exclusive))
    raise RubyError("TypeError", f"can't iterate from {class_name(low)}")


def text_range(low: str, high: str, *, exclusive: bool) -> list[str]:
    """Return the texts from one to another by `succ`."""
    found: list[str] = []
    text = low
    if len(low) > len(high) or (len(low) == len(high) and low > high):
        return found
    while len(text) <= len(high):
        BUDGET.spend()
        if text == high:
            return found if exclusive else [*found, text]
        found.append(text)
        text = successor(text)
    return found
