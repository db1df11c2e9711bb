"""Ruby values as text (`to_s`, `inspect`), their classes, and their form in a record."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from typing import Any, Final

from logpipe.expression.regexp.pattern import group_names
from logpipe.expression.runtime.failures import BudgetExceeded, RubyError, check_size
from logpipe.expression.runtime.matches import MatchData, Regexp
from logpipe.expression.runtime.times import RubyDate, RubyTime
from logpipe.expression.runtime.values import (
    DefaultHash,
    Enumerator,
    HashKey,
    Proc,
    Range,
    RubyClass,
    Symbol,
    Yielded,
    from_key,
)
from logpipe.raw_text import escaped

_CLASSES: Final[dict[type, str]] = {
    type(None): "NilClass", bool: "", int: "Integer", float: "Float", str: "String", Symbol: "Symbol", list: "Array",
    Yielded: "Array", dict: "Hash", DefaultHash: "Hash", Range: "Range", Regexp: "Regexp", MatchData: "MatchData",
    bytes: "String", RubyTime: "Time", Proc: "Proc", RubyClass: "Class", Enumerator: "Enumerator",
}  # fmt: skip

_MAX_DEPTH: Final = 100
_MAX_MEMBERS: Final = 200_000


def class_name(value: Any) -> str:
    """Return the name of a value's class, such as `String` or `NilClass`."""
    if value is True:
        return "TrueClass"
    if value is False:
        return "FalseClass"
    if isinstance(value, RubyError):
        return value.class_name
    return _CLASSES.get(type(value)) or str(getattr(value, "ruby_class", "Object"))


def describe(value: Any) -> str:
    """Describe a value for error messages: `nil:NilClass`, `"x":String`, `an instance of Array` for long ones."""
    if value is None or isinstance(value, bool):
        return f"{inspect(value)}:{class_name(value)}"
    if isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 60):
        return f"{inspect(value)}:{class_name(value)}"
    return f"an instance of {class_name(value)}"


def float_text(value: float) -> str:
    """Return a Float's text: `5.0`, `1.0e+20`, `Infinity`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = repr(value)
    if 1e15 <= abs(value) < 1e16 and text.endswith(".0"):  # Ruby uses exponents one digit earlier than Python
        digits, _, fraction = text.lstrip("-").partition(".")
        text = f"{'-' * (value < 0)}{digits[0]}.{(digits[1:] + fraction).rstrip('0')}e+15"
        text = text.replace(".e", ".0e")
    mantissa, exponent, power = text.partition("e")
    if exponent and "." not in mantissa:
        mantissa += ".0"
    return mantissa + exponent + power


def to_s(value: Any) -> str:
    """Return Ruby's `to_s`, which `#{…}` inserts, too.

    Bytes that are not UTF-8 are lone surrogates in the text; see `logpipe.raw_text`.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    writer = _TO_S.get(type(value))
    return writer(value) if writer is not None else inspect(value)


def inspect(value: Any) -> str:
    """Return Ruby's `inspect`, as versions up to 3.3 write it: `{"a"=>1, :b=>nil}`.

    Raises:
        BudgetExceeded: the value is nested more than 100 deep, or has more than 200,000 members.
    """
    if isinstance(value, (list, dict)):
        return _Inspector().container(value, 0)
    return _inspect_plain(value)


