"""Integer and Float."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from logpipe.expression import arithmetic, comparison
from logpipe.expression.arithmetic import divide, integer_argument, modulo, negate, power
from logpipe.expression.failures import RubyError
from logpipe.expression.methods.registry import method
from logpipe.expression.text import float_text
from logpipe.expression.times import RubyDate, RubyTime
from logpipe.expression.values import Symbol

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
    method(int, float, names=_name)(_operator)
for _name, _operator in (
    ("&", arithmetic.bit_and),
    ("|", arithmetic.bit_or),
    ("^", arithmetic.bit_xor),
    ("<<", arithmetic.shift_left),
    (">>", arithmetic.shift_right),
    ("~", arithmetic.invert),
):
    method(int, names=_name)(_operator)
for _name, _relation in (
    ("<", comparison.less),
    ("<=", comparison.at_most),
    (">", comparison.greater),
    (">=", comparison.at_least),
):
    method(int, float, str, RubyTime, RubyDate, names=_name, returns=bool)(_relation)


@method(int, float, names="fdiv", returns=float)
def float_division(value: float, other: Any) -> Any:
    """Return the quotient as a Float; that of two Integers is exact however large they are."""
    if type(value) is int and type(other) is int and other != 0:
        return value / other
    return divide(float(value), other)


method(int, float, names="modulo")(modulo)


@method(int, float, names="pow")
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


@method(int, names="to_s inspect", returns=str)
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


@method(float, names="to_s inspect", returns=str)
def float_to_s(value: float) -> str:
    """Return the number's text."""
    return float_text(value)


@method(int, float, names="to_i to_int truncate")
def to_i(value: float, digits: Any = 0) -> int | float:
    """Return the number cut towards zero.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    return floor(value, digits) if value > 0 else ceil(value, digits)


def _finite(value: float, cut: Callable[[float], int]) -> int:
    if not math.isfinite(value):
        raise RubyError("FloatDomainError", float_text(value))
    return cut(value)


def _is_exact(value: float, places: int) -> bool:
    """Whether a Float has no digits behind so many places."""
    exponent = math.frexp(value)[1]
    return places >= 17 - (exponent // 4 if exponent > 0 else -(-exponent // 3) - 1)  # compat: float_round_overflow


def _is_tiny(value: float, places: int) -> bool:
    """Whether nothing of a Float is left at so many places."""
    exponent = math.frexp(value)[1]
    return places < -(exponent // 3 + 1 if exponent > 0 else -(-exponent // 4))  # compat: float_round_underflow


@method(int, float, names="to_f", returns=float)
def to_f(value: float) -> float:
    """Return the number as a Float."""
    return float(value)


@method(int, float, names="to_r to_c to_d rationalize")
def to_r(value: float, *_digits: Any) -> float:
    """Return the number: there are no rational numbers here."""
    return value


@method(int, float, names="round")
def rounded(value: float, digits: Any = 0, options: Any = None) -> int | float:
    """Return the number rounded half away from zero, `half: :even` and `:down` otherwise.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    if isinstance(digits, dict):
        digits, options = 0, digits
    half = options.get(Symbol.of("half")) if isinstance(options, dict) else None
    places = integer_argument(digits)
    rule = half.name if isinstance(half, Symbol) else "up"
    if type(value) is int:
        return value if places >= 0 else _round_integer(value, -places, rule)
    if places > 0:
        return round_float(value, places, rule)
    whole = _finite(round_float(value, 0, rule), int)
    return whole if places == 0 else _round_integer(whole, -places, rule)


def _round_integer(value: int, places: int, half: str) -> int:
    if places > 4000:
        return 0
    scale = int(10**places)
    whole, rest = divmod(abs(value), scale)
    up = 2 * rest > scale or (2 * rest == scale and (half == "up" or (half == "even" and whole % 2 == 1)))
    result = (whole + up) * scale
    return result if value >= 0 else -result


def round_float(value: float, places: int, half: str = "up") -> float:
    """Round to so many places; `half` says where a 5 goes: up (away from zero), even or down."""
    if not math.isfinite(value):
        return value
    if _is_exact(value, places):
        return value
    if _is_tiny(value, places):
        return 0.0
    scale = 10.0**places
    shifted = abs(value) * scale
    if not math.isfinite(shifted):
        return value
    if half == "even":  # compat: float.c, round_half_even
        low = math.floor(shifted)
        rest = shifted - low
        up = 1 if rest > 0.5 else low % 2 if rest == 0.5 or (low + 0.5) / scale <= abs(value) else 0
        return math.copysign((low + up) / scale, value)
    whole = math.floor(shifted + 0.5) if half == "up" else math.ceil(shifted - 0.5)
    if half == "up" and places and (whole + 0.5) / scale <= abs(value):  # compat: float.c, round_half_up
        whole += 1
    return math.copysign(whole / scale, value)


