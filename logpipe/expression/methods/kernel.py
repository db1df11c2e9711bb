"""Kernel: functions without a receiver."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, NoReturn

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.enumerable import to_a
from logpipe.expression.methods.enumerable_groups import unique
from logpipe.expression.methods.members import WALKED
from logpipe.expression.methods.pattern import to_a as match_to_a
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.failures import BUDGET, RubyError, check_size
from logpipe.expression.runtime.format import sprintf
from logpipe.expression.runtime.matches import MatchData
from logpipe.expression.runtime.text import to_s
from logpipe.expression.runtime.values import Range, RubyClass

methods = Methods()

_LIBRARIES: Final = """
base64 bigdecimal cgi cgi/escape cgi/util date digest digest/md5 digest/sha1 digest/sha2 erb ipaddr json oj openssl
pathname securerandom set socket stringio time uri yajl zlib English active_support active_support/all
"""
HARMLESS: Final = frozenset(_LIBRARIES.split())
"""Libraries that `require` may name; their contents are either built in or refused where they are used."""


@methods.function("", names="format sprintf", returns=str)
def formatted(template: Any, *args: Any) -> str:
    """Fill a template."""
    return sprintf(string_argument(template), *args)


@methods.function("", names="rand")
@methods.function("Random", names="rand")
def rand(limit: Any = 0) -> Any:
    """Return a random number below a limit or in a range, between 0 and 1 without one."""
    if isinstance(limit, Range):
        if type(limit.low) is int and type(limit.high) is int:
            return random.randrange(limit.low, limit.stop) if limit.stop > limit.low else None
        return limit.low + random.random() * (limit.high - limit.low)
    whole = 0 if limit is None else abs(integer_argument(limit))
    return random.randrange(whole) if whole else random.random()


@methods.function("", names="raise fail")
def raise_error(what: Any = "unhandled exception", message: Any = None, *_rest: Any) -> NoReturn:
    """Raise an exception: RuntimeError for a text, else of the class given.

    Raises:
        RubyError: always.
    """
    if isinstance(what, RubyError):
        raise what
    if isinstance(what, RubyClass):
        raise RubyError(what.name, what.name if message is None else to_s(message))
    raise RubyError("RuntimeError", to_s(what))


@methods.function("", names="loop")
def loop(block: Callable[[Any], Any]) -> Any:
    """Run the block until it breaks, raises StopIteration, or the budget is spent."""
    try:
        while True:
            BUDGET.spend()
            block(None)
    except RubyError as error:
        if error.is_a("StopIteration"):
            return None
        raise


@methods.function("", names="require", returns=bool)
def require(_name: Any) -> bool:
    """Return true; the compiler has checked the name."""
    return True


@methods.function("Array", names="new", returns=list)
def new_array(size: Any = 0, value: Any = None, block: Callable[[Any], Any] | None = None) -> list[Any]:
    """Return a list of one value repeated, of the block's result for each place, or a copy."""
    if isinstance(size, list):
        return list(size)
    count = integer_argument(size)
    check_size(count)
    if count < 0:
        raise RubyError("ArgumentError", "negative array size")
    if block is None:
        return [value] * count
    BUDGET.spend(count)
    return [block(place) for place in range(count)]


@methods.function("", names="Array", returns=list)
def to_array(value: Any) -> list[Any]:
    """Return a value as an array: nil as an empty one, a hash as pairs, a range's members, others as one member."""
    if isinstance(value, MatchData):
        return match_to_a(value)
    if isinstance(value, WALKED):
        return to_a(value)
    return [] if value is None else [value]


@methods.function("String", names="new", returns=str)
def new_string(text: Any = "", *_options: Any) -> str:
    """Return a new text."""
    return string_argument(text)


@methods.function("Set", names="new", returns=list)
def new_set(items: Any = None) -> list[Any]:
    """Return the members once each; a set is an Array here."""
    return [] if items is None else unique(items)


@methods.function("", names="block_given? srand", returns=bool)
def no_block(*_args: Any) -> bool:
    """Return false."""
    return False


@methods.function("", names="JSON")
def json_of(value: Any) -> Any:
    """Return the value of a JSON text, or a value as JSON."""
    from logpipe.expression.runtime.json import parse_json, to_json  # noqa: PLC0415 - rarely used

    return parse_json(value) if isinstance(value, str) else to_json(value)
