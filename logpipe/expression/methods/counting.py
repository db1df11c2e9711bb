"""Integer: loops that count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logpipe.expression.arithmetic import integer_argument
from logpipe.expression.failures import BUDGET, RubyError, no_method
from logpipe.expression.methods.registry import method
from logpipe.expression.values import Enumerator


@method(int, names="times")
def repeat(value: int, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with 0, 1 … up to the number less one."""
    if block is None:
        BUDGET.spend(max(0, value))
        return Enumerator(list(range(value)), "each", value)
    for turn in range(value):
        BUDGET.spend()
        block(turn)
    return value


@method(int, names="upto")
def count_up(value: int, last: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with each number from this one up to `last`."""
    return _count(value, range(value, integer_argument(last) + 1), block)


@method(int, names="downto")
def count_down(value: int, last: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with each number from this one down to `last`."""
    return _count(value, range(value, integer_argument(last) - 1, -1), block)


@method(int, float, names="step")
def count_by(value: int, last: Any, step: Any = 1, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with every `step`th number from this one to `last`.

    Raises:
        RubyError: the step is 0 (ArgumentError).
    """
    if not all(type(number) is int for number in (value, last, step)):
        no_method("step", "a Float; only integers are counted here")
    if step == 0:
        raise RubyError("ArgumentError", "step can't be 0")
    return _count(value, range(value, last + (1 if step > 0 else -1), step), block)


def _count(value: int, numbers: range, block: Callable[[Any], Any] | None) -> Any:
    if block is None:
        BUDGET.spend(len(numbers))
        return Enumerator(list(numbers), "each", value)
    for number in numbers:
        BUDGET.spend()
        block(number)
    return value
