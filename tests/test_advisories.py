"""What has gone wrong in fluentd and Fluent Bit, by their advisories, and which test shows that it does not here.

The causes: ruby-advisory-db, and Fluent Bit's advisories and security commits. What is missing here is named, too.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgpack
import pytest

from logpipe import Options, ParseError
from logpipe.builtin.filter_parser import ParserFilter
from logpipe.builtin.out_stdout import Stdout
from logpipe.builtin.parsers.json import JsonParser
from logpipe.builtin.parsers.msgpack import MsgpackParser
from logpipe.config.options import hints, options_class
from logpipe.registry import Registry
from logpipe.testing import build, drive

ROOT: Final = Path(__file__).parents[1]

SHOWN: Final = {
    "CVE-2017-10906, escape sequences of a record in the log": [
        "tests/test_advisories.py::test_escape_sequences_stay_in_the_record",
        "tests/engine/test_log.py::test_the_command_line_prints_no_escapes",
    ],
    "CVE-2020-21514, a password that all installations have": [
        "tests/test_advisories.py::test_no_secret_has_a_default"
    ],
    "CVE-2021-41186, a regular expression that takes exponential time": [
        "tests/builtin/parsers/test_web_logs.py::test_a_line_that_takes_too_long"
    ],
    "CVE-2022-39379, objects made of what JSON says": [
        "tests/test_advisories.py::test_no_object_is_made_of_data",
        "tests/config/test_yaml.py::test_mistakes",
    ],
    "CVE-2026-44024 and CVE-2025-12972, a tag that leaves the folder of files": [
        "tests/builtin/test_out_file_names.py::test_tags_stay_there_too",
        "tests/builtin/test_out_file_names.py::test_values_stay_where_the_setting_has_left_room",
        "tests/engine/test_dead_letters.py::test_an_id_is_no_path",
    ],
    "CVE-2026-44025, variables of plugins shown to anybody": [
        "tests/builtin/in_monitor_agent/test_plugins.py::test_secrets_are_masked"
    ],
    "CVE-2026-44160, a few bytes that are gigabytes decompressed": [
        "tests/builtin/in_http/test_bodies.py::test_bombs",
        "tests/builtin/forward_protocol/test_messages.py::test_bombs",
    ],
    "CVE-2026-44161, a record that chooses the host of an HTTP output": [
        "tests/builtin/out_http/test_requests.py::test_what_an_event_must_not_choose"
    ],
    "CVE-2024-4323, values of other types than an endpoint expects": [
        "tests/builtin/in_monitor_agent/test_server.py::test_what_is_not_there",
        "tests/builtin/in_monitor_agent/test_server.py::test_what_is_no_request",
        "tests/fuzz/test_fuzz.py::test_decoders_of_what_comes_from_the_network",
    ],
    "CVE-2024-50608 and CVE-2024-50609, a Content-Length that is none": [
        "tests/net/test_http.py::test_what_is_not_taken",
        "tests/net/test_http.py::test_bodies_that_are_too_much_together",
    ],
    "CVE-2025-12969, users without a shared key let anybody in": [
        "tests/builtin/in_forward/test_security.py::test_what_cannot_be",
        "tests/builtin/in_forward/test_security.py::test_an_unknown_word_lets_nobody_in",
    ],
    "CVE-2025-12970, names longer than what is held for them": [
        "tests/builtin/test_out_file_names.py::test_names_as_long_as_the_file_system_has_them"
    ],
    "CVE-2025-12977 and CVE-2025-12978, a tag out of a record, of any bytes, or by a part of the field's name": [
        "tests/builtin/message_inputs/test_tcp.py::test_tag_in_the_record",
        "tests/test_advisories.py::test_a_part_of_a_name_is_not_the_field",
    ],
    "GHSA-r5c5-q74x-75v2, parts of a handshake of other lengths": [
        "tests/builtin/forward_protocol/test_handshake.py::test_what_is_no_ping",
        "tests/builtin/forward_protocol/test_handshake.py::test_who_is_not_let_in",
    ],
}
"""Advisory and cause; what shows that it is not so here."""

NOT_HERE: Final = {
    "CVE-2026-44162, a bomb in an object of a bucket": "input s3",
    "CVE-2026-44163, a body without a bound in OpenTelemetry's input": "input opentelemetry",
}
"""The stage that would need a test."""


def test_each_is_shown() -> None:
    """The tests that are named are there."""
    for tests in SHOWN.values():
        for test in tests:
            path, _, name = test.partition("::")
            assert name in _functions(ROOT / path), f"{test} is not there"


def test_what_is_not_here() -> None:
    """A stage that comes brings its test, and its row moves up."""
    installed = {f"{each.kind} {each.type}" for each in Registry().installed()}
    assert not installed & set(NOT_HERE.values())


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


async def test_escape_sequences_stay_in_the_record(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A terminal that shows what is printed or logged of it is told nothing by it."""
    evil = "\x1b]0;owned\x07\x1b[2J"
    async with drive(Stdout) as stage:
        await stage.feed(f"t{evil}", {"k": evil, evil: 1})
    async with drive(ParserFilter, "key_name k\n<parse>\n@type json\n</parse>") as stage:
        await stage.feed("t", {"k": evil})
        assert [record for _, _, record, _ in stage.errors] == [{"k": evil}]
        assert not any("\x1b" in text for text in stage.log.texts("debug"))
    assert b"\x1b" not in capfdbinary.readouterr().out


def test_no_secret_has_a_default() -> None:
    """Who sets none has none."""
    registry = Registry()
    classes = [registry.find(each.kind, each.type).options_class for each in registry.installed()]
    seen = 0
    for cls in classes:
        for setting in _secrets(cls):
            seen += 1
            assert not setting.default or not isinstance(setting.default, str), f"{cls.__name__}: {setting.default}"
    assert seen > 10


def _secrets(cls: type[Options]) -> Iterator[Any]:
    for name, setting in cls.settings().items():
        if setting.role == "section":
            yield from _secrets(options_class(hints(cls)[name]))
        elif setting.secret:
            yield setting


def test_no_object_is_made_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says: names of classes are text, and types that are not known are refused."""
    monkeypatch.setenv("FLUENT_OJ_OPTION_MODE", "object")
    record = {"^o": "Fluent::Engine", "__class__": "os.system", "py/object": "x", "json_class": "String"}
    ((_, found),) = build(JsonParser).parse(json.dumps(record))
    assert found == record
    packed = msgpack.packb({"k": msgpack.ExtType(42, b"cos\nsystem\n.")})
    with pytest.raises(ParseError):
        build(MsgpackParser).parse(packed.decode("utf-8", "surrogateescape"))


def test_a_part_of_a_name_is_not_the_field() -> None:
    """`tag_key` is the whole name of a field."""
    from logpipe.builtin.in_tcp import Tcp  # noqa: PLC0415

    plugin = build(Tcp, "tag t\nport 0\n<extract>\ntag_key tags\n</extract>\n<parse>\n@type json\n</parse>")
    (batch,) = plugin.batches([b'{"t":"x","tag":"y","tagss":"z"}'], {}, 0, is_first=True)
    assert batch.tag == "t"
