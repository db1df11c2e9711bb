"""Logs of the web server Apache. Settings and rules: fluentd's parser_apache.rb, …_apache2.rb and …_apache_error.rb.

The expressions are fluentd's, since which lines match, and how, is what its users rely on.
"""

from __future__ import annotations

import re
from typing import Final

from logpipe import Host, Record, param
from logpipe.builtin.parsers.fixed_fields import FixedFieldsOptions
from logpipe.builtin.parsers.regexp import RegexpOptions
from logpipe.codec import PatternParser, TimeType, compile_typed_parser
from logpipe.ruby import compile_regexp, convert_integer

_TIME_FORMAT: Final = "%d/%b/%Y:%H:%M:%S %z"

_ACCESS: Final = (
    r'/^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^ ]*) +\S*)?" '
    r'(?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")?$/'
)
_ACCESS2: Final = (
    r'^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)'
    r'(?: +(?<path>(?:[^"]|(?<=\\)")*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)'
    r'(?: "(?<referer>[^"]*(?:(?<=\\)"[^"]*)*?)" "(?<agent>[^"]*(?:(?<=\\)"[^"]*)*?)")?$'
)
"""What fluentd's takes, in the same order, but faster: that reads texts with escaped quotes letter by letter."""
_ERROR: Final = (
    r"/^\[[^ ]* (?<time>[^\]]*)\] \[(?<level>[^\]]*)\](?: \[pid (?<pid>[^\]]*)\])?( \[client (?<client>[^\]]*)\])? "
    r"(?<message>.*)$/"
)


class ApacheOptions(RegexpOptions):
    """Settings of `<parse> @type apache`."""

    expression: str = param("Ruby regular expression, `/…/`, whose named groups become the fields.", default=_ACCESS)
    time_format: str | None = param("How the time is written.", default=_TIME_FORMAT)


class ApacheParser(PatternParser[ApacheOptions], type="apache"):
    """Reads access logs: host, user, method, path, code, size, referer and agent, all of them text."""

    def __init__(self, options: ApacheOptions, host: Host) -> None:
        super().__init__(options, host, options.pattern)


class ApacheErrorOptions(RegexpOptions):
    """Settings of `<parse> @type apache_error`."""

    expression: str = param("Ruby regular expression, `/…/`, whose named groups become the fields.", default=_ERROR)


class ApacheErrorParser(PatternParser[ApacheErrorOptions], type="apache_error"):
    """Reads error logs: level, pid, client and message; without a `time_format` the time is read in any usual form."""

    def __init__(self, options: ApacheErrorOptions, host: Host) -> None:
        super().__init__(options, host, options.pattern)


_FIXED: Final = "apache2 reads the time of the log's fixed format, and nothing else: use regexp for another"


class Apache2Options(FixedFieldsOptions):
    """Settings of `<parse> @type apache2`: as in fluentd only `keep_time_key` and `timeout` have an effect."""

    time_type: TimeType | None = param("Accepted for compatibility.", default=None, no_effect=_FIXED)
    time_format: str | None = param("Accepted for compatibility.", default=None, no_effect=_FIXED)
    estimate_current_event: bool = param("Accepted for compatibility.", default=True, no_effect=_FIXED)


class Apache2Parser(PatternParser[Apache2Options], type="apache2"):
    """Reads access logs: code and size are numbers, and `-` is null where it stands for nothing."""

    def __init__(self, options: Apache2Options, host: Host) -> None:
        super().__init__(options, host, compile_regexp(_ACCESS2))
        self._record = _typed_record
        self._key = "time"
        self._time = compile_typed_parser("string", _TIME_FORMAT)
        self._convert = None


def _typed_record(match: re.Match[str]) -> Record:
    """Return a record of a match's groups, in fluentd's order; the time is last."""
    groups = match.groupdict()
    return {
        "host": _null(groups["host"]),
        "user": _null(groups["user"]),
        "method": groups["method"],
        "path": groups["path"],
        "code": _integer(groups["code"]) or None,
        "size": _integer(groups["size"]) if groups["size"] != "-" else None,
        "referer": _null(groups["referer"]),
        "agent": _null(groups["agent"]),
        "time": groups["time"],
    }


def _null(text: str | None) -> str | None:
    return None if text == "-" else text


def _integer(text: str | None) -> int | None:
    """Return what Ruby's to_i makes of a text; None where it has more digits than Python takes."""
    try:
        return convert_integer(text or "")
    except ValueError:
        return None
