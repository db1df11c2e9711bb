"""Rows of kind `formatter`: one event, and the text that fluentd's formatter made of it."""

from __future__ import annotations

from typing import Any

from logpipe.config.declare import InvalidSetting
from logpipe.config.diagnostic import ConfigError
from logpipe.event import EventBatch
from logpipe.plugin import Formatter
from logpipe.registry import Registry, UnknownPluginError
from logpipe.testing import FakeHost, configure
from tests.conformance.clock import nanoseconds, utc


def run(row: dict[str, Any]) -> str | None:
    """Return None where the text is fluentd's, else what differs; both ways of formatting are asked."""
    try:
        cls = Registry().find("formatter", row["type"])
    except UnknownPluginError:
        return f"SKIP: no stage yet: {row['type']}"
    with utc():
        try:
            formatter = cls(configure(cls, row["config"]), FakeHost())
        except (ConfigError, InvalidSetting) as problem:
            return None if "error" in row else f"the configuration is refused: {problem}"
        assert isinstance(formatter, Formatter)
        expected = bytes.fromhex(row["expect_hex"]) if "expect_hex" in row else row["expect"].encode()
        tag, time, record = row["tag"], nanoseconds(row["time"]), row["record"]
        failed: list[Exception] = []
        batch = EventBatch(tag, [time], [record])
        (many,) = formatter.format_batch(batch, lambda _index, problem: failed.append(problem))
        one = formatter.format(tag, time, record)
    return None if one == many == expected and not failed else f"got {one!r} and {many!r}"
