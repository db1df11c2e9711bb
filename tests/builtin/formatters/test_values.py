"""Records as csv, tsv, ltsv, Ruby's hashes and MessagePack; fluentd's own answers are in the conformance rows."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from logpipe import ConfigError, EventBatch, Formatter
from logpipe.builtin.formatters.csv import CsvFormatter
from logpipe.builtin.formatters.delimited import LtsvFormatter, TsvFormatter
from logpipe.builtin.formatters.hash import HashFormatter
from logpipe.builtin.formatters.msgpack import MsgpackFormatter
from logpipe.testing import build, check_plugin


@pytest.mark.parametrize(
    ("cls", "conf"),
    [
        (CsvFormatter, "fields a"),
        (TsvFormatter, "keys a"),
        (LtsvFormatter, ""),
        (HashFormatter, ""),
        (MsgpackFormatter, ""),
    ],
)
async def test_keep_the_contract(cls: type[Formatter[Any]], conf: str) -> None:
    """Formatters like any other."""
    await check_plugin(cls, conf)


RECORD = {"a": 'x"y', "b": None, "c": 1.0, "d": {"e": [True]}, "f": "l1\nl2", "g": "", "h": "1,2\t3", "i": "\u65e5"}
RAW = {"a": b'\xff"', "b": "\u65e5"}


@pytest.mark.parametrize(
    ("cls", "conf", "record", "expected"),
    [
        (CsvFormatter, "fields a,b,c,d", RECORD, '"x""y","","1.0","{""e""=>[true]}"\n'),
        (CsvFormatter, "fields a,none,g,h,i\nforce_quotes false", RECORD, '"x""y",,"","1,2\t3",\u65e5\n'),
        (CsvFormatter, "fields f,h\nforce_quotes false\ndelimiter TAB", RECORD, '"l1\nl2"\t"1,2\t3"\n'),
        (CsvFormatter, "fields c,c\ndelimiter \\t\nadd_newline false", RECORD, '"1.0"\t"1.0"'),
        (CsvFormatter, "fields $.d.e[0],$.d.x,c", RECORD, '"true","","1.0"\n'),
        (CsvFormatter, 'fields ["a","","$[\'c\']"]', RECORD, '"x""y","1.0"\n'),
        (CsvFormatter, "fields a,b", RAW, b'"\xff""","\xe6\x97\xa5"\n'),
        (CsvFormatter, "fields a,b\nforce_quotes false", RAW, b'"\xff""",\xe6\x97\xa5\n'),
        (TsvFormatter, "keys a,b,none,d", RECORD, 'x"y\t\t\t{"e"=>[true]}\n'),
        (TsvFormatter, "keys a,c\ndelimiter |\nnewline crlf", RECORD, 'x"y|1.0\r\n'),
        (TsvFormatter, "keys a\nadd_newline false", RECORD, 'x"y'),
        (TsvFormatter, "keys a,b", RAW, b'\xff"\t\xe6\x97\xa5\n'),
        (LtsvFormatter, "", {"a": "1\t2", "b": None, "c:d": [1]}, "a:1 2\tb:\tc:d:[1]\n"),
        (LtsvFormatter, "delimiter ,\nlabel_delimiter =\nreplacement _", {"a": "1,2", "b": 1}, "a=1_2,b=1\n"),
        (LtsvFormatter, "replacement \\\\t\nnewline crlf", {"a": "1\t2"}, "a:1\\t2\r\n"),
        (LtsvFormatter, "replacement <\\0\\1>\nadd_newline false", {"a": "1\t2"}, "a:1<\t>2"),
        (LtsvFormatter, "", {"a": b"\xff\t", "b": "x"}, b"a:\xff \tb:x\n"),
        (HashFormatter, "", {"a": 'x"y', "b": None, "c": [1.0]}, '{"a"=>"x\\"y", "b"=>nil, "c"=>[1.0]}\n'),
        (HashFormatter, "add_newline false", RAW, '{"a"=>"\\xFF\\"", "b"=>"\u65e5"}'),
        (HashFormatter, "newline crlf", {}, "{}\r\n"),
    ],
)
def test_settings(cls: type[Formatter[Any]], conf: str, record: dict[str, Any], expected: str | bytes) -> None:
    """What each setting does to a record, one by one and in a batch."""
    formatter = build(cls, conf)
    wanted = expected if isinstance(expected, bytes) else expected.encode()
    assert formatter.format("t", 0, record) == wanted
    assert formatter.format_batch(EventBatch("t", [0], [record]), lambda _, error: pytest.fail(str(error))) == [wanted]


def test_msgpack() -> None:
    """A map without time and tag; texts that are not UTF-8, and lone surrogates, are texts as in Ruby.

    An integer of more than 64 bits, which Ruby refuses, is text.
    """
    formatter = build(MsgpackFormatter)
    record = {"a": [1, None, 1.5, {"b": "\u65e5"}], "c": "x" * 40, "d": 2**64 - 1, "e": "\xc4"}
    assert msgpack.unpackb(formatter.format("t", 0, record)) == record
    assert msgpack.unpackb(formatter.format("t", 0, {"a": 2**64})) == {"a": str(2**64)}
    packed = formatter.format("t", 0, {"a": b"\xff", "b": "\ud800"})
    assert packed == b"\x82\xa1a\xa1\xff\xa1b\xa3\xed\xa0\x80"


DEEP: list[Any] = []
for _ in range(3000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("cls", "conf", "bad"),
    [
        (CsvFormatter, "fields $.a.b", {"a": "text"}),
        (CsvFormatter, "fields a", {"a": DEEP}),
        (TsvFormatter, "keys a", {"a": DEEP}),
        (LtsvFormatter, "", {"a": DEEP}),
        (HashFormatter, "", {"a": DEEP}),
        (MsgpackFormatter, "", {"a": DEEP}),
    ],
)
def test_a_bad_record_leaves_the_others_alone(cls: type[Formatter[Any]], conf: str, bad: dict[str, Any]) -> None:
    """A record that cannot be written is told with its place."""
    failed: list[int] = []
    batch = EventBatch("t", [0, 0, 0], [{}, bad, {}])
    payloads = build(cls, conf).format_batch(batch, lambda index, _: failed.append(index))
    assert (failed, payloads[1]) == ([1], b"")
    assert payloads[0] == payloads[2] != b""


@pytest.mark.parametrize(
    ("cls", "conf", "message"),
    [
        (CsvFormatter, "", '"fields" is required'),
        (CsvFormatter, "fields ,", "no field to write"),
        (CsvFormatter, "fields a,$.b[x]", "path"),
        (TsvFormatter, "", '"keys" is required'),
    ],
)
def test_settings_that_cannot_work(cls: type[Formatter[Any]], conf: str, message: str) -> None:
    """They are found at start."""
    with pytest.raises(ConfigError, match=message):
        build(cls, conf)
