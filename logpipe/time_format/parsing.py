"""Reads times fast: the part that is the same for all events of a second is parsed once and cached.

Most logs have many events a second, in one form: `2016-06-15T11:39:30.123456789Z`. All but the fraction is looked up in
a `Memo`; texts that are not in it are parsed by `strptime.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import repeat
from typing import Any, Final, TypeAlias

import orjson

from logpipe.errors import ParseError
from logpipe.time_format.directives import Directive, Token
from logpipe.time_format.memo import Memo
from logpipe.time_format.moment import Moment
from logpipe.time_format.strptime import ISO8601, compile_moment_parser, needs_today, tokens_of

_NANOS: Final = 1_000_000_000
_DIGITS: Final = "0123456789"
_SCALE: Final[tuple[Any, ...]] = (None, *(10 ** (9 - digits) for digits in range(1, 10)))
"""The factors from a fraction of so many digits to nanoseconds; no digits are no fraction."""
_SUFFIXES: Final = 16
"""The number of texts after the fraction that are cached: each zone has one or two."""
_ISO8601_FRACTION: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+(?:Z|[-+]\d\d:?\d\d)?", re.ASCII)
_QUARTER: Final = 900
"""Seconds. Midnight falls on a quarter of an hour in every zone, so within one no date changes."""


@dataclass(frozen=True, slots=True)
class TimeParser:
    """Reads times of one format. Both functions raise only ParseError."""

    one: Callable[[Any], int]
    """A value to nanoseconds since the epoch."""
    many: Callable[[Sequence[Any]], list[int]]
    """Values to nanoseconds since the epoch, all or none: it fails if one fails or has an unusual form.

    Then call `one` for each. Three times as fast as `one` where all values are in the same form.
    """


def compile_time_parser(
    pattern: str, *, zone: tzinfo | None = None, clock: Callable[[], float] = time.time
) -> TimeParser:
    """Return the parser that reads texts as Ruby's Time.strptime does.

    A text without a zone is in `zone`, None being the machine's own. `clock` gives the date for formats without one.
    """
    read = compile_moment_parser(pattern, zone=zone, clock=clock)
    separator = "" if pattern == ISO8601 else _separator(tokens_of(pattern))
    parser, forget = (
        _split_parser(read, separator, otherwise=read, is_short="%s" in pattern) if separator else _whole_parser(read)
    )
    return _of_today(parser, forget, clock) if needs_today(pattern) else parser


def compile_free_parser(*, zone: tzinfo | None = None, clock: Callable[[], float] = time.time) -> TimeParser:
    """Return the parser of texts without a declared format: Ruby's Time.parse, fast for ISO 8601 with a fraction."""
    from logpipe.time_format.freeform import parse_moment  # noqa: PLC0415 - its expressions take a while to compile

    def read(text: Any) -> Moment:
        return parse_moment(text, zone=zone, clock=clock)

    def read_iso8601(text: str) -> Moment:
        if not _ISO8601_FRACTION.fullmatch(text):
            raise ParseError("unusual")
        return read(text)

    moments: Memo[Any, Moment] = Memo(read)

    def read_again(text: Any) -> Moment:
        try:
            return moments[text]
        except TypeError:  # what cannot be a key is no text
            return read(text)

    parser, forget = _split_parser(read_iso8601, ".", otherwise=read_again)

    def forget_all() -> None:
        forget()
        moments.clear()

    return _of_today(parser, forget_all, clock)


_Remembering: TypeAlias = tuple[TimeParser, Callable[[], None]]
"""A parser, and the function that clears its cache."""


def one_by_one(one: Callable[[Any], int]) -> Callable[[Sequence[Any]], list[int]]:
    """Return a `many` that calls `one` for each value."""
    return lambda values: [one(value) for value in values]


def _separator(tokens: list[Token]) -> str:
    """Return the character before the only fraction of a second, "" where it does not locate the fraction."""
    fractions = [number for number, token in enumerate(tokens) if isinstance(token, Directive) and token.letter == "N"]
    if len(fractions) != 1 or fractions[0] == 0:
        return ""
    before, after = tokens[fractions[0] - 1], tokens[fractions[0] + 1 :]
    if not isinstance(before, str) or before[-1] not in ".,":
        return ""
    plain = all(before[-1] not in token if isinstance(token, str) else token.letter in "zZ" for token in after)
    return before[-1] if plain and not (after and str(after[0])[0] in _DIGITS) else ""