@method(int, float, names="floor")
def floor(value: float, digits: Any = 0) -> int | float:
    """Return the number rounded towards minus infinity.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    places = integer_argument(digits)
    if places <= 0:
        scale: int = 10 ** min(-places, 4000)
        return _finite(value, math.floor) // scale * scale
    if type(value) is int or value == 0 or not math.isfinite(value) or _is_exact(value, places):
        return value
    if value > 0 and _is_tiny(value, places):
        return 0.0
    shift = 10.0**places
    whole = math.floor(value * shift)
    above = (whole + 1) / shift  # compat: float.c takes back what multiplying has lost
    return above if above <= value else whole / shift


@method(int, float, names="ceil")
def ceil(value: float, digits: Any = 0) -> int | float:
    """Return the number rounded towards infinity.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    places = integer_argument(digits)
    if places <= 0:
        scale: int = 10 ** min(-places, 4000)
        return -(-_finite(value, math.ceil) // scale * scale)
    if type(value) is int or value == 0 or not math.isfinite(value) or _is_exact(value, places):
        return value
    if value < 0 and _is_tiny(value, places):
        return 0.0
    shift = 10.0**places
    return math.copysign(math.ceil(value * shift) / shift, value)


@method(int, float, names="abs magnitude")
def absolute(value: float) -> float:
    """Return the number without its sign."""
    return abs(value)


@method(int, float, names="zero?", returns=bool)
def is_zero(value: float) -> bool:
    """Return whether the number is 0."""
    return value == 0


@method(int, float, names="positive?", returns=bool)
def is_positive(value: float) -> bool:
    """Return whether the number is above 0."""
    return value > 0


@method(int, float, names="negative?", returns=bool)
def is_negative(value: float) -> bool:
    """Return whether the number is below 0."""
    return value < 0


@method(int, float, names="nonzero?")
def nonzero(value: float) -> float | None:
    """Return the number, nil for 0."""
    return value or None


@method(int, float, names="integer?", returns=bool)
def is_integer(value: float) -> bool:
    """Return whether the number is an Integer."""
    return type(value) is int


@method(int, float, names="finite?", returns=bool)
def is_finite(value: float) -> bool:
    """Return whether the number is neither infinite nor NaN."""
    return math.isfinite(value)


@method(int, float, names="infinite?")
def infinite(value: float) -> int | None:
    """Return 1 or -1 for an infinity, nil for all else."""
    return None if not math.isinf(value) else 1 if value > 0 else -1


@method(float, names="nan?", returns=bool)
def is_nan(value: float) -> bool:
    """Return whether the value is no number."""
    return math.isnan(value)


@method(int, names="even?", returns=bool)
def is_even(value: int) -> bool:
    """Return whether 2 divides the number."""
    return value % 2 == 0


@method(int, names="odd?", returns=bool)
def is_odd(value: int) -> bool:
    """Return whether 2 does not divide the number."""
    return value % 2 == 1


@method(int, names="succ next", returns=int)
def successor(value: int) -> int:
    """Return the number after this one."""
    return value + 1


@method(int, names="pred", returns=int)
def predecessor(value: int) -> int:
    """Return the number before this one."""
    return value - 1


@method(int, float, names="div", returns=int)
def floor_division(value: float, other: Any) -> int:
    """Return the quotient floored.

    Raises:
        RubyError: the divisor is 0 (ZeroDivisionError).
    """
    if other == 0:
        raise RubyError("ZeroDivisionError", "divided by 0")
    return _finite(divide(value, other), math.floor)


@method(int, float, names="divmod", returns=list)
def quotient_and_rest(value: float, other: Any) -> list[Any]:
    """Return the floored quotient and what remains."""
    return [floor_division(value, other), modulo(value, other)]


@method(int, float, names="remainder")
def remainder(value: float, other: Any) -> Any:
    """Return what remains, with the sign of the number divided."""
    if type(value) is float or type(other) is float:
        part = modulo(value, other)
        crossed = part != 0 and (value < 0) != (other < 0) and math.isfinite(other)
        return part - other if crossed else value if not math.isfinite(other) else part
    rest = modulo(abs(value), abs(other))
    return negate(rest) if value < 0 else rest


@method(int, names="digits", returns=list)
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


@method(int, names="chr", returns=str)
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


@method(int, names="ord", returns=int)
def integer_itself(value: int) -> int:
    """Return the number."""
    return value


@method(int, names="bit_length", returns=int)
def bit_length(value: int) -> int:
    """Return how many bits the number needs."""
    return value.bit_length() if value >= 0 else (~value).bit_length()


@method(int, names="gcd", returns=int)
def greatest_divisor(value: int, other: Any) -> int:
    """Return the greatest common divisor."""
    return math.gcd(value, integer_argument(other))


@method(int, names="lcm", returns=int)
def least_multiple(value: int, other: Any) -> int:
    """Return the least common multiple."""
    return math.lcm(value, integer_argument(other))


@method(int, names="[]", returns=int)
def bit(value: int, place: Any) -> int:
    """Return one bit."""
    return value >> min(integer_argument(place), 1 << 16) & 1


@method(int, float, names="coerce", returns=list)
def coerce(value: float, other: Any) -> list[float]:
    """Return both numbers in one class: as they are where both are Integers, else as Floats."""
    return [other, value] if type(other) is int and type(value) is int else [float(other), float(value)]
