"""The filter, and what it has in common with the input's `<entry>`."""

from __future__ import annotations

import pytest

from logpipe import Record
from logpipe.testing import check_plugin, drive, pipeline
from logpipe_systemd.filter_systemd_entry import SystemdEntry

ENTRY: Record = {"_HOSTNAME": "arch", "MESSAGE": "m", "_PID": "123", "_CMDLINE": "login -- root", "_COMM": "login"}


@pytest.mark.parametrize(
    ("conf", "record", "expected"),
    [
        ("", ENTRY, ENTRY),
        (
            'field_map {"MESSAGE": "log", "_PID": ["process", "pid"], "_CMDLINE": "process", "_COMM": "cmd"}\n'
            "fields_lowercase true\nfields_strip_underscores true",
            ENTRY,
            {"log": "m", "process": "123 login -- root", "pid": "123", "cmd": "login", "hostname": "arch"},
        ),
        ('field_map {"MESSAGE": "log"}\nfield_map_strict true', ENTRY, {"log": "m"}),
        ("field_map MESSAGE:log,_PID:pid\nfield_map_strict true", ENTRY, {"log": "m", "pid": "123"}),
        ('field_map {"message": "log"}', {"MESSAGE": "m"}, {"MESSAGE": "m"}),
        ('field_map {"a": "log", "b": "logger"}\nfield_map_strict true', {"a": 1, "b": 2}, {"log": 1, "logger": 2}),
        ('field_map {"a": "B"}', {"a": "new", "B": "old"}, {"B": "old new"}),
        ("fields_strip_underscores true", {"_A": 1, "__A": b"\xff", "A": "x"}, {"A": b"x \xff 1"}),
        ("fields_lowercase true", {"A": None, "B": None, "b": 2}, {"a": "", "b": "2 "}),
    ],
)
async def test_names(conf: str, record: Record, expected: Record) -> None:
    """Fields that come to have one name are joined."""
    async with drive(SystemdEntry, conf) as stage:
        await stage.feed("t", dict(record))
        assert stage.records() == [expected]


async def test_nothing_is_left() -> None:
    """It is said when the configuration is read."""
    text = "<filter>\n@type systemd_entry\nfield_map_strict true\n</filter>\n<match>\n@type test\n</match>"
    async with pipeline(text) as running:
        assert any("leaves no fields" in warning.message for warning in running.warnings)


async def test_it_keeps_what_every_plugin_promises() -> None:
    await check_plugin(SystemdEntry, "fields_lowercase true")
