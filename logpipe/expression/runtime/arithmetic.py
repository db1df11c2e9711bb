"""Ruby's arithmetic over every type: `+ - * / % **`, bits and shifts.

The compiler writes Python's own operator where its result is the same, and one of these elsewhere. Integers are limited
to 8192 bits, texts and lists by the budget.
"""

from __future__ import annotations

import math
from typing import Any, Final, NoReturn

from logpipe.expression.runtime.comparison import is_number, truthy
from logpipe.expression.runtime.failures import BUDGET, BudgetExceeded, RubyError, check_size, no_method
from logpipe.expression.runtime.format import sprintf
from logpipe.expression.runtime.text import class_name, describe, inspect, join
from logpipe.expression.runtime.times import NANOS, RubyDate, RubyTime
from logpipe.expression.runtime.values import as_key

_MAX_BITS: Final = 8192
"""The widest integer an expression may compute: some 2400 decimal digits."""


def _coerced(name: str, left: Any, right: Any) -> NoReturn:
    """Raise Ruby's error for an arithmetic operator between incompatible types."""
    if type(left) is bytes or type(right) is bytes:
        raise TypeError  # makes the full function run, where all texts are `str`: `compiler.fast.NOT_FAST`
    if is_number(left):
        shown = inspect(right) if right is None or isinstance(right, bool) else class_name(right)
        raise RubyError("TypeError", f"{shown} can't be coerced into {class_name(left)}")
    if isinstance(left, (str, list)) and name == "+":
        shown = inspect(right) if right is None or isinstance(right, bool) else class_name(right)
        raise RubyError("TypeError", f"no implicit conversion of {shown} into {class_name(left)}")
    no_method(name, describe(left))


def plus(left: Any, right: Any) -> Any:
    """Ruby's `+`."""
    if type(left) is str and type(right) is str:
        check_size(len(left) + len(right))
        return left + right
    if is_number(left) and is_number(right):
        return _bounded(left + right)
    if isinstance(left, list) and isinstance(right, list):
        check_size(len(left) + len(right))
        return [*left, *right]
    if isinstance(left, RubyTime) and is_number(right):
        return left.at(left.nanos + round(right * _unit(left)))
    _coerced("+", left, right)


def minus(left: Any, right: Any) -> Any:
    """Ruby's `-`."""
    if is_number(left) and is_number(right):
        return left - right
    if isinstance(left, list) and isinstance(right, list):
        BUDGET.spend(len(left))
        gone = {as_key(item) for item in right}
        return [item for item in left if as_key(item) not in gone]
    if isinstance(left, RubyTime) and isinstance(right, RubyTime):
        return float(left.nanos - right.nanos) / _unit(left)  # compat: time.c rounds twice
    if isinstance(left, RubyTime) and is_number(right):
        return left.at(left.nanos - round(right * _unit(left)))
    _coerced("-", left, right)


def _unit(moment: RubyTime) -> int:
    """Return the nanoseconds of a unit: a Time counts seconds, a DateTime days."""
    return 86_400 * NANOS if isinstance(moment, RubyDate) else NANOS


def times(left: Any, right: Any) -> Any:
    """Ruby's `*`."""
    if is_number(left) and is_number(right):
        if type(left) is int and type(right) is int and left.bit_length() + right.bit_length() > _MAX_BITS:
            raise BudgetExceeded(f"the expression computes an integer of more than {_MAX_BITS} bits")
        return left * right
    if isinstance(left, (str, list)):
        if isinstance(left, list) and isinstance(right, str):
            return join(left, right)
        count = integer_argument(right)
        if count < 0:
            raise RubyError("ArgumentError", "argument must be non-negative")
        check_size(len(left) * count)
        return left * count
    _coerced("*", left, right)


def divide(left: Any, right: Any) -> Any:
    """Ruby's `/`: integers are floored."""
    if not (is_number(left) and is_number(right)):
        _coerced("/", left, right)
    if type(left) is int and type(right) is int:
        if right == 0:
            raise RubyError("ZeroDivisionError", "divided by 0")
        return left // right
    if right == 0:
        if left == 0 or left != left:  # noqa: PLR0124 - not a number equals nothing
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1.0, right)
    return left / right


def modulo(left: Any, right: Any) -> Any:
    """Ruby's `%`: the sign is the divisor's; a String is formatted."""
    if isinstance(left, str):
        return sprintf(left, *(right if isinstance(right, list) else [right]))
    if not (is_number(left) and is_number(right)):
        _coerced("%", left, right)
    if right == 0:
        raise RubyError("ZeroDivisionError", "divided by 0")
    rest = left % right
    return math.copysign(0.0, left) if rest == 0 and type(rest) is float else rest


