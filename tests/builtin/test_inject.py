"""The `<inject>` section, through an output that prints."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from logpipe import EventBatch, InvalidSetting
from logpipe.builtin.out_stdout import Stdout
from logpipe.codec import InjectOptions, compile_inject
from logpipe.testing import FakeHost, configure

TIME = 1466000000_123456789


def injected(conf: str, record: dict[str, Any]) -> dict[str, Any]:
    options: Any = configure(Stdout, f"<inject>\n{conf}\n</inject>")
    batch = EventBatch("tag.a", [TIME], [record])
    (result,) = compile_inject(options.inject, FakeHost())(batch)
    return result


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("", {"a": 1}),
        ("hostname_key host", {"a": 1, "host": "test-host"}),
        ("hostname_key host\nhostname web-1", {"a": 1, "host": "web-1"}),
        ("worker_id_key w", {"a": 1, "w": 0}),
        ("tag_key tag", {"a": 1, "tag": "tag.a"}),
        ("time_key time", {"a": 1, "time": 1466000000.123456}),
        ("time_key time\ntime_type unixtime", {"a": 1, "time": 1466000000}),
        ("time_key time\ntime_type unixtime_millis", {"a": 1, "time": 1466000000123}),
        ("time_key time\ntime_type unixtime_micros", {"a": 1, "time": 1466000000123456}),
        ("time_key time\ntime_type unixtime_nanos", {"a": 1, "time": 1466000000123456789}),
        ("time_key time\ntime_type string\nutc true", {"a": 1, "time": "2016-06-15T14:13:20Z"}),
        ("time_key time\ntime_type string\ntimezone +0900\ntime_format %H:%M", {"a": 1, "time": "23:13"}),
        (
            "hostname_key a\ntag_key b\ntime_key c\ntime_type unixtime",
            {"a": "test-host", "b": "tag.a", "c": 1466000000},
        ),
    ],
)
def test_fields(conf: str, expected: dict[str, Any]) -> None:
    """Each field is added over one of the same name, in fluentd's order."""
    record = {"a": 1}
    assert list(injected(conf, record).items()) == list(expected.items())
    assert record == {"a": 1}


class KeyedHost(FakeHost):
    """A host of an output whose chunks are cut by the field `host`."""

    @property
    def chunk_keys(self) -> tuple[str, ...]:
        """Return the field."""
        return ("host",)


def test_hostname_as_chunk_key() -> None:
    """A field that is added while writing cannot choose the chunk."""
    with pytest.raises(InvalidSetting, match="cannot be a chunk key"):
        compile_inject(InjectOptions(hostname_key="host"), KeyedHost())


def test_format_without_a_field(caplog: pytest.LogCaptureFixture) -> None:
    """A time format without a field for it is told of."""
    with caplog.at_level(logging.WARNING):
        injected("time_format %Y", {})
    assert "'time_format' specified without 'time_key'" in caplog.text
