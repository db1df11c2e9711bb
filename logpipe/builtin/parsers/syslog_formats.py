"""The two formats of syslog lines, by either of fluentd's engines: fluentd's plugin/parser_syslog.rb.

The expressions for RFC 3164 and 5424 by the engine `regexp` are fluentd's; those for the engine `string` match what its
code takes. None goes back over what it has read for longer than a line has words, but for one: `_STRUCTURED`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from logpipe import Record
from logpipe.ruby import convert_integer

Cut: TypeAlias = Callable[[str], tuple[str, Record | None] | None]
"""A line to the text of its time and its other fields; a line that has no such fields, or is in no format, has None.

Where no time can be found the text is one that is no time.
"""

DETECT_RFC5424: Final = re.compile(r"<[0-9]{1,3}>[1-9]")
RFC3164_TIME: Final = "%b %d %H:%M:%S"

_PRIORITIES: Final = {str(number): number for number in range(192)}
_SPACES: Final = re.compile(" +")
_FIXED: Final = frozenset({RFC3164_TIME, "%b %d %H:%M:%S.%N"})
"""The formats for which the engine `string` takes the first fifteen characters, and a fraction."""

_PLAIN: Final = re.compile(
    r"(?P<host>[^ ]*+) (?P<ident>[^ :\[]*+)(?:\[(?P<pid>[0-9]++)\])?(?:[^:]*+:)? *+(?P<message>.*+)"
)
_STRUCTURED: Final = re.compile(
    r"(?P<host>[!-~]{1,255}) (?P<ident>[!-~]{1,48}) (?P<pid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
    r"(?P<extradata>-|\[.*?(?<!\\)\])(?: (?P<message>.+))?\Z",
    re.DOTALL,
)
_WITH_COLON: Final = re.compile(
    r"(?P<host>[^ ]*+) (?:(?P<name>[^ \[]*+)\[(?P<pid>[^ ]*)\]: |(?P<ident>[^ ]*): )?(?P<message>.*+)", re.DOTALL
)
_WITHOUT_COLON: Final = re.compile(
    r"(?P<host>[^ ]*+) (?:(?P<name>[^ \[]*+)\[(?P<pid>[^ ]*)\]:? |(?P<ident>[^ ]*?):? )?(?P<message>.*+)", re.DOTALL
)
_SPLIT: Final = re.compile(
    r"(?P<host>[^ ]*+) (?P<ident>[^ ]*+) (?P<pid>[^ ]*+) (?P<msgid>[^ ]*+) "
    r"(?P<extradata>-|(?!-).*?\](?= )|(?!-).*)(?:.(?P<message>.*+))?\Z",
    re.DOTALL,
)


def rfc3164(engine: str, time_format: str, *, priority: bool, colonless: bool) -> Cut:
    """Return what cuts a line of RFC 3164."""
    words = _words(time_format)
    if engine == "regexp":
        # compat: the rest begins where the time ends, and what follows a newline is left out
        return _plain(r"<([0-9]{1,3})>" if priority else "", words)
    time = r"(.{15}(?:\.[^ ]*+)?) " if time_format in _FIXED else words
    rest = _WITHOUT_COLON if colonless else _WITH_COLON
    return _cut(r"<([^>]+)>" if priority else "", time, rest.match, needs_time=time is words)


def rfc5424(engine: str, time_format: str, *, priority: bool) -> Cut:
    """Return what cuts a line of RFC 5424."""
    words = _words(time_format)
    if engine == "regexp":
        # compat: the fields may begin later, behind what is none
        return _cut(r"<([0-9]{1,3})>[0-9]{1,3}\s" if priority else "", words, _STRUCTURED.search)
    cut = _cut(r"<([^>]+)>[^ ]*+ " if priority else "", words if " " in time_format else r"([^ ]*+) ", _SPLIT.match)

    def without_backslashes(line: str) -> tuple[str, Record | None] | None:
        found = cut(line)
        if found is not None and found[1] is not None:
            found[1]["extradata"] = found[1]["extradata"].replace("\\", "")
        return found

    return without_backslashes


def _words(time_format: str) -> str:
    """Return the expression for a time of as many words as its format, and the space behind it."""
    return rf"( *+[^ ]++(?: ++[^ ]++){{{_SPACES.sub(' ', time_format).count(' ')}}}) "


def _plain(priority: str, time: str) -> Cut:
    """Return what cuts a line of most daemons, by one expression for all of it; see `_cut`."""
    whole = re.compile(f"{priority or '()'}{time}{_PLAIN.pattern}").match
    otherwise = _cut(priority, time, _PLAIN.match)
    has_priority = bool(priority)

    def cut(line: str) -> tuple[str, Record | None] | None:
        found = whole(line)
        if found is None:
            return otherwise(line)
        number, when, host, ident, pid, message = found.groups()
        if "  " in when:
            when = _SPACES.sub(" ", when)
        record: Record = {"pri": _priority(number)} if has_priority else {}
        record["host"] = host
        record["ident"] = ident
        if pid is not None:
            record["pid"] = pid
        record["message"] = message.removesuffix("\r")
        return when, record

    return cut


def _cut(priority: str, time: str, rest: Callable[[str, int], re.Match[str] | None], *, needs_time: bool = True) -> Cut:
    """Return what cuts a line: the priority, if there is an expression for it, the time, and the rest.

    Without a priority a line is in another format, and so is one without a time unless `needs_time`.
    """
    head = re.compile(f"{priority or '()'}{time}", re.DOTALL).match
    begin = re.compile(priority).match
    has_priority = bool(priority)

    def cut(line: str) -> tuple[str, Record | None] | None:
        found = head(line)
        if found is None:
            return ("", None) if needs_time and begin(line) is not None else None
        number, when = found.groups()
        if "  " in when:
            when = _SPACES.sub(" ", when)
        fields = rest(line, found.end())
        if fields is None:
            return when, None
        record: Record = {"pri": _priority(number)} if has_priority else {}
        for name, text in fields.groupdict().items():
            if text is not None:
                record["ident" if name == "name" else name] = text
        message = record.get("message")
        if message and message[-1] in "\r\n":
            record["message"] = message[:-2] if message.endswith("\r\n") else message[:-1]
        return when, record

    return cut


def _priority(text: str) -> int | None:
    """Return what Ruby's to_i makes of a text; None where it has more digits than Python takes."""
    found = _PRIORITIES.get(text)
    if found is not None:
        return found
    try:
        return convert_integer(text)
    except ValueError:
        return None