def power(left: Any, right: Any) -> Any:
    """Ruby's `**`."""
    if not (is_number(left) and is_number(right)):
        _coerced("**", left, right)
    if type(left) is int and type(right) is int:
        if right < 0:
            raise RubyError("RangeError", f"{left}**{right} is a Rational, which records cannot hold; use {left}.0")
        if left not in (0, 1, -1) and left.bit_length() * right > _MAX_BITS:
            raise BudgetExceeded(f"the expression computes an integer of more than {_MAX_BITS} bits")
        return left**right
    try:
        result = float(left) ** right
    except OverflowError:
        return math.inf
    return math.nan if isinstance(result, complex) else result


def _bounded(value: Any) -> Any:
    if type(value) is int and value.bit_length() > _MAX_BITS:
        raise BudgetExceeded(f"the expression computes an integer of more than {_MAX_BITS} bits")
    return value


def integer_argument(value: Any) -> int:
    """Return the argument of a method that requires an Integer; floats are truncated.

    Raises:
        RubyError: the value is not a number (TypeError), or not finite.
    """
    if type(value) is int:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise RubyError("FloatDomainError", "Infinity")
        return int(value)
    shown = "from nil to integer" if value is None else f"of {class_name(value)} into Integer"
    raise RubyError("TypeError", f"no implicit conversion {shown}")


def string_argument(value: Any) -> str:
    """Return the argument of a method that requires a String.

    Raises:
        RubyError: it is not a String (TypeError).
    """
    if type(value) is str:
        return value
    shown = inspect(value) if value is None or isinstance(value, bool) else class_name(value)
    raise RubyError("TypeError", f"no implicit conversion of {shown} into String")


def _both_integers(name: str, left: Any, right: Any) -> None:
    if type(left) is not int:
        no_method(name, describe(left))
    if type(right) is not int:
        raise RubyError("TypeError", f"{inspect(right)} can't be coerced into Integer")


def bit_and(left: Any, right: Any) -> Any:
    """Ruby's `&`: bits, the common members of two arrays, or truth."""
    if left is None or isinstance(left, bool):
        return truthy(left) and truthy(right)
    if isinstance(left, list) and isinstance(right, list):
        BUDGET.spend(len(left) + len(right))
        kept = {as_key(item) for item in right}
        return [item for key, item in {as_key(item): item for item in left}.items() if key in kept]
    _both_integers("&", left, right)
    return left & right


def bit_or(left: Any, right: Any) -> Any:
    """Ruby's `|`: bits, the members of either array, or truth."""
    if left is None or isinstance(left, bool):
        return truthy(left) or truthy(right)
    if isinstance(left, list) and isinstance(right, list):
        BUDGET.spend(len(left) + len(right))
        return list({as_key(item): item for item in [*left, *right]}.values())
    _both_integers("|", left, right)
    return left | right


def bit_xor(left: Any, right: Any) -> Any:
    """Ruby's `^`."""
    if left is None or isinstance(left, bool):
        return truthy(left) != truthy(right)
    _both_integers("^", left, right)
    return left ^ right


def shift_right(left: Any, right: Any) -> Any:
    """Ruby's `>>` of integers, and of days."""
    if isinstance(left, RubyDate):
        return left.months_later(integer_argument(right))
    _both_integers(">>", left, right)
    return left >> min(right, _MAX_BITS * 2) if right >= 0 else shift_left(left, -right)


def shift_left(left: Any, right: Any) -> Any:
    """Ruby's `<<` of integers; those of strings and arrays are methods that change the receiver."""
    _both_integers("<<", left, right)
    if right < 0:
        return shift_right(left, -right)
    if left.bit_length() + right > _MAX_BITS:
        raise BudgetExceeded(f"the expression computes an integer of more than {_MAX_BITS} bits")
    return left << right


def negate(value: Any) -> Any:
    """Ruby's unary minus."""
    if not is_number(value):
        no_method("-@", describe(value))
    return -value


def positive(value: Any) -> Any:
    """Ruby's unary plus."""
    if not (is_number(value) or isinstance(value, str)):
        no_method("+@", describe(value))
    return value


def invert(value: Any) -> Any:
    """Ruby's `~`."""
    if type(value) is not int:
        no_method("~", describe(value))
    return ~value
