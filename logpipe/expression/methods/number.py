"""Integer and Float."""

from __future__ import annotations

import math
from typing import Any

from logpipe.expression import arithmetic, comparison
from logpipe.expression.arithmetic import divide, integer_argument, modulo, negate, power
from logpipe.expression.failures import RubyError
from logpipe.expression.indexing import bit
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.rounding import finite
from logpipe.expression.text import float_text
from logpipe.expression.times import RubyDate, RubyTime

methods = Methods()

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

for _name, _operator in (
    ("+", arithmetic.plus),
    ("-", arithmetic.minus),
    ("*", arithmetic.times),
    ("/", arithmetic.divide),
    ("%", arithmetic.modulo),
    ("**", arithmetic.power),
    ("-@", arithmetic.negate),
    ("+@", arithmetic.positive),
):
    methods.of(int, float, names=_name)(_operator)
for _name, _operator in (
    ("&", arithmetic.bit_and),
    ("|", arithmetic.bit_or),
    ("^", arithmetic.bit_xor),
    ("<<", arithmetic.shift_left),
    (">>", arithmetic.shift_right),
    ("~", arithmetic.invert),
):
    methods.of(int, names=_name)(_operator)
methods.of(int, names="[]", returns=int)(bit)
for _name, _relation in (
    ("<", comparison.less),
    ("<=", comparison.at_most),
    (">", comparison.greater),
    (">=", comparison.at_least),
):
    methods.of(int, float, str, RubyTime, RubyDate, names=_name, returns=bool)(_relation)


@methods.of(int, float, names="fdiv", returns=float)
def float_division(value: float, other: Any) -> Any:
    """Return the quotient as a Float; that of two Integers is exact however large they are."""
    if type(value) is int and type(other) is int and other != 0:
        return value / other
    return divide(float(value), other)


methods.of(int, float, names="modulo")(modulo)


@methods.of(int, float, names="pow")
def raised(value: float, exponent: Any, modulus: Any = None) -> Any:
    """Return the power, or what remains of it after a division.

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


@methods.of(float, names="to_s inspect", returns=str)
def float_to_s(value: float) -> str:
    """Return the number's text."""
    return float_text(value)


@methods.of(int, float, names="to_f", returns=float)
def to_f(value: float) -> float:
    """Return the number as a Float."""
    return float(value)


@methods.of(int, float, names="to_r to_c to_d rationalize")
def to_r(value: float, *_digits: Any) -> float:
    """Return the number: there are no rational numbers here."""
    return value


@methods.of(int, float, names="abs magnitude")
def absolute(value: float) -> float:
    """Return the number without its sign."""
    return abs(value)


@methods.of(int, float, names="zero?", returns=bool)
def is_zero(value: float) -> bool:
    """Return whether the number is 0."""
    return value == 0


@methods.of(int, float, names="positive?", returns=bool)
def is_positive(value: float) -> bool:
    """Return whether the number is above 0."""
    return value > 0


@methods.of(int, float, names="negative?", returns=bool)
def is_negative(value: float) -> bool:
    """Return whether the number is below 0."""
    return value < 0


@methods.of(int, float, names="nonzero?")
def nonzero(value: float) -> float | None:
    """Return the number, nil for 0."""
    return value or None


@methods.of(int, float, names="integer?", returns=bool)
def is_integer(value: float) -> bool:
    """Return whether the number is an Integer."""
    return type(value) is int


@methods.of(int, float, names="finite?", returns=bool)
def is_finite(value: float) -> bool:
    """Return whether the number is neither infinite nor NaN."""
    return math.isfinite(value)


@methods.of(int, float, names="infinite?")
def infinite(value: float) -> int | None:
    """Return 1 or -1 for an infinity, nil for all else."""
    return None if not math.isinf(value) else 1 if value > 0 else -1


@methods.of(float, names="nan?", returns=bool)
def is_nan(value: float) -> bool:
    """Return whether the value is no number."""
    return math.isnan(value)


@methods.of(int, names="even?", returns=bool)
def is_even(value: int) -> bool:
    """Return whether 2 divides the number."""
    return value % 2 == 0


@methods.of(int, names="odd?", returns=bool)
def is_odd(value: int) -> bool:
    """Return whether 2 does not divide the number."""
    return value % 2 == 1


@methods.of(int, names="succ next", returns=int)
def successor(value: int) -> int:
    """Return the number after this one."""
    return value + 1


@methods.of(int, names="pred", returns=int)
def predecessor(value: int) -> int:
    """Return the number before this one."""
    return value - 1


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
    """Return the floored quotient and what remains."""
    return [floor_division(value, other), modulo(value, other)]


@methods.of(int, float, names="remainder")
def remainder(value: float, other: Any) -> Any:
    """Return what remains, with the sign of the number divided."""
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


@methods.of(int, names="ord", returns=int)
def integer_itself(value: int) -> int:
    """Return the number."""
    return value


@methods.of(int, names="bit_length", returns=int)
def bit_length(value: int) -> int:
    """Return how many bits the number needs."""
    return value.bit_length() if value >= 0 else (~value).bit_length()


@methods.of(int, names="gcd", returns=int)
def greatest_divisor(value: int, other: Any) -> int:
    """Return the greatest common divisor."""
    return math.gcd(value, integer_argument(other))


@methods.of(int, names="lcm", returns=int)
def least_multiple(value: int, other: Any) -> int:
    """Return the least common multiple."""
    return math.lcm(value, integer_argument(other))


@methods.of(int, float, names="coerce", returns=list)
def coerce(value: float, other: Any) -> list[float]:
    """Return both numbers in one class: as they are where both are Integers, else as Floats."""
    return [other, value] if type(other) is int and type(value) is int else [float(other), float(value)]
