"""Equality, order and class of Ruby values: `==`, `<=>`, `===`, `is_a?`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol, runtime_checkable

from logpipe.expression.runtime.failures import BUDGET, RubyError, no_method
from logpipe.expression.runtime.matches import LAST_MATCH, MatchData, Regexp
from logpipe.expression.runtime.text import class_name, describe, inspect
from logpipe.expression.runtime.times import RubyTime
from logpipe.expression.runtime.values import Proc, Range, RubyClass, Symbol

_NUMBERS: Final = (int, float)


@runtime_checkable
class Covering(Protocol):
    """A value with a `===` of its own, such as a network for its addresses."""

    def covers(self, value: Any) -> bool:
        """Return whether the value belongs to it."""
        ...


def truthy(value: Any) -> bool:
    """Whether a value counts as true: all but nil and false, so 0 and "" too."""
    return value is not None and value is not False


def is_number(value: Any) -> bool:
    """Whether a value is an Integer or a Float."""
    return type(value) is int or type(value) is float


def equal(left: Any, right: Any) -> bool:
    """Ruby's `==`: 1 equals 1.0, but true is not 1."""
    if left is right:
        return not (isinstance(left, float) and math.isnan(left))
    kind, other = type(left), type(right)
    if kind is bool or other is bool:
        return False
    if isinstance(left, list) and isinstance(right, list):
        BUDGET.spend(len(left))
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        BUDGET.spend(len(left))
        return len(left) == len(right) and all(key in right and equal(item, right[key]) for key, item in left.items())
    if isinstance(left, MatchData) and isinstance(right, MatchData):
        return left.match is right.match
    return bool(left == right)


def eql(left: Any, right: Any) -> bool:
    """Ruby's `eql?`: as `==`, but 1 is not 1.0."""
    return equal(left, right) and (type(left) is type(right) or not is_number(left))


def matches(pattern: Any, value: Any) -> bool:
    """Ruby's `===`, used by `case`: whether a class, range, regular expression or lambda matches a value."""
    match pattern:
        case RubyClass():
            return is_a(value, pattern.name)
        case Range():
            return in_range(pattern, value)
        case Regexp():
            subject = value.name if isinstance(value, Symbol) else value
            if not isinstance(subject, str):
                LAST_MATCH.data = None
                return False
            return LAST_MATCH.note(pattern.search(subject), pattern) is not None
        case Proc():
            return truthy(pattern(value))
        case Covering():
            return pattern.covers(value)
    return equal(pattern, value)


_ANCESTORS: Final = {
    "Integer": {"Integer", "Numeric", "Comparable"}, "Float": {"Float", "Numeric", "Comparable"},
    "String": {"String", "Comparable"}, "Symbol": {"Symbol", "Comparable"}, "Array": {"Array", "Enumerable"},
    "Hash": {"Hash", "Enumerable"}, "Range": {"Range", "Enumerable"}, "Time": {"Time", "Comparable"},
    "DateTime": {"DateTime", "Date", "Comparable"}, "Date": {"Date", "Comparable"}, "Class": {"Class", "Module"},
    "Enumerator": {"Enumerator", "Enumerable"},
}  # fmt: skip


def is_a(value: Any, name: str) -> bool:
    """Ruby's `is_a?` with a class or module named `name`."""
    own = class_name(value)
    if name in ("Object", "BasicObject", "Kernel") or own == name:
        return True
    if isinstance(value, RubyError):
        return value.is_a(name)
    return name in _ANCESTORS.get(own, ())


def in_range(values: Range, value: Any) -> bool:
    """Return whether a range covers a value; incomparable values are outside."""
    low = 0 if values.low is None else compare(values.low, value)
    if low is None or low > 0:
        return False
    if values.high is None:
        return True
    high = compare(value, values.high)
    return high is not None and (high < 0 if values.exclusive else high <= 0)


def compare(left: Any, right: Any) -> int | None:
    """Ruby's `<=>`: -1, 0, 1, or None where the two have no order."""
    if is_number(left) and is_number(right):
        if left != left or right != right:  # noqa: PLR0124 - not a number equals nothing
            return None
        return int(left > right) - int(left < right)
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    if isinstance(left, RubyTime) and isinstance(right, RubyTime):
        return (left.nanos > right.nanos) - (left.nanos < right.nanos)
    if isinstance(left, Symbol) and isinstance(right, Symbol):
        return (left.name > right.name) - (left.name < right.name)
    if isinstance(left, list) and isinstance(right, list):
        BUDGET.spend(len(left))
        for first, second in zip(left, right, strict=False):
            order = compare(first, second)
            if order != 0:
                return order
        return (len(left) > len(right)) - (len(left) < len(right))
    return 0 if equal(left, right) else None


def ordered(left: Any, right: Any) -> int:
    """Compare for `<`, `sort` and `max`.

    Raises:
        RubyError: the two have no order (ArgumentError), or the left one is nil (NoMethodError).
    """
    order = compare(left, right)
    if order is None:
        shown = inspect(right) if right is None or isinstance(right, (bool, *_NUMBERS)) else class_name(right)
        raise RubyError("ArgumentError", f"comparison of {class_name(left)} with {shown} failed")
    return order


def _within(name: str, left: dict[Any, Any], right: dict[Any, Any]) -> bool:
    """Compare two hashes: `<=` is whether all pairs of the left one are in the right one."""
    small, large = (left, right) if name[0] == "<" else (right, left)
    BUDGET.spend(len(small))
    if len(name) == 1 and len(small) == len(large):
        return False
    return all(key in large and equal(item, large[key]) for key, item in small.items())


def _relation(name: str, decide: Callable[[int], bool]) -> Callable[[Any, Any], bool]:
    def relation(left: Any, right: Any) -> bool:
        if isinstance(left, dict) and isinstance(right, dict):
            return _within(name, left, right)
        if not isinstance(left, (str, int, float, RubyTime, Symbol)) or isinstance(left, bool):
            no_method(name, describe(left))
        return decide(ordered(left, right))

    return relation


less = _relation("<", lambda order: order < 0)
at_most = _relation("<=", lambda order: order <= 0)
greater = _relation(">", lambda order: order > 0)
at_least = _relation(">=", lambda order: order >= 0)
