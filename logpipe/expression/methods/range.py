"""Range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logpipe.expression.arithmetic import integer_argument
from logpipe.expression.failures import BUDGET, RubyError
from logpipe.expression.methods.registry import method
from logpipe.expression.methods.string_edit import successor
from logpipe.expression.text import class_name
from logpipe.expression.values import Enumerator, Range


def range_members(values: Range) -> list[Any]:
    """Return what a range runs through.

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
    """Return the texts from one to another as `succ` counts them."""
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


@method(Range, names="begin")
def begin(values: Range) -> Any:
    """Return the lower end."""
    return values.low


@method(Range, names="first take")
def first(values: Range, count: Any = None) -> Any:
    """Return the lower end, or the first members."""
    if count is None:
        return values.low
    wanted = integer_argument(count)
    if values.high is None and type(values.low) is int:
        BUDGET.spend(wanted)
        return list(range(values.low, values.low + wanted))
    return range_members(values)[:wanted]


@method(Range, names="end")
def end(values: Range) -> Any:
    """Return the upper end."""
    return values.high


@method(Range, names="last")
def last(values: Range, count: Any = None) -> Any:
    """Return the upper end as it was written, or the last members."""
    if count is None:
        return values.high
    members = range_members(values)
    return members[max(0, len(members) - integer_argument(count)) :]


@method(Range, names="min")
def minimum(values: Range, count: Any = None, block: Callable[[Any, Any], Any] | None = None) -> Any:
    """Return the least member, or the least ones; nil where there is none."""
    from logpipe.expression.methods.enumerable_groups import minimum as least  # noqa: PLC0415 - it needs this module

    if count is None and block is None:
        return values.low if values.high is None or _has_members(values) else None
    return least(range_members(values), count, block)


@method(Range, names="max")
def maximum(values: Range, count: Any = None, block: Callable[[Any, Any], Any] | None = None) -> Any:
    """Return the greatest member, or the greatest ones; nil where there is none."""
    from logpipe.expression.methods.enumerable_groups import maximum as greatest  # noqa: PLC0415 - it needs this module

    if count is None and block is None and type(values.high) in (int, float):
        if not _has_members(values):
            return None
        return values.high - 1 if values.exclusive else values.high
    return greatest(range_members(values), count, block)


def _has_members(values: Range) -> bool:
    return bool(values.low < values.high or (values.low == values.high and not values.exclusive))


@method(Range, names="size count length", returns=None)
def size(values: Range, block: Callable[[Any], Any] | None = None) -> Any:
    """Return the number of members, or of those that the block likes."""
    if block is None and type(values.low) is int and type(values.high) is int:
        return max(0, values.stop - values.low)
    members = range_members(values)
    return len(members) if block is None else sum(block(member) not in (None, False) for member in members)


@method(Range, names="exclude_end?", returns=bool)
def excludes_end(values: Range) -> bool:
    """Return whether the range was written with three dots."""
    return values.exclusive


@method(Range, names="step %")
def step(values: Range, width: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Hand every `width`th member to the block.

    Raises:
        RubyError: the width is not positive (ArgumentError).
    """
    stride = integer_argument(width)
    if stride <= 0:
        raise RubyError("ArgumentError", "step can't be negative or 0")
    members = range_members(values)[::stride]
    if block is None:
        return Enumerator(members, "each", values)
    for member in members:
        block(member)
    return values


@method(Range, names="sum")
def total(values: Range, block: Callable[[Any], Any] | None = None) -> Any:
    """Return the sum of the members, or of what the block makes of them."""
    from logpipe.expression.methods.enumerable import total as total_of  # noqa: PLC0415 - that module needs this one

    return total_of(range_members(values), 0, block)
