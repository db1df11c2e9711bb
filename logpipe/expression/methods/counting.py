"""Integer: loops that count."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from logpipe.expression.arithmetic import integer_argument
from logpipe.expression.comparison import is_number
from logpipe.expression.failures import BUDGET, RubyError
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.values import Enumerator, Symbol

methods = Methods()


@methods.of(int, names="times")
def repeat(value: int, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with 0, 1 … up to the number less one."""
    if block is None:
        BUDGET.spend(max(0, value))
        return Enumerator(list(range(value)), "each", value)
    for turn in range(value):
        BUDGET.spend()
        block(turn)
    return value


@methods.of(int, names="upto")
def count_up(value: int, last: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with each number from this one up to `last`."""
    return _count(value, range(value, integer_argument(last) + 1), block)


@methods.of(int, names="downto")
def count_down(value: int, last: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with each number from this one down to `last`."""
    return _count(value, range(value, integer_argument(last) - 1, -1), block)


@methods.of(int, float, names="step")
def count_by(value: float, last: Any, step: Any = 1, block: Callable[[Any], Any] | None = None) -> Any:
    """Run the block with every `step`th number from this one to `last`; `by: 2, to: 9` names the two.

    Raises:
        RubyError: the step is 0 (ArgumentError), or there is no end.
    """
    if isinstance(last, dict):
        step, last = last.get(Symbol.of("by"), 1), last.get(Symbol.of("to"))
    if not (is_number(last) and is_number(step)):
        raise RubyError("ArgumentError", "a step needs a number to end at")
    if step == 0:
        raise RubyError("ArgumentError", "step can't be 0")
    if type(value) is int and type(last) is int and type(step) is int:
        return _count(value, range(value, last + (1 if step > 0 else -1), step), block)
    # compat: numeric.c, ruby_float_step_size: a last step that only rounding keeps away is taken
    error = (abs(value) + abs(last) + abs(last - value)) / abs(step) * sys.float_info.epsilon
    turns = (last - value) / step
    count = max(0, math.floor(turns + min(error, 0.5)) + 1) if math.isfinite(turns) else 0
    BUDGET.spend(count)
    return _count(value, [float(value + turn * step) for turn in range(count)], block)


def _count(value: float, numbers: Sequence[float], block: Callable[[Any], Any] | None) -> Any:
    if block is None:
        BUDGET.spend(len(numbers))
        return Enumerator(list(numbers), "each", value)
    for number in numbers:
        BUDGET.spend()
        block(number)
    return value
