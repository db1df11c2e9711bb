"""Settings of parsers and formatters as 0.12 has them: flat in the section of who uses them."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import Options, Parser
from logpipe.builtin.in_tail import Tail
from logpipe.builtin.out_file import FileOutput
from logpipe.builtin.parsers.apache import Apache2Parser
from logpipe.builtin.parsers.none import NoneParser
from logpipe.builtin.parsers.syslog import SyslogParser
from logpipe.config.diagnostic import Diagnostic
from logpipe.testing import configure
from logpipe.testing.pipeline import parse


@pytest.mark.parametrize(
    ("conf", "kind", "settings"),
    [
        ("format apache2\ntime_format %s", "apache2", {}),
        ("format nginx\ntypes code:integer", "nginx", {"types": {"code": "integer"}}),
        (
            "format syslog\nwith_priority true\nmessage_format rfc5424\nrfc5424_time_format %s",
            "syslog",
            {"with_priority": True, "message_format": "rfc5424", "rfc5424_time_format": "%s"},
        ),
        (
            "format csv\nkeys a,b\ndelimiter ;\ntime_key a\ntime_format %Y\nutc",
            "csv",
            {"keys": ["a", "b"], "delimiter": ";", "time_key": "a", "time_format": "%Y"},
        ),
        (
            "format tsv\nkeys a,b\nnull_empty_string true\nnull_value_pattern -\nkeep_time_key true",
            "tsv",
            {"keys": ["a", "b"], "null_empty_string": True, "keep_time_key": True},
        ),
        (
            "format ltsv\nlabel_delimiter =\ntypes a|integer;b|bool\ntypes_delimiter ;\ntypes_label_delimiter |",
            "ltsv",
            {"label_delimiter": "=", "types": {"a": "integer", "b": "bool"}},
        ),
    ],
)
def test_parsers(conf: str, kind: str, settings: dict[str, Any]) -> None:
    """In `<source> @type tail`."""
    options: Any = configure(Tail, f"path /x\ntag x\n{conf}")
    assert options.parse.type == kind
    _assert_has(options.parse.options, settings)


@pytest.mark.parametrize(
    ("conf", "kind", "settings"),
    [
        ("format csv\nfields a,b\nforce_quotes false\ndelimiter TAB", "csv",
         {"fields": ["a", "b"], "force_quotes": False, "delimiter": "\t"}),
        ("format ltsv\nlabel_delimiter =\ndelimiter ,\nadd_newline false", "ltsv",
         {"label_delimiter": "=", "delimiter": ",", "add_newline": False}),
        ("format tsv\nkeys a,b", "tsv", {"keys": ["a", "b"]}),
        ("format hash\nadd_newline false", "hash", {"add_newline": False}),
        ("format msgpack", "msgpack", {}),
    ],
)  # fmt: skip
def test_formatters(conf: str, kind: str, settings: dict[str, Any]) -> None:
    """In `<match> @type file`."""
    options: Any = configure(FileOutput, f"path /x\n{conf}")
    assert options.format.type == kind
    _assert_has(options.format.options, settings)


def _assert_has(options: Options, settings: dict[str, Any]) -> None:
    assert {name: getattr(options, name) for name in settings} == settings


@pytest.mark.parametrize("cls", [Apache2Parser, SyslogParser, NoneParser])
@pytest.mark.parametrize("setting", ["types a:integer", "null_empty_string true", "null_value_pattern x", "time_key a"])
def test_what_has_no_effect_is_said(cls: type[Parser[Any]], setting: str) -> None:
    """Whoever converts fields of a parser that leaves them as they are is told."""
    (element,) = parse(f"<parse>\n@type {cls.types[0]}\n{setting}\n</parse>").elements
    found: list[Diagnostic] = []
    cls.options_class.read(element, found.append)
    assert [(each.code, each.severity) for each in found] == [("no-effect-yet", "warning")]
