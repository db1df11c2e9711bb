"""Conversion of text to numbers and back: `to_i`, `Integer()`, `hex`, `chr`."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.numerals import PREFIX_BASES, check_digits, integer, real
from logpipe.expression.runtime.text import class_name, inspect, to_s
from logpipe.expression.runtime.times import NANOS, RubyTime
from logpipe.expression.runtime.values import Symbol

methods = Methods()

_FLOAT: Final = re.compile(r"\s*([-+]?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][-+]?\d+)?)", re.ASCII)
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE_PREFIX: Final = re.compile(r"\s*[-+]?(0[xXbBoO]|0(?=[0-7_]))")


def _written_base(text: str) -> int:
    """Return the base that a number's first characters name: `0x`, `0b`, `0o`; 8 for a bare 0."""
    found = _BASE_PREFIX.match(text)
    return 10 if found is None else PREFIX_BASES[found[1].lower()]


@methods.of(str, names="to_i", returns=int)
def string_to_i(text: str, base: Any = 10) -> int:
    """Return the number that the text begins with, 0 where it begins with none.

    Raises:
        RubyError: the base is not one of 2 to 36 (ArgumentError).
    """
    if base == 10 and text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    if base == 0:
        base = _written_base(text)
    if type(base) is not int or not 2 <= base <= 36:
        raise RubyError("ArgumentError", f"invalid radix {inspect(base)}")
    allowed = _DIGITS[:base]
    prefix = {16: "(?:0[xX])?", 2: "(?:0[bB])?", 8: "(?:0[oO]?)?"}.get(base, "")
    found = re.match(rf"\s*([-+]?){prefix}([{allowed}](?:_?[{allowed}])*)", text, re.IGNORECASE | re.ASCII)
    if found is None:
        return 0
    digits = found[2].replace("_", "")
    check_digits(digits)
    return int(found[1] + digits, base)


@methods.of(str, names="to_f", returns=float)
def string_to_f(text: str) -> float:
    """Return the number that the text begins with, 0.0 where it begins with none."""
    found = _FLOAT.match(text)
    if found is None:
        leading = re.match(r"\s*([-+]?\.\d+)", text)
        return float(leading[1]) if leading else 0.0
    return float(found[1].replace("_", ""))


@methods.of(str, names="hex", returns=int)
def string_hex(text: str) -> int:
    """Return the hexadecimal number that the text begins with."""
    return string_to_i(text, 16)


@methods.of(str, names="oct", returns=int)
def string_oct(text: str) -> int:
    """Return the octal number that the text begins with; a prefix such as 0x names another base."""
    stripped = text.lstrip().lstrip("+-").lower()
    return string_to_i(text, {"0x": 16, "0b": 2}.get(stripped[:2], 8))


@methods.of(str, names="to_sym intern", returns=Symbol)
def string_to_sym(text: str) -> Symbol:
    """Return the symbol of that name."""
    return Symbol.of(text)


@methods.of(str, names="to_str", returns=str)
def string_itself(text: str) -> str:
    """Return the text."""
    return text


@methods.of(str, names="to_c to_r", returns=float)
def string_to_rational(text: str) -> float:
    """Return the number that the text begins with; there are no rational numbers here."""
    return string_to_f(text)


def _quiet(options: Any) -> bool:
    """Whether `exception: false` was given."""
    return isinstance(options, dict) and options.get(Symbol.of("exception"), True) is False


@methods.function("", names="Integer", returns=None)
def kernel_integer(value: Any, base: Any = None, options: Any = None) -> int | None:
    """Return the value as an Integer.

    Raises:
        RubyError: it is none (ArgumentError, TypeError), unless `exception: false`.
    """
    if isinstance(base, dict):
        base, options = None, base
    try:
        return _integer_of(value, base)
    except RubyError:
        if _quiet(options):
            return None
        raise


def _integer_of(value: Any, base: Any) -> int:
    if isinstance(value, str):
        return integer(value, base if type(base) is int and 2 <= base <= 36 else 10)
    if type(value) is int:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise RubyError("FloatDomainError", inspect(value))
        return int(value)
    if isinstance(value, RubyTime):
        return value.nanos // NANOS
    raise RubyError("TypeError", f"can't convert {'nil' if value is None else class_name(value)} into Integer")


@methods.function("", names="Float")
def kernel_float(value: Any, options: Any = None) -> float | None:
    """Return the value as a Float.

    Raises:
        RubyError: it is none (ArgumentError, TypeError), unless `exception: false`.
    """
    try:
        return _float_of(value)
    except RubyError:
        if _quiet(options):
            return None
        raise


def _float_of(value: Any) -> float:
    if isinstance(value, str):
        return real(value)
    if type(value) in (int, float):
        return float(value)
    raise RubyError("TypeError", f"can't convert {'nil' if value is None else class_name(value)} into Float")


@methods.function("", names="String", returns=str)
def kernel_string(value: Any) -> str:
    """Return the value's text."""
    return to_s(value)


@methods.function("", names="Hash", returns=dict)
def kernel_hash(value: Any) -> dict[Any, Any]:
    """Return a hash as it is, nil and an empty array as an empty one.

    Raises:
        RubyError: the value is something else (TypeError).
    """
    if isinstance(value, dict):
        return value
    if value is None or value == []:
        return {}
    raise RubyError("TypeError", f"can't convert {class_name(value)} into Hash")


@methods.function("", names="Rational Complex BigDecimal")
def kernel_rational(value: Any, _other: Any = None) -> float | None:
    """Return the value as a Float: records hold no other numbers."""
    return kernel_float(value)
