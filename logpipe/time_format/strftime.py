"""Writes times: Ruby's Time#strftime, compiled once per format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Final, TypeAlias

from logpipe.time_format.directives import COMPOSITES, MONTHS, WEEKDAYS, Directive, Token, split
from logpipe.time_format.memo import Memo
from logpipe.time_format.zones import Wall, wall_clock

_NANOS: Final = 1_000_000_000
_Render: TypeAlias = Callable[[Wall], str]

# letter: (number, digits, what fills up)
_NUMBERS: Final[dict[str, tuple[Callable[[Wall], int], int, str]]] = {
    "Y": (lambda wall: wall.moment.year + wall.years, 4, "0"),
    "C": (lambda wall: (wall.moment.year + wall.years) // 100, 2, "0"),
    "y": (lambda wall: (wall.moment.year + wall.years) % 100, 2, "0"),
    "m": (lambda wall: wall.moment.month, 2, "0"),
    "d": (lambda wall: wall.moment.day, 2, "0"),
    "e": (lambda wall: wall.moment.day, 2, " "),
    "j": (lambda wall: wall.moment.timetuple().tm_yday, 3, "0"),
    "H": (lambda wall: wall.moment.hour, 2, "0"),
    "k": (lambda wall: wall.moment.hour, 2, " "),
    "I": (lambda wall: (wall.moment.hour - 1) % 12 + 1, 2, "0"),
    "l": (lambda wall: (wall.moment.hour - 1) % 12 + 1, 2, " "),
    "M": (lambda wall: wall.moment.minute, 2, "0"),
    "S": (lambda wall: wall.moment.second, 2, "0"),
    "u": (lambda wall: wall.moment.isoweekday(), 1, "0"),
    "w": (lambda wall: wall.moment.isoweekday() % 7, 1, "0"),
    "G": (lambda wall: wall.moment.isocalendar().year + wall.years, 4, "0"),
    "g": (lambda wall: (wall.moment.isocalendar().year + wall.years) % 100, 2, "0"),
    "V": (lambda wall: wall.moment.isocalendar().week, 2, "0"),
    "U": (lambda wall: (wall.moment.timetuple().tm_yday + 6 - wall.moment.isoweekday() % 7) // 7, 2, "0"),
    "W": (lambda wall: (wall.moment.timetuple().tm_yday + 6 - wall.moment.weekday()) // 7, 2, "0"),
    "s": (lambda wall: wall.second, 1, "0"),
}

# letter: (text, whether the flag # makes it lower case rather than upper case)
_NAMES: Final[dict[str, tuple[_Render, bool]]] = {
    "B": (lambda wall: MONTHS[wall.moment.month - 1], False),
    "b": (lambda wall: MONTHS[wall.moment.month - 1][:3], False),
    "h": (lambda wall: MONTHS[wall.moment.month - 1][:3], False),
    "A": (lambda wall: WEEKDAYS[wall.moment.isoweekday() % 7], False),
    "a": (lambda wall: WEEKDAYS[wall.moment.isoweekday() % 7][:3], False),
    "p": (lambda wall: "AM" if wall.moment.hour < 12 else "PM", True),
    "P": (lambda wall: "am" if wall.moment.hour < 12 else "pm", False),
    "Z": (lambda wall: wall.name, True),
    "n": (lambda _: "\n", False),
    "t": (lambda _: "\t", False),
    "%": (lambda _: "%", False),
}

_SUBSECONDS: Final = {"N": 9, "L": 3, "Q": 3}
_KNOWN: Final = frozenset({*_NUMBERS, *_NAMES, *COMPOSITES, *_SUBSECONDS, "z"})


def compile_formatter(pattern: str | None, *, zone: tzinfo | None = None) -> Callable[[int], str]:
    """Return the function that formats nanoseconds since the epoch by `pattern`, in `zone`.

    Without a pattern it writes ISO 8601 with seconds: `2016-06-15T14:13:20+00:00`, in UTC `2016-06-15T14:13:20Z`.
    All but the fraction of a second is formatted once per second and cached. `%Q`, milliseconds since the epoch, is
    that of Ruby's DateTime.
    """
    if pattern is None:
        pattern = "%Y-%m-%dT%H:%M:%SZ" if zone is UTC else "%Y-%m-%dT%H:%M:%S%:z"
    whole, fractions = _parts(split(pattern, _KNOWN))
    if not fractions:
        render = _joined(whole[0])
        texts: Memo[int, str] = Memo(lambda second: render(wall_clock(second, zone)))
        return lambda time: texts[time // _NANOS]
    if len(fractions) == 1:
        return _with_fraction(_joined(whole[0]), fractions[0], _joined(whole[1]), zone)
    return _with_fractions([_joined(part) for part in whole], fractions, zone)


class _Fraction:
    """A `%N` or `%L`: a fraction of a second, cut or padded to a number of digits."""

    def __init__(self, digits: int) -> None:
        self.divisor = 10 ** max(0, 9 - digits)
        self.template = f"%0{min(digits, 9)}d" + "0" * (digits - 9)


def _parts(tokens: list[Token]) -> tuple[list[list[Token]], list[_Fraction]]:
    """Return the parts between the fractions of a second (one more than there are fractions), and the fractions."""
    whole: list[list[Token]] = [[]]
    fractions: list[_Fraction] = []
    for token in tokens:
        if isinstance(token, Directive) and token.letter in _SUBSECONDS:
            if token.letter == "Q":
                whole[-1].append(Directive("s"))
            fractions.append(_Fraction(token.width or _SUBSECONDS[token.letter]))
            whole.append([])
        else:
            whole[-1].append(token)
    return whole, fractions


def _with_fraction(head: _Render, fraction: _Fraction, tail: _Render, zone: tzinfo | None) -> Callable[[int], str]:
    template, divisor = fraction.template, fraction.divisor

    def render(second: int) -> str:
        wall = wall_clock(second, zone)
        # the rendered parts may contain % signs; only the template's own are filled
        return f"{head(wall).replace('%', '%%')}{template}{tail(wall).replace('%', '%%')}"

    templates: Memo[int, str] = Memo(render)

    def write(time: int) -> str:
        second, nanos = divmod(time, _NANOS)
        text: str = templates[second] % (nanos // divisor)
        return text

    return write


def _with_fractions(whole: list[_Render], fractions: list[_Fraction], zone: tzinfo | None) -> Callable[[int], str]:
    def write(time: int) -> str:
        second, nanos = divmod(time, _NANOS)
        wall = wall_clock(second, zone)
        text = whole[0](wall)
        for fraction, render in zip(fractions, whole[1:], strict=True):
            text += fraction.template % (nanos // fraction.divisor) + render(wall)
        return text

    return write


def _joined(tokens: list[Token]) -> _Render:
    renders = [_render(token) for token in tokens]
    return lambda wall: "".join([render(wall) for render in renders])


def _render(token: Token) -> _Render:
    if isinstance(token, str):
        return lambda _: token
    if token.letter == "z":
        return _offset(token)
    if token.letter in _NUMBERS:
        return _number(token)
    if token.letter in _NAMES:
        text, swaps_to_lower = _NAMES[token.letter]
        return _styled(text, token, swaps_to_lower=swaps_to_lower)
    composite = replace(token, flags=token.flags.replace("#", ""))
    return _styled(_joined(split(COMPOSITES[token.letter], _KNOWN)), composite, swaps_to_lower=False)


def _number(directive: Directive) -> _Render:
    read, digits, fill = _NUMBERS[directive.letter]
    for flag in directive.flags:
        fill = {"0": "0", "_": " ", "-": ""}.get(flag, fill)
    width = directive.width or digits
    if not fill:
        return lambda wall: str(read(wall))
    if fill == "0":
        return lambda wall: f"{read(wall):0{width}d}"
    return lambda wall: f"{read(wall):{width}d}"


def _styled(text: _Render, directive: Directive, *, swaps_to_lower: bool) -> _Render:
    flags, width = directive.flags, directive.width or 0
    fill = "0" if "0" in flags else " "
    if "-" in flags:
        width = 0
    change = str.upper if "^" in flags or ("#" in flags and not swaps_to_lower) else str
    if "#" in flags and swaps_to_lower:
        change = str.lower
    return lambda wall: change(text(wall)).rjust(width, fill)


def _offset(directive: Directive) -> _Render:
    """Return the writer of `+0900`, `+09:00` for one colon, `+09:00:00` for two, the shortest exact form for three."""
    flags, width, colons = directive.flags, directive.width or 0, directive.colons

    def render(wall: Wall) -> str:
        sign = "-" if wall.offset < 0 or ("-" in flags and wall.name == "UTC") else "+"
        minutes, seconds = divmod(abs(wall.offset), 60)
        hours, minutes = divmod(minutes, 60)
        rest = _after_hours(minutes, seconds, colons)
        if "_" in flags:
            return f"{sign}{hours}{rest}".rjust(max(width, len(rest) + 3))
        return f"{sign}{str(hours).rjust(max(2, width - 1 - len(rest)), '0')}{rest}"

    return render


def _after_hours(minutes: int, seconds: int, colons: int) -> str:
    if colons == 0:
        return f"{minutes:02d}"
    if colons == 1:
        return f":{minutes:02d}"
    if colons == 2 or seconds:
        return f":{minutes:02d}:{seconds:02d}"
    return f":{minutes:02d}" if minutes else ""
