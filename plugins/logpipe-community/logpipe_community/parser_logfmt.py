"""Lines of `name=value`, as Go's programs write them: fluent-plugin-parser-logfmt, rules of the gem logfmt 0.0.8."""

from __future__ import annotations

import re
from typing import Any, Final

from logpipe import Host, Record, param
from logpipe.codec import LineRecordParser, ParseOptions

_PAIR: Final = re.compile(
    r"""
    (?P<name> [^\x00-\x20"=]+ )
    (?: (?P<is> = ) (?: " (?P<quoted> (?: [^"\\] | \\. )* ) " | (?P<bare> [^\x00-\x20"=] [^\x00-\x20"]* ) )? )?
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(?:[0-9]*+\.)?[0-9]++(?:[eE][-+]?[0-9]+)?")
_LONGEST_NUMBER: Final = 300


class LogfmtOptions(ParseOptions):
    """Settings of `<parse> @type logfmt`."""

    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")
    strict: bool = param(
        "Accepted for compatibility.", default=False, no_effect="a line that has no name in it is not in the format"
    )


class LogfmtParser(LineRecordParser[LogfmtOptions], type="logfmt"):
    """Reads `at=info msg="hello there" count=3 done` to at, msg, count, a number, and done, which is true."""

    def __init__(self, options: LogfmtOptions, host: Host) -> None:
        super().__init__(options, host)

    def record(self, line: str) -> Record | None:
        """Return a line's pairs; None where there is none."""
        found: Record = {}
        for match in _PAIR.finditer(line):
            found[match["name"]] = _value(match)
        return found or None


def _value(match: re.Match[str]) -> Any:
    if (quoted := match["quoted"]) is not None:
        return quoted.replace('\\"', '"')
    bare = match["bare"]
    if bare is None:
        return True
    if len(bare) > _LONGEST_NUMBER:
        return bare
    if _INTEGER.fullmatch(bare):
        return int(bare)
    return float(bare) if _FLOAT.fullmatch(bare) else bare
