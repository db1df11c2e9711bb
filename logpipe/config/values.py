"""Converts a parameter's text as fluentd does, one pure function per type.

Invalid text that fluentd silently accepts gives the same value here, so that a running configuration keeps its meaning.
Text that fluentd refuses raises ValueError with a message for the user. The rules are those of config/types.rb.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from logpipe.config.json_text import load_json
from logpipe.errors import ExpressionError

_INTEGER: Final = re.compile(r"\s*([+-]?[0-9]+(?:_[0-9]+)*)", re.ASCII)
_FLOAT: Final = re.compile(
    r"\s*([+-]?(?:[0-9]+(?:_[0-9]+)*)?(?:\.[0-9]+(?:_[0-9]+)*)?(?:(?<=[0-9])\.?[eE][+-]?[0-9]+(?:_[0-9]+)*)?)", re.ASCII
)
_OCTAL: Final = re.compile(r"^([+-]?)0(_?[0-7])")
_STRICT_FLOAT: Final = re.compile(r"\s*[+-]?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)

# The look-behind starts every search at the head of a run of digits, which keeps long runs linear.
_SIZE_UNITS: Final = tuple(
    (re.compile(rf"(?<![0-9])([0-9]+){unit}", re.IGNORECASE), 1 << shift)
    for unit, shift in (("k", 10), ("m", 20), ("g", 30), ("t", 40))
)
_TIME_UNITS: Final = tuple(
    (re.compile(rf"(?<![0-9])([0-9]+){unit}"), seconds)
    for unit, seconds in (("s", 1), ("m", 60), ("h", 3600), ("d", 86400))
)

_SPACE: Final = " \t\r\n\f\v"


def convert_string(text: str) -> str:
    """Return the text as it is."""
    return text


def convert_integer(text: str, *, strict: bool = False) -> int:
    """Return the number that `text` begins with, 0 where it begins with none; `strict` refuses anything else."""
    if strict:
        return _strict_integer(text)
    # compat: config/types.rb INTEGER_TYPE is Ruby's to_i: 1_000 is 1000, 1.9 is 1, 0x10 and abc are 0
    found = _INTEGER.match(text)
    return _integer(found[1]) if found else 0


def convert_float(text: str, *, strict: bool = False) -> float:
    """Return the number that `text` begins with, 0.0 where it begins with none; `strict` refuses anything else."""
    if strict and not _STRICT_FLOAT.fullmatch(text):
        raise ValueError(f"{_short(text)} is not a number: write digits, with a point if need be")
    # compat: config/types.rb FLOAT_TYPE is Ruby's to_f: NaN, Infinity and 0x1f are 0.0
    found = _FLOAT.match(text)
    digits = found[1].replace("_", "") if found else ""
    return float(digits) if digits.strip("+-") else 0.0


def convert_size(text: str, *, strict: bool = False) -> int:
    """Return a number of bytes: `8m` is 8 MiB, a bare number counts bytes."""
    # compat: config/types.rb size_value takes digits and a unit from anywhere in the text, k before m before g before
    # t: 10KB is 10240, 1.5k is 5120
    for pattern, factor in _SIZE_UNITS:
        if found := pattern.search(text):
            return _integer(found[1]) * factor
    return convert_integer(text, strict=strict)


def convert_time(text: str, *, strict: bool = False) -> float:
    """Return a number of seconds: `10m` is 600, a bare number counts seconds and may have a fraction."""
    # compat: config/types.rb time_value takes digits and a unit from anywhere in the text, s before m before h before
    # d: 1m30s is 30, 1.5m is 300, 10ms is 600, and units are lower case
    for pattern, factor in _TIME_UNITS:
        if found := pattern.search(text):
            return float(_integer(found[1]) * factor)
    seconds = convert_float(text, strict=strict)
    if math.isinf(seconds):
        raise ValueError(f"{_short(text)} is too long a time: write a number of seconds, or 30s, 5m, 2h, 1d")
    return seconds


def convert_bool(text: str, *, strict: bool = False) -> bool | None:
    """Return true for `true`, `yes` and nothing at all, false for `false` and `no`, None (nil) for anything else."""
    if text in {"true", "yes", ""}:
        return True
    if text in {"false", "no"}:
        return False
    # compat: config/types.rb bool_value, since a comment after a flag (`enable_ruby #yes`) is read as its value
    if text.startswith("#"):
        return True
    if strict:
        raise ValueError(f"{_short(text)} is neither true nor false: write true or false")
    return None


def convert_enum(text: str, *, choices: Sequence[str]) -> str:
    """Return `text`, which must be one of `choices`."""
    if text in choices:
        return text
    raise ValueError(f"{_short(text)} is not one of the choices: write one of {', '.join(choices)}")


def convert_array(text: str) -> list[Any]:
    """Return a list: JSON where the text starts with `[`, else the text between commas."""
    if text.startswith("["):
        value = load_json(text)
        return value if isinstance(value, list) else []
    return list(_split_commas(text))


def convert_hash(text: str) -> dict[str, Any]:
    """Return a mapping: JSON where the text starts with `{`, else `key:value` pairs between commas."""
    if text.startswith("{"):
        value = load_json(text)
        return value if isinstance(value, dict) else {}
    pairs: dict[str, Any] = {}
    for item in _split_commas(text):
        if not item:
            raise ValueError(f"{_short(text)} has an empty pair: write key:value,key:value without stray commas")
        # compat: config/types.rb hash_value reads a word without a colon as a key whose value is nil
        key, colon, value = item.partition(":")
        pairs[key] = value if colon else None
    return pairs


def split_regexp(text: str) -> tuple[str, str]:
    """Return a regular expression's source and its flags, `i` and `m` of Ruby, in that order.

    `/source/flags` and a bare source are both accepted.
    """
    if not text.startswith("/"):
        return text, ""
    end = text.rindex("/")
    if end < len(text) - 3:
        raise ValueError(f"the regular expression {_short(text)} has no closing /: end it with /, /i or /m")
    # compat: config/types.rb regexp_value reads /a as an empty expression and ignores flags other than i and m
    return text[1:end] if end else "", "".join(flag for flag in "im" if flag in text[end + 1 :])


class InvalidRegexpError(ValueError):
    """A regular expression does not compile; `offset` is the error's place in the parameter's text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def convert_regexp(text: str) -> re.Pattern[str]:
    """Return the compiled regular expression; Ruby's syntax and meaning.

    Raises:
        InvalidRegexpError: it does not compile.
        ValueError: it begins with a slash and has no closing one.
    """
    from logpipe.expression.regexp.pattern import compile_regexp  # noqa: PLC0415 - settings without regexps do not pay for it

    source, flags = split_regexp(text)
    try:
        return compile_regexp(source, flags)
    except ExpressionError as problem:
        hint = f" ({problem.hint})" if problem.hint else ""
        raise InvalidRegexpError(f"{problem}{hint}", (problem.offset or 0) + text.startswith("/")) from None


