"""Numbers as text, read as by Ruby's `Integer()` and `Float()`."""

from __future__ import annotations

import re
from typing import Final

from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.text import inspect

_WHOLE_FLOAT: Final = re.compile(r"\s*[-+]?\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][-+]?\d+)?\s*", re.ASCII)
_HEX_FLOAT: Final = re.compile(r"\s*[-+]?0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]+)?[pP][-+]?\d{1,4}\s*")
_PREFIXED: Final = re.compile(
    r"\s*([-+]?)(0[xX]|0[bB]|0[oO]|0(?=[0-7_]))?([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)\s*", re.ASCII
)
PREFIX_BASES: Final = {"0x": 16, "0b": 2, "0o": 8, "0": 8}
_MOST_DIGITS: Final = 2000


def check_digits(digits: str) -> None:
    """Refuse a number of excessive length.

    Raises:
        RubyError: it has too many digits (RangeError).
    """
    if len(digits) > _MOST_DIGITS:
        raise RubyError("RangeError", f"a number of {len(digits)} digits; {_MOST_DIGITS} is the limit")


def integer(text: str, base: int = 10) -> int:
    """Return the number of the whole text, as by `Integer()`.

    Raises:
        RubyError: it is not one (ArgumentError).
    """
    found = _PREFIXED.fullmatch(text)
    if found is not None:
        prefix = (found[2] or "").lower()
        base = PREFIX_BASES.get(prefix, base)
        digits = found[3].replace("_", "")
        check_digits(digits)
        try:
            return int(found[1] + digits, base)
        except ValueError:
            pass
    raise RubyError("ArgumentError", f"invalid value for Integer(): {inspect(text)}")


def real(text: str) -> float:
    """Return the number of the whole text, as by `Float()`.

    Raises:
        RubyError: it is not one (ArgumentError).
    """
    if _WHOLE_FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if re.fullmatch(r"\s*[-+]?0[xX][0-9a-fA-F_]+\s*", text):
        return float(integer(text))
    if _HEX_FLOAT.fullmatch(text):
        return float.fromhex(text)
    raise RubyError("ArgumentError", f"invalid value for Float(): {inspect(text)}")
