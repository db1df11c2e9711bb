"""Range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.enumerable import counted
from logpipe.expression.methods.enumerable_groups import maximum as greatest
from logpipe.expression.methods.enumerable_groups import minimum as least
from logpipe.expression.methods.members import first_members, range_members
from logpipe.expression.runtime.arithmetic import integer_argument
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.values import Enumerator, Range

methods = Methods()


@methods.of(Range, names="begin")
def begin(values: Range) -> Any:
    """Return the lower end."""
    return values.low


@methods.of(Range, names="first")
def first(values: Range, count: Any = None) -> Any:
    """Return the lower end, or the first members."""
    return values.low if count is None else first_members(values, integer_argument(count))


@methods.of(Range, names="end")
def end(values: Range) -> Any:
    """Return the upper end."""
    return values.high


@methods.of(Range, names="last")
def last(values: Range, count: Any = None) -> Any:
    """Return the upper end, even if excluded, or the last members."""
    if count is None:
        return values.high
    members = range_members(values)
    return members[max(0, len(members) - integer_argument(count)) :]


@methods.of(Range, names="min")
def minimum(values: Range, count: Any = None, block: Callable[[Any, Any], Any] | None = None) -> Any:
    """Return the least member, or the least ones; nil where there is none."""
    if count is None and block is None:
        return values.low if values.high is None or _has_members(values) else None
    return least(range_members(values), count, block)


@methods.of(Range, names="max")
def maximum(values: Range, count: Any = None, block: Callable[[Any, Any], Any] | None = None) -> Any:
    """Return the greatest member, or the greatest ones; nil where there is none."""
    if count is None and block is None and type(values.high) in (int, float):
        if not _has_members(values):
            return None
        return values.high - 1 if values.exclusive else values.high
    return greatest(range_members(values), count, block)


def _has_members(values: Range) -> bool:
    return bool(values.low < values.high or (values.low == values.high and not values.exclusive))


@methods.of(Range, names="size length")
def size(values: Range) -> int:
    """Return the number of members."""
    if type(values.low) is int and type(values.high) is int:
        return max(0, values.stop - values.low)
    return len(range_members(values))


@methods.of(Range, names="count", returns=int)
def count(values: Range, *wanted: Any, block: Callable[[Any], Any] | None = None) -> int:
    """Return the number of members, of those equal to one, or of those for which the block returns true."""
    return counted(values, *wanted, block=block) if wanted or block is not None else size(values)


@methods.of(Range, names="exclude_end?", returns=bool)
def excludes_end(values: Range) -> bool:
    """Return whether the range was written with three dots."""
    return values.exclusive


@methods.of(Range, names="step %")
def step(values: Range, width: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Pass every `width`th member to the block.

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