def text_of(item: Any) -> str:
    """Return a JSON value as the text that fluentd passes to a list's or hash's item type (Ruby's `to_s`)."""
    if isinstance(item, str):
        return item
    return "" if item is None else _inspected(item)


def _inspected(item: Any) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if item is None:
        return "nil"
    if isinstance(item, float):
        return _float_text(item)
    if isinstance(item, list):
        return f"[{', '.join(_inspected(child) for child in item)}]"
    if isinstance(item, dict):
        return f"{{{', '.join(f'{_inspected(key)}=>{_inspected(child)}' for key, child in item.items())}}}"
    if isinstance(item, str):
        escaped = item.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return str(item)


def _float_text(number: float) -> str:
    mantissa, _, exponent = repr(number).partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"


def _split_commas(text: str) -> list[str]:
    parts = [part.strip(_SPACE) for part in text.split(",")]
    # compat: Ruby's split drops empty parts at the end, and keeps those at the start
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError(f"{_short(digits)} has too many digits") from None


def _strict_integer(text: str) -> int:
    # compat: Ruby's Integer() accepts prefixes and underscores as Python does, and 017 for 0o17
    try:
        return int(_OCTAL.sub(r"\g<1>0o\g<2>", text.strip(_SPACE)), 0)
    except ValueError:
        raise ValueError(f"{_short(text)} is not an integer: write digits only") from None


def _short(text: str) -> str:
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    return f'"{shown}"'