class _Inspector:
    """Writes arrays and hashes; counts members, since a small structure with shared parts may be large as text."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _MAX_MEMBERS

    def container(self, value: list[Any] | dict[Any, Any], depth: int) -> str:
        self._left -= len(value) + 1
        if depth > _MAX_DEPTH or self._left < 0:
            raise BudgetExceeded("the value is too large or nested too deeply to be written as text")
        if isinstance(value, list):
            return f"[{', '.join([self.member(item, depth + 1) for item in value])}]"
        pairs = [f"{self.member(from_key(key), depth)}=>{self.member(item, depth + 1)}" for key, item in value.items()]
        return f"{{{', '.join(pairs)}}}"

    def member(self, value: Any, depth: int) -> str:
        return self.container(value, depth) if isinstance(value, (list, dict)) else _inspect_plain(value)


def _inspect_plain(value: Any) -> str:
    if type(value) is str:
        return inspect_string(value)
    writer = _INSPECT.get(type(value)) or _TO_S.get(type(value))
    if writer is not None:
        return writer(value)
    if isinstance(value, RubyError):
        return f"#<{value.class_name}: {value}>"
    return str(getattr(value, "ruby_text", f"#<{class_name(value)}>"))


_ESCAPED: Final = {
    '"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\a": "\\a", "\b": "\\b",
    "\v": "\\v", "\f": "\\f",
}  # fmt: skip


_UNPRINTABLE: Final = frozenset({"Cc", "Cn", "Cs", "Zl", "Zp"})
_NEXT_LINE: Final = "\x85"
"""A control character that Onigmo counts as printable."""


def inspect_string(text: str) -> str:
    r"""Return a string's source: quotes, backslashes, control characters, invalid bytes and `#{` escaped."""
    written = []
    for place, char in enumerate(text):
        if char in _ESCAPED:
            written.append(_ESCAPED[char])
        elif char == "#" and text[place + 1 : place + 2] in ("{", "$", "@"):
            written.append("\\#")
        elif "\udc80" <= char <= "\udcff":
            written.append(f"\\x{ord(char) - 0xDC00:02X}")
        elif char.isprintable() or char == _NEXT_LINE or unicodedata.category(char) not in _UNPRINTABLE:
            written.append(char)
        else:
            written.append(f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\u{{{ord(char):X}}}")
    return f'"{"".join(written)}"'


def _inspect_symbol(symbol: Symbol) -> str:
    name = symbol.name
    plain = name.rstrip("?!=") if name[-1:] in "?!=" and len(name) > 1 else name
    return f":{name}" if plain.isidentifier() or name in _OPERATORS else f":{inspect_string(name)}"


_OPERATOR_LIST: Final = "+ - * / % ** == <=> < > <= >= [] []= << >> =~ ! != === ~"
_OPERATORS: Final = frozenset(_OPERATOR_LIST.split())


def _range_text(value: Range, write: Callable[[Any], str]) -> str:
    dots = "..." if value.exclusive else ".."
    low, high = ("" if end is None else write(end) for end in (value.low, value.high))
    return f"{low}{dots}{high}"


def regexp_text(regexp: Regexp) -> str:
    """Return `(?-mix:source)`, which keeps its meaning inside another expression."""
    off = "".join(flag for flag in "mix" if flag not in regexp.flags)
    return f"(?{regexp.flags}{'-' if off else ''}{off}:{regexp.source})"


def _inspect_match(data: MatchData) -> str:
    names = {data.match.re.groupindex[name]: shown for name, shown in group_names(data.match.re).items()}
    groups = "".join(
        f" {names.get(number, number)}:{inspect(data.match[number])}" for number in range(1, data.match.re.groups + 1)
    )
    return f"#<MatchData {inspect(data.match[0])}{groups}>"


_TO_S: Final[dict[type, Callable[[Any], str]]] = {
    bool: lambda value: "true" if value else "false",
    int: str,
    float: float_text,
    Symbol: lambda value: value.name,
    Range: lambda value: _range_text(value, to_s),
    Regexp: regexp_text,
    MatchData: lambda value: value.match[0],
    RubyTime: RubyTime.to_text,
    RubyDate: RubyDate.to_text,
    RubyClass: lambda value: value.name,
    RubyError: str,
    HashKey: lambda value: to_s(value.value),
    bytes: escaped,
}

_INSPECT: Final[dict[type, Callable[[Any], str]]] = {
    bytes: lambda value: inspect_string(escaped(value)),
    type(None): lambda _: "nil",
    Symbol: _inspect_symbol,
    Range: lambda value: _range_text(value, inspect),
    Regexp: lambda value: f"/{value.source}/{value.flags}",
    MatchData: _inspect_match,
    RubyTime: RubyTime.inspect_text,
    RubyDate: RubyDate.inspect_text,
    Proc: lambda value: "#<Proc (lambda)>" if value.is_lambda else "#<Proc>",
    RubyError: lambda value: f"#<{value.class_name}: {value}>",
}


def join(items: list[Any], separator: str = "", depth: int = 0) -> str:
    """Return the joined texts of the members, nested arrays included.

    Raises:
        BudgetExceeded: the text would be too long, or the arrays are nested too deeply.
    """
    if depth > _MAX_DEPTH:
        raise BudgetExceeded("the array is nested too deeply to be joined")
    parts = [join(item, separator, depth + 1) if isinstance(item, list) else to_s(item) for item in items]
    check_size(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def export(value: Any) -> Any:
    """Return a result for a record: symbols, times and other values unknown to JSON as text.

    Raises:
        BudgetExceeded: the value is nested more than 100 deep, or has more than 200,000 members.
    """
    return value if type(value) in _PLAIN else _export(value, [_MAX_MEMBERS], 0)


def export_but_time(value: Any) -> Any:
    """Return the same, but a time unconverted."""
    return value if isinstance(value, RubyTime) else export(value)


def _export(value: Any, left: list[int], depth: int) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, dict)):
        left[0] -= len(value) + 1
        if depth > _MAX_DEPTH or left[0] < 0:
            raise BudgetExceeded("the value is too large or nested too deeply for a record")
        if isinstance(value, list):
            return [_export(item, left, depth + 1) for item in value]
        return {
            key if type(key) is str else to_s(from_key(key)): _export(item, left, depth + 1)
            for key, item in value.items()
        }
    return inspect(value) if isinstance(value, Enumerator) else to_s(value)
