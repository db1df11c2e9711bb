"""Events of several lines, taken apart by regular expressions. Settings and rules: plugin/parser_multiline.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from logpipe import Host, InvalidSetting, param
from logpipe.codec import MultilinePatternParser, ParseOptions
from logpipe.ruby import ExpressionError, compile_regexp, group_names

MOST_FORMATS: Final = 20

_FORMAT: Final = re.compile(r"format(\d+)")


class MultilineOptions(ParseOptions):
    """Settings of `<parse> @type multiline`, with `format1` … `format20`: the parts of one expression."""

    _extra: ClassVar = _FORMAT

    format_firstline: str | None = param(
        "Regular expression, `/…/`, that the first line of each event matches. Without it an event ends with the line "
        "that completes format1 … format20.",
        default=None,
    )
    unmatched_lines: bool = param(
        "Make events with the field unmatched_line of what is not in the format; as emit_unmatched_lines of tail does.",
        default=False,
    )
    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")

    @property
    def source(self) -> str:
        """The whole expression: the parts without their slashes, in the order of their numbers."""
        return "".join(self.extra.get(f"format{number}", "")[1:-1] for number in range(1, MOST_FORMATS + 1))

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is wrong with the expressions, in fluentd's words where they say what to do."""
        yield from super().check()
        problems = [*self._check_formats()]
        yield from problems
        if problems:
            return
        if (problem := _compiled(self.source, "m")) is not None:
            yield InvalidSetting(f"format1 and what follows it make no expression: {problem}", param="format1")
        elif not group_names(compile_regexp(self.source, "m")):
            text = "format1 … format20 have no named captures, so no record can come of them: name groups, (?<name>…)"
            yield InvalidSetting(text, param="format1") if "format1" in self.extra else text

    def _check_formats(self) -> Iterator[InvalidSetting]:
        for name in self.extra:
            number = int(name.removeprefix("format"))
            if not 1 <= number <= MOST_FORMATS:
                yield InvalidSetting(f"Invalid formatN found. N should be 1 - {MOST_FORMATS}: {name}", param=name)
            elif number > 1 and f"format{number - 1}" not in self.extra:
                yield InvalidSetting(f"Jump of format index found. format{number - 1} is missing.", param=name)
        first = {} if self.format_firstline is None else {"format_firstline": self.format_firstline}
        for name, text in {**self.extra, **first}.items():
            if len(text) < 2 or text[0] != "/" or text[-1] != "/":
                yield InvalidSetting(f"format should be Regexp, need //, in {name}: {text!r}", param=name)
            elif (problem := _compiled(text[1:-1], "" if name in first else "m")) is not None:
                yield InvalidSetting(f"Invalid regexp in {name}: {problem}", param=name)


def _compiled(source: str, flags: str) -> str | None:
    """Return what is wrong with an expression; None where nothing is."""
    try:
        compile_regexp(source, flags)
    except ExpressionError as problem:
        return f"{problem}{f': {problem.hint}' if problem.hint else ''}"
    return None


class MultilineParser(MultilinePatternParser[MultilineOptions], type="multiline"):
    """Makes records of the named groups of an expression that goes over several lines.

    In `tail` the last event of a file waits until the next one begins, `multiline_flush_interval` is over, or the file
    was rotated away `rotate_wait` ago, so that it may come behind the first of the next file. Its lines stay unread
    meanwhile: they count in `behind_bytes`, and a kill -9, a rotation or a reload finds them where they were. If the
    file is cut and no copy of it was made, the event that waits is lost, and counted in `abandoned_bytes` and in the
    ledger. A stop passes on what waits, but for events to which something was written within its last second: with a
    `pos_file` the next start reads these whole.

    Of an event of more than 4 MiB or 65,536 lines so much is passed on, and the rest of its lines are unmatched.
    Without `format_firstline` lines before the one in which an event begins are unmatched; fluentd forgets them.
    """

    def __init__(self, options: MultilineOptions, host: Host) -> None:
        first = options.format_firstline
        super().__init__(
            options,
            host,
            compile_regexp(options.source, "m"),
            first=None if first is None else compile_regexp(first[1:-1]),
            keeps_rest=options.unmatched_lines,
        )
