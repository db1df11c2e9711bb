"""Ruby's `format` and `String#%`."""

from __future__ import annotations

import math
import re
import sys
from typing import Any, Final

from logpipe.expression.runtime.failures import RubyError, check_size
from logpipe.expression.runtime.numerals import integer, real
from logpipe.expression.runtime.text import class_name, inspect, to_s
from logpipe.expression.runtime.values import Symbol

_DIRECTIVE: Final = re.compile(
    r"%(?P<flags>[-+ 0#*]*)(?:(?P<room>\d+)?\{(?P<braces>[^}]*)\}|(?:(?P<position>\d+)\$)?(?:<(?P<name>[^>]*)>)?"
    r"(?P<flags2>[-+ 0#]*)(?P<width>\d+|\*)?(?:\.(?P<precision>\d+|\*)?)?(?:<(?P<name2>[^>]*)>)?"
    r"(?P<letter>[a-zA-Z%\n\0]|$)?)"
)
_BASES: Final = {"d": 10, "i": 10, "u": 10, "x": 16, "X": 16, "o": 8, "b": 2, "B": 2}
_PREFIXES: Final = {"x": "0x", "X": "0X", "o": "0", "b": "0b", "B": "0B"}
_MAX_WIDTH: Final = 65_536
_LEAST: Final = 1e-15
_MOST: Final = 1e15
_QUICK_DIGITS: Final = 14


def sprintf(template: str, *args: Any) -> str:
    """Fill a template as Ruby's `format` does.

    Raises:
        RubyError: too few arguments, a malformed directive, or a value that does not fit.
    """
    written: list[str] = []
    position = 0
    taker = _Arguments(args)
    for match in _DIRECTIVE.finditer(template):
        written.append(template[position : match.start()])
        written.append(_fill(match, taker))
        position = match.end()
    written.append(template[position:])
    text = "".join(written)
    check_size(len(text))
    return text


class _Arguments:
    """Returns the arguments in order, by number or by name."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self._args = args
        self._next = 0

    def take(self, position: str | None = None) -> Any:
        """Return the argument of that number, or the next."""
        index = int(position) - 1 if position else self._next
        self._next += position is None
        if not 0 <= index < len(self._args):
            raise RubyError("ArgumentError", "too few arguments")
        return self._args[index]

    def named(self, name: str) -> Any:
        """Return the value of a symbol in the hash among the arguments."""
        if len(self._args) != 1 or not isinstance(self._args[0], dict):
            raise RubyError("ArgumentError", "one hash required")
        values: dict[Any, Any] = self._args[0]
        if Symbol.of(name) not in values:
            raise RubyError("KeyError", f"key<{name}> not found")
        return values[Symbol.of(name)]


def _fill(match: re.Match[str], arguments: _Arguments) -> str:
    if match["braces"] is not None:
        return _padded(to_s(arguments.named(match["braces"])), match["flags"], match["room"])
    letter = match["letter"] or ""
    if letter == "%" and match[0] == "%%":
        return "%"
    if letter in ("", "\n", "\0"):
        if match[0] in ("%\n", "%\0"):
            return match[0]
        if match.end() < len(match.string):
            raise RubyError("ArgumentError", f"malformed format string - %{match.string[match.end()]}")
        raise RubyError("ArgumentError", "incomplete format specifier; use %% (double %) instead")
    flags = match["flags"] + match["flags2"]
    width = match["width"]
    if width == "*" or "*" in flags:
        taken = _whole(arguments.take())
        width, flags = str(abs(taken)), flags.replace("*", "") + ("-" if taken < 0 else "")
    precision = match["precision"]
    places = None if precision is None and "." not in match[0] else int(precision or 0)
    name = match["name"] or match["name2"]
    value = arguments.named(name) if name else arguments.take(match["position"])
    if (places or 0) > _MAX_WIDTH:
        raise RubyError("ArgumentError", "precision too big")
    return _padded(_directive(letter, value, flags, places, width), flags, width)


def _directive(letter: str, value: Any, flags: str, places: int | None, width: str | None) -> str:
    match letter:
        case "s" | "p":
            text = to_s(value) if letter == "s" else inspect(value)
            return text if places is None else text[:places]
        case "c":
            return chr(value) if type(value) is int else to_s(value)[:1]
        case _ if letter in _BASES:
            return _zero_filled(_integer(letter, _whole(value), flags, places), flags if places is None else "", width)
        case "f" | "e" | "E" | "g" | "G" | "a" | "A":
            return _zero_filled(_float(letter, _real(value), flags, places), flags, width)
    raise RubyError("ArgumentError", f"malformed format string - %{letter}")


def _integer(letter: str, value: int, flags: str, places: int | None) -> str:
    base = _BASES[letter]
    if value < 0 and base != 10 and "+" not in flags and " " not in flags:
        digits = _complement(-value, base)
        sign = ""
    else:
        digits = _digits(abs(value), base)
        sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    digits = digits.rjust(places or 0, "0")
    digits = digits.upper() if letter == "X" else digits
    return sign + (_PREFIXES.get(letter, "") if "#" in flags and value else "") + digits


def _digits(value: int, base: int) -> str:
    return format(value, {2: "b", 8: "o", 10: "d", 16: "x"}[base])


def _complement(value: int, base: int) -> str:
    """Write a negative number as Ruby does: `..f` and the digits of its two's complement."""
    highest = _digits(base - 1, base)
    width = len(_digits(value, base)) + 1
    digits = _digits(base**width - value, base).lstrip(highest)
    return f"..{highest}{digits}"


