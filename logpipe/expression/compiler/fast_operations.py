"""The functions that short forms call, and the exceptions they raise where they do not apply."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from logpipe.expression.runtime import arithmetic, comparison
from logpipe.expression.runtime.text import to_s

NOT_FAST: Final = (KeyError, TypeError, AttributeError, IndexError)
"""The exceptions of a short form that does not apply; Ruby's own errors are none of these."""


def not_fast() -> NoReturn:
    """Raise an exception that makes the full function run.

    Raises:
        KeyError: always, which is one of `NOT_FAST`.
    """
    raise KeyError


def text_of(value: Any) -> str:
    """Return the text of a value; bytes are not fast, since only the full function handles their lone surrogates."""
    return not_fast() if type(value) in _MAY_HOLD_BYTES else to_s(value)


def _modulo(left: Any, right: Any) -> Any:
    """Ruby's `%`, a format for one value at most."""
    return not_fast() if type(right) in _MAY_HOLD_BYTES else arithmetic.modulo(left, right)


def _times(left: Any, right: Any) -> Any:
    """Ruby's `*`, without the join of an Array."""
    return not_fast() if type(left) is list else arithmetic.times(left, right)


def member(value: Any, place: int) -> Any:
    """Return a member of an Array, or a character."""
    return not_fast() if type(value) is bytes else value[place]


_MAY_HOLD_BYTES: Final = frozenset({bytes, dict, list})
ARITHMETIC: Final = {"+": arithmetic.plus, "*": _times, "/": arithmetic.divide, "%": _modulo}
RELATIONS: Final = {
    "<": comparison.less, "<=": comparison.at_most, ">": comparison.greater, ">=": comparison.at_least,
}  # fmt: skip
