"""The methods of every value, and of nil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.comparison import compare, eql, equal, in_range, is_a, matches, ordered
from logpipe.expression.runtime.failures import RubyError, check_size
from logpipe.expression.runtime.json import to_json
from logpipe.expression.runtime.text import class_name, inspect, to_s
from logpipe.expression.runtime.times import RubyDate, RubyTime
from logpipe.expression.runtime.values import DefaultHash, HashKey, Range, RubyClass, Symbol

methods = Methods()

NIL = type(None)

methods.of(object, names="eql?", returns=bool)(eql)
methods.of(object, names="<=>")(compare)
methods.of(object, names="===", returns=bool)(matches)


@methods.of(object, names="to_s", returns=str)
def written(value: Any) -> str:
    """Return the value's text, within the budget."""
    text = to_s(value)
    check_size(len(text))
    return text


@methods.of(object, names="inspect", returns=str)
def inspected(value: Any) -> str:
    """Return the value's source-like text, within the budget."""
    text = inspect(value)
    check_size(len(text))
    return text


@methods.of(object, names="to_json", returns=str)
def as_json(value: Any, *_state: Any) -> str:
    """Return the value as JSON."""
    return to_json(value)


@methods.of(object, names="==", returns=bool)
def same_value(value: Any, other: Any) -> bool:
    """Return whether the two are equal."""
    return equal(value, other)


@methods.of(object, names="!=", returns=bool)
def other_value(value: Any, other: Any) -> bool:
    """Return whether the two differ."""
    return not equal(value, other)


@methods.of(object, names="equal?", returns=bool)
def same_object(value: Any, other: Any) -> bool:
    """Return whether the two are one object; the compiler handles literals, which are new objects each time."""
    return value is other or (
        type(value) is type(other) is not str and isinstance(value, (int, Symbol)) and value == other
    )


@methods.of(object, names="nil?", returns=bool)
def is_nil(value: Any) -> bool:
    """Return whether the value is nil."""
    return value is None


@methods.of(object, names="class", returns=RubyClass)
def class_of(value: Any) -> RubyClass:
    """Return the value's class."""
    return RubyClass(class_name(value))


@methods.of(object, names="is_a? kind_of?", returns=bool)
def is_kind_of(value: Any, kind: Any) -> bool:
    """Return whether the value's class is `kind` or below it.

    Raises:
        RubyError: `kind` is no class (TypeError).
    """
    if not isinstance(kind, RubyClass):
        raise RubyError("TypeError", "class or module required")
    return is_a(value, kind.name)


@methods.of(object, names="instance_of?", returns=bool)
def is_instance_of(value: Any, kind: Any) -> bool:
    """Return whether the value's class is exactly `kind`."""
    return isinstance(kind, RubyClass) and class_name(value) == kind.name


@methods.of(object, names="itself freeze")
def itself(value: Any) -> Any:
    """Return the value as it is."""
    return value


@methods.of(object, names="dup clone")
def duplicate(value: Any, _options: Any = None) -> Any:
    """Return a shallow copy."""
    if isinstance(value, DefaultHash):
        copied = DefaultHash(value.default, value.maker)
        copied.update(value)
        return copied
    return value.copy() if isinstance(value, (list, dict)) else value


@methods.of(object, names="frozen?", returns=bool)
def is_frozen(value: Any) -> bool:
    """Return whether the value is immutable: numbers, symbols, nil and ranges."""
    return not isinstance(value, (str, list, dict))


@methods.of(object, names="then yield_self")
def pass_on(value: Any, block: Callable[[Any], Any]) -> Any:
    """Return the result of the block for the value."""
    return block(value)


@methods.of(object, names="tap")
def look_at(value: Any, block: Callable[[Any], Any]) -> Any:
    """Pass the value to the block and return it."""
    block(value)
    return value


@methods.of(object, names="hash", returns=int)
def hash_of(value: Any) -> int:
    """Return a hash code, the same for equal values."""
    return hash(HashKey(value))


@methods.of(object, names="!", returns=bool)
def negated(value: Any) -> bool:
    """Return whether the value is nil or false."""
    return value is None or value is False


@methods.of(object, names="=~")
def no_match(_value: Any, _pattern: Any) -> None:
    """Return nil: only strings, symbols and regular expressions match."""
    return


@methods.of(object, names="instance_variables methods", returns=list)
def nothing_to_list(_value: Any) -> list[Any]:
    """Return an empty list: values have no instance variables here."""
    return []


@methods.of(object, names="enum_for to_enum each_entry")
def no_enumerator(value: Any) -> Any:
    """Return the value, which already is a list of what it yields."""
    return value


@methods.of(NIL, names="to_a", returns=list)
def nil_to_a(_nil: None) -> list[Any]:
    """Return an empty Array."""
    return []


@methods.of(NIL, names="to_h", returns=dict)
def nil_to_h(_nil: None) -> dict[Any, Any]:
    """Return an empty Hash."""
    return {}


@methods.of(NIL, names="to_i", returns=int)
def nil_to_i(_nil: None) -> int:
    """Return 0."""
    return 0


@methods.of(NIL, names="to_f", returns=float)
def nil_to_f(_nil: None) -> float:
    """Return 0.0."""
    return 0.0


@methods.of(str, int, float, Symbol, RubyTime, RubyDate, names="between?", returns=bool)
def is_between(value: Any, low: Any, high: Any) -> bool:
    """Return whether the value lies between two others, which are included."""
    return ordered(value, low) >= 0 and ordered(value, high) <= 0


@methods.of(str, int, float, Symbol, RubyTime, RubyDate, names="clamp")
def clamp(value: Any, low: Any, high: Any = None) -> Any:
    """Return the value, or the limit that it exceeds.

    Raises:
        RubyError: the limits are in the wrong order (ArgumentError).
    """
    if isinstance(low, Range):
        low, high = low.low, low.high
    if low is not None and high is not None and ordered(low, high) > 0:
        raise RubyError("ArgumentError", "min argument must be less than or equal to max argument")
    if low is not None and ordered(value, low) < 0:
        return low
    return high if high is not None and ordered(value, high) > 0 else value


@methods.of(Range, names="include? member? ===", returns=bool)
def includes(values: Range, value: Any) -> bool:
    """Return whether the range covers a value."""
    return in_range(values, value)


@methods.of(Range, names="cover?", returns=bool)
def covers(values: Range, value: Any) -> bool:
    """Return whether the range covers a value, or all of another range."""
    if isinstance(value, Range):
        return in_range(values, value.low) and (in_range(values, value.high) or value == values)
    return in_range(values, value)


@methods.of(RubyClass, names="name to_s inspect", returns=str)
def class_text(kind: RubyClass) -> str:
    """Return the class's name."""
    return kind.name


@methods.of(RubyError, names="message to_s full_message", returns=str)
def message(error: RubyError) -> str:
    """Return the exception's message."""
    return str(error)


@methods.of(RubyError, names="backtrace", returns=list)
def backtrace(_error: RubyError) -> list[Any]:
    """Return an empty list: an expression has no lines to trace."""
    return []


@methods.of(Symbol, names="to_sym", returns=Symbol)
def symbol_itself(symbol: Symbol) -> Symbol:
    """Return the symbol."""
    return symbol
