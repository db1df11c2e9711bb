"""Integer and Float: rounding by Ruby's own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.arithmetic import integer_argument
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.text import float_text
from logpipe.expression.runtime.values import Symbol

methods = Methods()


@methods.of(int, float, names="to_i to_int truncate")
def to_i(value: float, digits: Any = 0) -> int | float:
    """Return the number cut towards zero.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    return floor(value, digits) if value > 0 else ceil(value, digits)


def finite(value: float, cut: Callable[[float], int]) -> int:
    """Return a number converted by `cut`.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    if not math.isfinite(value):
        raise RubyError("FloatDomainError", float_text(value))
    return cut(value)


def _is_exact(value: float, places: int) -> bool:
    """Return whether a Float has no digits after so many places."""
    exponent = math.frexp(value)[1]
    return places >= 17 - (exponent // 4 if exponent > 0 else -(-exponent // 3) - 1)  # compat: float_round_overflow


def _is_tiny(value: float, places: int) -> bool:
    """Return whether a Float rounds to 0 at so many places."""
    exponent = math.frexp(value)[1]
    return places < -(exponent // 3 + 1 if exponent > 0 else -(-exponent // 4))  # compat: float_round_underflow


@methods.of(int, float, names="round")
def rounded(value: float, digits: Any = 0, options: Any = None) -> int | float:
    """Return the number rounded half away from zero, or by `half: :even` and `half: :down`.

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
    whole = finite(round_float(value, 0, rule), int)
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
    """Round to so many places; `half` is the direction of a 5: up (away from zero), even or down."""
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


@methods.of(int, float, names="floor")
def floor(value: float, digits: Any = 0) -> int | float:
    """Return the number rounded towards minus infinity.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    places = integer_argument(digits)
    if places <= 0:
        scale: int = 10 ** min(-places, 4000)
        return finite(value, math.floor) // scale * scale
    if type(value) is int or value == 0 or not math.isfinite(value) or _is_exact(value, places):
        return value
    if value > 0 and _is_tiny(value, places):
        return 0.0
    shift = 10.0**places
    whole = math.floor(value * shift)
    above = (whole + 1) / shift  # compat: float.c corrects the error of the multiplication
    return above if above <= value else whole / shift


@methods.of(int, float, names="ceil")
def ceil(value: float, digits: Any = 0) -> int | float:
    """Return the number rounded towards infinity.

    Raises:
        RubyError: it is not finite (FloatDomainError).
    """
    places = integer_argument(digits)
    if places <= 0:
        scale: int = 10 ** min(-places, 4000)
        return -(-finite(value, math.ceil) // scale * scale)
    if type(value) is int or value == 0 or not math.isfinite(value) or _is_exact(value, places):
        return value
    if value < 0 and _is_tiny(value, places):
        return 0.0
    shift = 10.0**places
    return math.copysign(math.ceil(value * shift) / shift, value)
