"""Rows of kind `parser`: one line, and the events that fluentd's parser made of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from logpipe.config.declare import InvalidSetting
from logpipe.config.diagnostic import ConfigError
from logpipe.errors import ParseError
from logpipe.event import Record, Time
from logpipe.plugin import Parser
from logpipe.registry import Registry, UnknownPluginError
from logpipe.testing import FakeHost, configure
from tests.conformance.clock import same_time, utc


class _Clock:
    """The real clock; conformance rows say `now`."""

    def now(self) -> Time:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(f"a parser sleeps for {seconds} s")

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        raise NotImplementedError(f"a parser waits for {seconds} s")


def run(row: dict[str, Any]) -> str | None:
    """Return None where the events are fluentd's, else what differs; both ways of parsing are asked."""
    try:
        cls = Registry().find("parser", row["type"])
    except UnknownPluginError:
        return f"SKIP: no stage yet: {row['type']}"
    with utc():
        try:
            parser = cls(configure(cls, row["config"]), FakeHost(clock=_Clock()))
        except (ConfigError, InvalidSetting) as problem:
            return None if "error" in row else f"the configuration is refused: {problem}"
        assert isinstance(parser, Parser)
        return _one_line(parser, row) or _many_lines(parser, row)


def _one_line(parser: Parser[Any], row: dict[str, Any]) -> str | None:
    try:
        events = parser.parse(row["line"])
    except ParseError as problem:
        return None if "error" in row else f"refused: {problem}"
    if "error" in row:
        return f"accepted: {events}"
    return _difference(events, [] if _is_unmatched(row) else row["expect"])


def _is_unmatched(row: dict[str, Any]) -> bool:
    """Return whether the line is not in the format; fluentd then gives a time now and then, and never a record."""
    return [event["record"] for event in row["expect"]] == [None]


def _many_lines(parser: Parser[Any], row: dict[str, Any]) -> str | None:
    now = time.time_ns()
    parsed = parser.parse_lines([row["line"].encode(row.get("encoding") or "utf-8")], now)
    if "error" in row or _is_unmatched(row):
        return None if parsed.unmatched == [0] and not parsed.records else f"parse_lines accepted: {parsed}"
    if parsed.unmatched:
        return "parse_lines did not match"
    # the caller's time stands for one that is missing
    wanted = [event["time"] for event in row["expect"]]
    times = [None if want is None and got == now else got for got, want in zip(parsed.times, wanted, strict=False)]
    if len(parsed.records) != len(wanted):
        return f"got {parsed}"
    return _difference(list(zip(times, parsed.records, strict=True)), row["expect"])


def _difference(events: list[Any], expected: list[dict[str, Any]]) -> str | None:
    got: list[tuple[Time | None, Record]] = events
    same = len(got) == len(expected) and all(
        record == want["record"] and same_time(moment, want["time"])
        for (moment, record), want in zip(got, expected, strict=True)
    )
    return None if same else f"got {got}"