def _float(letter: str, value: float, flags: str, places: int | None) -> str:
    sign = "-" if math.copysign(1.0, value) < 0 else "+" if "+" in flags else " " if " " in flags else ""
    if not math.isfinite(value):
        return ("" if math.isnan(value) else sign) + ("NaN" if math.isnan(value) else "Inf")
    if letter in "aA":
        mantissa, _, power = abs(value).hex().partition("p")
        mantissa = mantissa.rstrip("0").removesuffix(".") if "." in mantissa else mantissa
        written = f"{mantissa}p{power}"
        return sign + (written.upper() if letter == "A" else written)
    alternate = "#" if "#" in flags else ""
    digits = 6 if places is None else places
    return sign + format(_nudged(abs(value), digits, letter), f"{alternate}.{digits}{letter}")


def _nudged(value: float, places: int, letter: str) -> float:
    """Return the value adjusted so that Python rounds it like Ruby.

    Ruby's fast path loses some bits before the last digit, so that values near a tie count as ties, which it rounds to
    even. So `"%.2f" % 12.345` is 12.34, although 12.345 as a Float is a little above the tie.
    """
    if not _LEAST < value < _MOST:
        return value
    power = math.floor(math.log10(value))
    power += (value >= 10.0 ** (power + 1)) - (value < 10.0**power)
    count = {"f": places + power + 1, "e": places + 1, "E": places + 1}.get(letter, places or 1)
    if not 1 <= count <= _QUICK_DIGITS:
        return value
    # compat: util.c, ruby_dtoa, "try to get by with floating-point arithmetic"
    rest = value / 10.0**power if power > 0 else value * 10.0**-power
    error = (2 * rest + 7) * sys.float_info.epsilon * 10.0 ** (count - 1)
    number = 0
    for _ in range(count - 1):
        digit = int(rest)
        number, rest = number * 10 + digit, (rest - digit) * 10.0
        if not rest:
            return value
    digit = int(rest)
    if abs(rest - digit - 0.5) > error:
        return value
    number = number * 10 + digit
    return float(f"{number + number % 2}e{power - count + 1}")


def _zero_filled(text: str, flags: str, width: str | None) -> str:
    if "0" not in flags or "-" in flags or width is None or text.endswith(("Inf", "NaN")):
        return text
    sign = text[0] if text[:1] in ("-", "+", " ") else ""
    rest = text[len(sign) :]
    prefix = rest[:2] if rest[:2] in ("0x", "0X", "0b", "0B") else ""
    return sign + prefix + rest[len(prefix) :].rjust(_limit(width) - len(sign) - len(prefix), "0")


def _padded(text: str, flags: str, width: str | None) -> str:
    if width is None:
        return text
    return text.ljust(_limit(width)) if "-" in flags else text.rjust(_limit(width))


def _limit(width: str) -> int:
    if len(width) > 6 or int(width) > _MAX_WIDTH:
        raise RubyError("ArgumentError", "width too big")
    return int(width)


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise RubyError("FloatDomainError", inspect(value))
        return math.trunc(value)
    if isinstance(value, str):
        return integer(value)
    shown = "nil" if value is None else class_name(value)
    raise RubyError("TypeError", f"can't convert {shown} into Integer")


def _real(value: Any) -> float:
    if type(value) in (int, float):
        return float(value)
    if isinstance(value, str):
        return real(value)
    shown = "nil" if value is None else class_name(value)
    raise RubyError("TypeError", f"can't convert {shown} into Float")
