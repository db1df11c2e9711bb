"""Integer and Float, and loops that count."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.rounding import finite
from logpipe.expression.runtime import arithmetic, comparison
from logpipe.expression.runtime.arithmetic import divide, integer_argument, modulo, negate, power
from logpipe.expression.runtime.comparison import is_number
from logpipe.expression.runtime.failures import BUDGET, RubyError
from logpipe.expression.runtime.indexing import bit
from logpipe.expression.runtime.text import float_text
from logpipe.expression.runtime.times import RubyDate, RubyTime
from logpipe.expression.runtime.values import Enumerator, Symbol

methods = Methods()

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

_OF_NUMBERS: Final[dict[str, Callable[..., Any]]] = {
    "+": arithmetic.plus, "-": arithmetic.minus, "*": arithmetic.times, "/": arithmetic.divide,
    "% modulo": arithmetic.modulo, "**": arithmetic.power, "-@": arithmetic.negate, "+@": arithmetic.positive,
    "nonzero?": lambda value: value or None,
    "infinite?": lambda value: None if not math.isinf(value) else 1 if value > 0 else -1,
}  # fmt: skip
_OF_INTEGERS: Final[dict[str, Callable[..., Any]]] = {
    "&": arithmetic.bit_and, "|": arithmetic.bit_or, "^": arithmetic.bit_xor, "~": arithmetic.invert,
    "<<": arithmetic.shift_left, ">>": arithmetic.shift_right,
}  # fmt: skip
_INTEGERS_OF_INTEGERS: Final[dict[str, Callable[..., int]]] = {
    "[]": bit,
    "succ next": lambda value: value + 1,
    "pred": lambda value: value - 1,
    "ord": lambda value: value,
    "bit_length": lambda value: value.bit_length() if value >= 0 else (~value).bit_length(),
    "gcd": lambda value, other: math.gcd(value, integer_argument(other)),
    "lcm": lambda value, other: math.lcm(value, integer_argument(other)),
}
_RELATIONS: Final[dict[str, Callable[..., Any]]] = {
    "<": comparison.less, "<=": comparison.at_most, ">": comparison.greater, ">=": comparison.at_least,
}  # fmt: skip
_TESTS: Final[dict[str, Callable[..., bool]]] = {
    "zero?": lambda value: value == 0,
    "positive?": lambda value: value > 0,
    "negative?": lambda value: value < 0,
    "integer?": lambda value: type(value) is int,
}
_PARITIES: Final[dict[str, Callable[..., bool]]] = {
    "even?": lambda value: value % 2 == 0,
    "odd?": lambda value: value % 2 == 1,
}
methods.each_of(int, float, named=_OF_NUMBERS)
methods.each_of(int, named=_OF_INTEGERS)
methods.each_of(int, named=_INTEGERS_OF_INTEGERS, returns=int)
methods.each_of(int, float, str, RubyTime, RubyDate, named=_RELATIONS, returns=bool)
methods.each_of(int, float, named=_TESTS, returns=bool)
methods.each_of(int, named=_PARITIES, returns=bool)
methods.of(float, names="to_s inspect", returns=str)(float_text)


@methods.of(int, float, names="to_f", returns=float)
def to_f(value: float) -> float:
    """Return the number as a Float."""
    return float(value)


@methods.of(int, float, names="abs magnitude")
def absolute(value: float) -> float:
    """Return the number without its sign."""
    return abs(value)


@methods.of(int, float, names="finite?", returns=bool)
def is_finite(value: float) -> bool:
    """Return whether the number is neither infinite nor NaN."""
    return math.isfinite(value)


@methods.of(float, names="nan?", returns=bool)
def is_nan(value: float) -> bool:
    """Return whether the value is NaN."""
    return math.isnan(value)


@methods.of(int, float, names="fdiv", returns=float)
def float_division(value: float, other: Any) -> Any:
    """Return the quotient as a Float; that of two Integers is exact however large they are."""
    if type(value) is int and type(other) is int and other != 0:
        return value / other
    return divide(float(value), other)


@methods.of(int, float, names="pow")
def raised(value: float, exponent: Any, modulus: Any = None) -> Any:
    """Return the power, or its remainder after a division.

    Raises:
        RubyError: the modulus is 0 (ZeroDivisionError), or a number is no Integer.
    """
    if modulus is None:
        return power(value, exponent)
    base, divisor = integer_argument(value), integer_argument(modulus)
    if divisor == 0:
        raise RubyError("ZeroDivisionError", "divided by 0")
    return pow(base, max(0, integer_argument(exponent)), divisor)


@methods.of(int, names="to_s inspect", returns=str)
def integer_to_s(value: int, base: Any = 10) -> str:
    """Return the number's digits in a base of 2 to 36.

    Raises:
        RubyError: another base (ArgumentError).
    """
    if base == 10:
        return str(value)
    if type(base) is not int or not 2 <= base <= 36:
        raise RubyError("ArgumentError", f"invalid radix {base}")
    digits, rest = "", abs(value)
    while rest:
        rest, digit = divmod(rest, base)
        digits = _DIGITS[digit] + digits
    return ("-" if value < 0 else "") + (digits or "0")


@methods.of(int, float, names="to_r to_c to_d rationalize")
def to_r(value: float, *_digits: Any) -> float:
    """Return the number: there are no rational numbers here."""
    return value


@methods.of(int, float, names="div", returns=int)
def floor_division(value: float, other: Any) -> int:
    """Return the quotient floored.

    Raises:
        RubyError: the divisor is 0 (ZeroDivisionError).
    """
    if other == 0:
        raise RubyError("ZeroDivisionError", "divided by 0")
    return finite(divide(value, other), math.floor)


@methods.of(int, float, names="divmod", returns=list)
def quotient_and_rest(value: float, other: Any) -> list[Any]:
    """Return the floored quotient and the remainder."""
    return [floor_division(value, other), modulo(value, other)]


@methods.of(int, float, names="remainder")
def remainder(value: float, other: Any) -> Any:
    """Return the remainder, with the sign of the dividend."""
    if type(value) is float or type(other) is float:
        part = modulo(value, other)
        crossed = part != 0 and (value < 0) != (other < 0) and math.isfinite(other)
        return part - other if crossed else value if not math.isfinite(other) else part
    rest = modulo(abs(value), abs(other))
    return negate(rest) if value < 0 else rest


@methods.of(int, names="digits", returns=list)
def digits_of(value: int, base: Any = 10) -> list[int]:
    """Return the digits, the lowest first.

    Raises:
        RubyError: the number is negative (Math::DomainError), or the base below 2.
    """
    base = integer_argument(base)
    if value < 0 or base < 2:
        raise RubyError("Math::DomainError", "out of domain")
    digits = []
    while True:
        value, digit = divmod(value, base)
        digits.append(digit)
        if value == 0:
            return digits


@methods.of(int, names="chr", returns=str)
def character(value: int, _encoding: Any = None) -> str:
    """Return the character of that number; 128 to 255 are bytes unless an encoding is named.

    Raises:
        RubyError: there is none (RangeError).
    """
    if 0 <= value < 128 or (_encoding is not None and 0 <= value <= 0x10FFFF):
        return chr(value)
    if 0 <= value < 256:
        return chr(0xDC00 + value)
    raise RubyError("RangeError", f"{value} out of char range")


@methods.of(int, float, names="coerce", returns=list)
def coerce(value: float, other: Any) -> list[float]:
    """Return both numbers in one class: unchanged where both are Integers, else as Floats."""
    return [other, value] if type(other) is int and type(value) is int else [float(other), float(value)]


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
    # compat: numeric.c, ruby_float_step_size: a last step that is missed by a rounding error only is taken
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
