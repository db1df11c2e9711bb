"""What fluentd's exec stages have as defaults in sections that are not their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from logpipe import InvalidSetting
from logpipe.tree import Element


def parse_defaults(parse: Element) -> Mapping[str, str | None]:
    """Return those of `<parse>`: no field holds the time by itself, and an event without one has none."""
    return {**time_defaults(parse), "time_key": None, "estimate_current_event": "false"}


def time_defaults(section: Element) -> Mapping[str, str | None]:
    """Return those of `<parse>` and `<extract>`: a time is a number, unless its format is written."""
    return {"time_type": "string" if "time_format" in section.params else "float"}


def inject_for_filter(inject: Element) -> Mapping[str, str | None]:
    """Return those of exec_filter's `<inject>`: whole seconds, unless a format is written."""
    return {"time_type": "string" if "time_format" in inject.params else "unixtime"}


def filter_parse_defaults(parse: Element) -> Mapping[str, str | None]:
    """Return those of exec_filter's `<parse>`; the kind of the time is the parser's business."""
    del parse
    return {"time_key": None, "estimate_current_event": "false"}


def inject_for_command(inject: Element) -> Mapping[str, str | None]:
    """Return those of the output exec's `<inject>`: text, in UTC."""
    is_zoned = inject.params.keys() & {"localtime", "utc", "timezone"}
    return {"time_type": "string"} if is_zoned else {"time_type": "string", "localtime": "false"}


def check_command(command: str) -> Iterator[InvalidSetting]:
    """Yield a command that is none."""
    if not command.strip():
        yield InvalidSetting("command is empty: write what the shell is to run", param="command")
    elif "\0" in command:
        yield InvalidSetting("command has a NUL in it: no program can be given one", param="command")
