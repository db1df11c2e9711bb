"""Rows of kind `filter`: one event, what a filter passes, and what goes to the error stream."""

from __future__ import annotations

import copy
from typing import Any

from logpipe.builtin.filter_parser import ParserFilter
from logpipe.builtin.filter_record_modifier import RecordModifier
from logpipe.builtin.filter_record_transformer import RecordTransformer
from logpipe.config.declare import InvalidSetting
from logpipe.config.diagnostic import ConfigError
from logpipe.event import EventBatch
from logpipe.plugin import Filter
from logpipe.registry import Registry, UnknownPluginError
from logpipe.testing import FakeHost, configure
from tests.conformance import filter_grep_rows
from tests.conformance.clock import nanoseconds, utc
from tests.conformance.kind_ruby import same_value

_RECORD_FILTERS: dict[str, type[Filter[Any]]] = {
    "parser": ParserFilter,
    "record_transformer": RecordTransformer,
    "record_modifier": RecordModifier,
}


def run(row: dict[str, Any]) -> str | None:
    """Return None where events and errors are fluentd's, else what differs."""
    if row["type"] in filter_grep_rows.TYPES:
        return filter_grep_rows.run(row)
    if row["type"] in _RECORD_FILTERS:
        with utc():
            return _record_filter(row, _RECORD_FILTERS[row["type"]])
    try:
        Registry().find("filter", row["type"])
    except UnknownPluginError:
        return f"SKIP: no stage yet: {row['type']}"
    return f"SKIP: no judge yet: {row['type']}"


def _record_filter(row: dict[str, Any], cls: type[Filter[Any]]) -> str | None:
    host = FakeHost()
    try:
        stage = cls(configure(cls, _filled(row["config"], host)), host)
    except (ConfigError, InvalidSetting) as problem:
        # what can never work is found at start rather than with every event
        never_works = "error" in row or (not row["expect"] and bool(row["errors"]))
        return None if never_works else f"the configuration is refused: {problem}"
    left = stage.process(
        EventBatch(row["tag"], [nanoseconds(row["time"])], [copy.deepcopy(_filled(row["record"], host))])
    )
    if "error" in row:
        return f"got {left.records}, fluentd fails"
    if len(host.errors) != len(row["errors"]):
        return f"{len(host.errors)} errors: {host.errors}; got {left.records}"
    expected = [(_time(event["time"], host), _filled(event["record"], host)) for event in row["expect"]]
    got = list(left.events())
    same = len(got) == len(expected) and all(
        time == want_time and same_value(record, want)
        for (time, record), (want_time, want) in zip(got, expected, strict=True)
    )
    return None if same else f"got {got}"


def _time(text: str, host: FakeHost) -> int:
    """Return a row's time; one of the day on which the rows were recorded is the current one."""
    recorded = 1_795_000_000_000_000_000
    return nanoseconds(text) if nanoseconds(text) < recorded else host.clock.now()


def _filled(value: Any, host: FakeHost) -> Any:
    """Return a value of a row with the host's name in its place, however deep."""
    if isinstance(value, str):
        return value.replace("{{HOSTNAME}}", host.hostname)
    if isinstance(value, dict):
        return {_filled(key, host): _filled(item, host) for key, item in value.items()}
    return [_filled(item, host) for item in value] if isinstance(value, list) else value
