"""JSON, written and read as by Ruby."""

from __future__ import annotations

import json
import math
from json.encoder import encode_basestring
from typing import Any, Final, NoReturn

from logpipe.expression.runtime.failures import BudgetExceeded, RubyError, check_size
from logpipe.expression.runtime.text import float_text, inspect, to_s
from logpipe.expression.runtime.values import Symbol, from_key

_MAX_NESTING: Final = 100
_MOST_PIECES: Final = 1_000_000


def to_json(value: Any) -> str:
    """Return `to_json`: no blanks, only necessary escapes.

    Raises:
        RubyError: NaN, an infinity, invalid bytes, or more than 100 levels (JSON::GeneratorError).
    """
    written: list[str] = []
    _write(value, written, 0)
    text = "".join(written)
    check_size(len(text))
    return text


def _write(value: Any, written: list[str], depth: int) -> None:
    if depth > _MAX_NESTING:
        raise RubyError("JSON::NestingError", f"nesting of {depth} is too deep")
    if len(written) > _MOST_PIECES:
        raise BudgetExceeded("the value is too large to be written as JSON")
    kind = type(value)
    if kind is str:
        written.append(_quoted(value))
    elif value is None:
        written.append("null")
    elif kind is bool:
        written.append("true" if value else "false")
    elif kind is int:
        written.append(str(value))
    elif kind is float:
        if not math.isfinite(value):
            raise RubyError("JSON::GeneratorError", f"{inspect(value)} not allowed in JSON")
        written.append(float_text(value))
    elif isinstance(value, list):
        separator = "["
        for item in value:
            written.append(separator)
            _write(item, written, depth + 1)
            separator = ","
        written.append("]" if value else "[]")
    elif isinstance(value, dict):
        separator = "{"
        for key, item in value.items():
            written.append(f"{separator}{_quoted(key if type(key) is str else to_s(from_key(key)))}:")
            _write(item, written, depth + 1)
            separator = ","
        written.append("}" if value else "{}")
    else:
        written.append(_quoted(to_s(value)))


def _quoted(text: str) -> str:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise RubyError("JSON::GeneratorError", "source sequence is illegal/malformed utf-8")
    return encode_basestring(text)


def pretty_json(value: Any) -> str:
    """Return `JSON.pretty_generate`: two blanks for each level.

    Raises:
        RubyError: as `to_json`.
    """
    to_json(value)  # raises for a value that is too large or nested too deeply
    return _pretty(value, "")


def _pretty(value: Any, indent: str) -> str:
    inner = indent + "  "
    if indent and isinstance(value, (list, dict)) and not value:
        # compat: json 2.6 of Ruby 3.1 writes nested empty containers on two lines
        return f"[\n\n{indent}]" if isinstance(value, list) else f"{{\n{indent}}}"
    if isinstance(value, list) and value:
        items = (f"{inner}{_pretty(item, inner)}" for item in value)
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    if isinstance(value, dict) and value:
        pairs = (f"{inner}{_quoted(to_s(from_key(key)))}: {_pretty(item, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(pairs) + f"\n{indent}}}"
    return to_json(value)


def parse_json(text: Any, *, symbolize: bool = False) -> Any:
    """Return the result of `JSON.parse`.

    Raises:
        RubyError: it is not JSON (JSON::ParserError), or not a text (TypeError).
    """
    if not isinstance(text, str):
        shown = "nil" if text is None else type(text).__name__
        raise RubyError("TypeError", f"no implicit conversion of {shown} into String")
    hook = _with_symbols if symbolize else None
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_hook=hook)
    except RecursionError:
        raise RubyError("JSON::NestingError", "nesting of 101 is too deep") from None
    except ValueError as error:
        raise RubyError("JSON::ParserError", f"unexpected token: {error}") from None


def _with_symbols(values: dict[str, Any]) -> dict[Any, Any]:
    return {Symbol.of(key): value for key, value in values.items()}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