def _whole_parser(read: Callable[[Any], Moment]) -> _Remembering:
    """Return a parser that caches whole texts, for time stamps without a fraction, which repeat."""
    times: Memo[Any, int] = Memo(lambda text: read(text).time)

    def one(text: Any) -> int:
        try:
            return times[text]
        except TypeError:
            raise ParseError(f"value must be string: {text}") from None

    def many(texts: Sequence[Any]) -> list[int]:
        try:
            return list(map(times.__getitem__, texts))
        except TypeError:
            raise ParseError("a value is not a string") from None

    return TimeParser(one, many), times.clear


def _split_parser(
    read: Callable[[Any], Moment], separator: str, *, otherwise: Callable[[Any], Moment], is_short: bool = False
) -> _Remembering:
    """Return a parser that splits a text at the fraction's separator, and reads other forms with `otherwise`.

    It caches, for each text after the fraction (`Z`, `+09:00`), the times of the texts before it, less a second.
    """

    def start(head: str, suffix: str) -> int:
        time = read(f"{head}{separator}0{suffix}").time
        if read(f"{head}{separator}1{suffix}").time - time != _NANOS // 10:
            raise ParseError("what stands there is not read as the fraction")
        return time - _NANOS

    def starts(suffix: str) -> Memo[str, int]:
        return Memo(lambda head: start(head, suffix))

    by_suffix: Memo[str, Memo[str, int]] = Memo(starts, size=_SUFFIXES)

    def one(text: Any) -> int:
        try:
            head, _, tail = text.rpartition(separator)
            suffix = tail.lstrip(_DIGITS)
            digits = tail[: len(tail) - len(suffix)]
            time: int = by_suffix[suffix][head] + _NANOS + int(digits) * _SCALE[len(digits)]
        except (ParseError, AttributeError, ValueError, IndexError, TypeError):
            return otherwise(text).time  # its error is the one to show
        return time

    def many(texts: Sequence[Any]) -> list[int]:
        try:
            return _read_alike(texts, separator, by_suffix, is_short=is_short)
        except (AttributeError, ValueError, IndexError, TypeError):
            raise ParseError("the texts are not alike") from None

    return TimeParser(one, many), by_suffix.clear


def _read_alike(
    texts: Sequence[Any], separator: str, by_suffix: Memo[str, Memo[str, int]], *, is_short: bool
) -> list[int]:
    """Read many texts with the same end, in a few calls for all of them; raises for any other form.

    With `is_short` what precedes a fraction may look like a fraction, so that a text with none and another one with two
    have to be told from two texts with one.

    The texts are joined and split so that seconds and fractions alternate. orjson turns the fractions into numbers,
    each after a 1 that keeps its zeros; this 1 is the second that the cached times lack.
    """
    if not texts:
        return []
    suffix = texts[0].rpartition(separator)[2].lstrip(_DIGITS)
    pieces = separator.join(texts).split(separator)
    if len(pieces) != 2 * len(texts) or (is_short and set(map(str.count, texts, repeat(separator))) != {1}):
        raise ValueError
    heads, tails = pieces[::2], pieces[1::2]
    fractions = ",1".join(tails) + ","
    if suffix:
        with_suffixes, fractions = fractions, fractions.replace(f"{suffix},", ",")
        if len(with_suffixes) - len(fractions) != len(suffix) * len(texts):
            raise ValueError
    if fractions.encode().translate(None, b"0123456789,"):
        raise ValueError
    numbers = orjson.loads(f"[1{fractions[:-1]}]")
    scale = (None,) * len(suffix) + _SCALE
    seconds = map(by_suffix[suffix].__getitem__, heads)
    return [second + number * scale[len(tail)] for second, number, tail in zip(seconds, numbers, tails, strict=True)]


def _of_today(parser: TimeParser, forget: Callable[[], None], clock: Callable[[], float]) -> TimeParser:
    """Return a parser that clears its cache whenever the date may have changed."""
    quarter = -1.0

    def check() -> None:
        nonlocal quarter
        if quarter != (now := clock() // _QUARTER):
            quarter = now
            forget()

    def one(text: Any) -> int:
        check()
        return parser.one(text)

    def many(texts: Sequence[Any]) -> list[int]:
        check()
        return parser.many(texts)

    return TimeParser(one, many)
