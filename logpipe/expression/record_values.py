"""Functions of the generated loop over records: deep copies, and times from fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logpipe.errors import ExpressionError
from logpipe.event import Time
from logpipe.expression.methods.table import dispatcher
from logpipe.expression.runtime.failures import BudgetExceeded
from logpipe.expression.runtime.times import NANOS
from logpipe.expression.runtime.values import Symbol
from logpipe.raw_text import escaped, unescaped

_MAX_DEPTH = 100
_MOST_SECONDS = 10**30


def private_copy(value: Any, depth: int = 0) -> Any:
    """Return a deep copy of a record.

    Texts are copied as well, so that each is a distinct object and can be replaced by itself.

    Raises:
        BudgetExceeded: it is nested more than 100 deep.
    """
    if depth > _MAX_DEPTH:
        raise BudgetExceeded("the record is nested too deeply to be changed by an expression")
    kind = type(value)
    if kind is str:
        return value[:-1] + value[-1:]
    if kind is dict:
        return {key: private_copy(item, depth + 1) for key, item in value.items()}
    return [private_copy(item, depth + 1) for item in value] if kind is list else value


def recoder(source: str, target: str) -> Callable[[Any], Any]:
    """Return the function that reads the texts in a value as another encoding.

    Bytes that are invalid in `source` and characters that `target` does not have are replaced.

    Raises:
        RubyError: an encoding is unknown (ArgumentError).
    """
    from logpipe.expression.methods.binary import encode  # noqa: PLC0415 - rarely asked for

    options = {Symbol.of("invalid"): Symbol.of("replace"), Symbol.of("undef"): Symbol.of("replace")}

    def recoded(value: Any, depth: int = 0) -> Any:
        if depth > _MAX_DEPTH:
            raise BudgetExceeded("the record is nested too deeply for its encoding to be changed")
        if type(value) is str or type(value) is bytes:
            text = escaped(value) if type(value) is bytes else value
            return unescaped(encode(str(text), target, source, options))
        if type(value) is dict:
            return {key: recoded(item, depth + 1) for key, item in value.items()}
        return [recoded(item, depth + 1) for item in value] if type(value) is list else value

    recoded("")
    return recoded


def renewed_time(value: Any) -> Time:
    """Return the time of a field's number, in seconds since the epoch; a text without a number counts as 0.

    Raises:
        RubyError: the value has no `to_f`, such as true or an object (NoMethodError).
        ExpressionError: the number is not finite, or has more than thirty digits.
    """
    number = float(dispatcher("to_f")(value))
    if not -_MOST_SECONDS <= number <= _MOST_SECONDS:
        raise ExpressionError(f"{number} is no time")
    if type(value) is int:
        return value * NANOS
    # compat: filter_record_transformer.rb, Time.at(value.to_f): the float's exact binary value
    numerator, denominator = number.as_integer_ratio()
    return numerator * NANOS // denominator


def renewed_second(value: Any) -> Time:
    """Return the time of a field's integer, as in 0.12.

    Raises:
        RubyError: the value has no `to_i` (NoMethodError).
        ExpressionError: the number has more than thirty digits.
    """
    number = int(dispatcher("to_i")(value))
    if not -_MOST_SECONDS <= number <= _MOST_SECONDS:
        raise ExpressionError(f"{str(value)[:40]} is no time")
    return number * NANOS
