"""Texts that are not UTF-8: as they came wherever text is written as it is, through every stage that meets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe import FormatError
from logpipe.builtin.filter_record_modifier import RecordModifier
from logpipe.builtin.filter_record_transformer import RecordTransformer
from logpipe.testing import drive, pipeline

SHIFT_JIS = "表示 5".encode("cp932")
SINGLE = "<format>\n@type single_value\n</format>"


def through(folder: Path, *, source: str = "", parse: str = "@type none", stages: str = "", form: str = SINGLE) -> str:
    """Return a configuration from a file in a folder to another one."""
    return f"""
        <source>
          @type tail
          path {folder}/in.log
          tag t
          read_from_head true
          {source}
          <parse>
            {parse}
          </parse>
        </source>
        {stages}
        <match t>
          @type file
          path {folder}/out
          append true
          {form}
          <buffer []>
            flush_mode immediate
          </buffer>
        </match>
    """


async def carried(folder: Path, content: bytes, **settings: str) -> bytes:
    """Return what a file's content becomes in another one."""
    (folder / "in.log").write_bytes(content)
    out = folder / "out.log"
    async with pipeline(through(folder, **settings)) as run:
        lines = content.count(b"\n")
        await run.wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") >= lines, "the lines")
        await run.flush()
        for key, value in run.graph.stages.outputs[0].host.metrics.snapshot().items():
            if key == "replaced_texts":
                (folder / "replaced").write_text(str(value))
    return out.read_bytes()


TEXTS = b"caf\xe9\nplain\n" + SHIFT_JIS + b"\n\xff\xfe\0\x01\nsch\xc3\xb6n\n"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, TEXTS),
        ({"source": "encoding UTF-8"}, TEXTS),
        ({"source": "from_encoding UTF-8\nencoding UTF-8"}, TEXTS),
        ({"parse": "@type regexp\nexpression /^(?<message>.*)$/"}, TEXTS),
        ({"parse": "@type regexp\nexpression /^(?<message>.*)$/\ntypes message:string"}, TEXTS),
        (
            {"stages": "<filter t>\n@type grep\n<regexp>\nkey message\npattern /^.+$/m\n</regexp>\n</filter>"},
            TEXTS,
        ),
        (
            {
                "stages": "<filter t>\n@type record_transformer\n"
                '<record>\nmessage ${record["message"]}\n</record>\n</filter>'
            },
            TEXTS,
        ),
        (
            {
                "stages": "<filter t>\n@type record_transformer\nenable_ruby\n"
                "<record>\nmessage ${record['message']+'!'}\n</record>\n</filter>"
            },
            TEXTS.replace(b"\n", b"!\n"),
        ),
        (
            {"stages": "<filter t>\n@type record_modifier\nchar_encoding utf-8\n</filter>"},
            TEXTS,
        ),
    ],
)
async def test_a_line_is_written_as_it_came(settings: dict[str, str], expected: bytes, tmp_path: Path) -> None:
    """Byte for byte, whichever parser and filter it went through."""
    assert await carried(tmp_path, TEXTS, **settings) == expected


@pytest.mark.parametrize(
    ("source", "content", "expected"),
    [
        ("from_encoding ISO-8859-1\nencoding UTF-8", b"caf\xe9\n", "café\n".encode()),
        ("from_encoding Shift_JIS\nencoding UTF-8", SHIFT_JIS + b"\nx\xfd\n", "表示 5\nx\ufffd\n".encode()),
        ("encoding EUC-JP", "日本\n".encode("euc_jp") + b"x\xff\n", "日本\n".encode() + b"x\xff\n"),
    ],
)
async def test_replaced_only_where_it_is_to_be_converted(
    source: str, content: bytes, expected: bytes, tmp_path: Path
) -> None:
    """U+FFFD stands for what cannot be converted; an encoding that is only named changes nothing it does not know."""
    assert await carried(tmp_path, content, source=source) == expected


async def test_json_has_no_form_for_it(tmp_path: Path) -> None:
    """There U+FFFD stands, and each text is counted."""
    form = "<format>\n@type json\n</format>"
    written = await carried(tmp_path, b"caf\xe9\nplain\n\xff\xfe\n", form=form)

    assert written == '{"message":"caf\ufffd"}\n{"message":"plain"}\n{"message":"\ufffd\ufffd"}\n'.encode()
    assert (tmp_path / "replaced").read_text() == "2"


async def test_json_lines_keep_the_bytes_of_their_texts(tmp_path: Path) -> None:
    """In values of any depth; an escaped lone surrogate beside them is another text."""
    stages = (
        "<filter t>\n@type record_transformer\nenable_ruby\n"
        "<record>\nmessage ${record['a']}|${record['b']['c'][0]}\n</record>\n</filter>"
    )
    lines = b'{"a":"\xe9","b":{"c":["\xff"]}}\n{"a":"x","b":{"c":["y"]}}\n'

    assert await carried(tmp_path, lines, parse="@type json", stages=stages) == b"\xe9|\xff\nx|y\n"


async def test_cri_lines_keep_their_message(tmp_path: Path) -> None:
    """Beside lines that are text."""
    head = b"2020-10-10T00:10:00.333333333Z stdout F "
    content = head + b"caf\xe9\n" + head + "é\n".encode()

    assert await carried(tmp_path, content, parse="@type cri") == b"caf\xe9\n\xc3\xa9\n"


async def test_an_unmatched_line_is_kept(tmp_path: Path) -> None:
    """As it came, where it is to become an event."""
    form = "<format>\n@type single_value\nmessage_key unmatched_line\n</format>"
    source = "emit_unmatched_lines true"

    assert await carried(tmp_path, b"caf\xe9\n", source=source, parse="@type json", form=form) == b"caf\xe9\n"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("record['m'].scrub('?')", "caf? x"),
        ("record['m'].valid_encoding?", False),
        ("record['m'].length", 6),
        ("record['m'].encode('UTF-8', 'ISO-8859-1')", "café x"),
        ("record['m'].force_encoding('ISO-8859-1').encode('UTF-8')", "café x"),
        ("record['m'].split(' ')", [b"caf\xe9", "x"]),
        ("record['m'][0]", "c"),
        ("record['m'][3]", b"\xe9"),
        ("record['m'] =~ /x/", 5),
        ("record['m'].is_a?(String)", True),
        ("record['m'].inspect", '"caf\\xE9 x"'),
        ("'%s!' % record['m']", b"caf\xe9 x!"),
        ("[record['m'], 'y'].join('-')", b"caf\xe9 x-y"),
        ("record['m'].sub(record['m'], 'z')", "z"),
        ("case record['m'] when /^caf/ then 1 else 2 end", 1),
        ("record['k']['n'].bytes", [255]),
        ("[233].pack('C')", b"\xe9"),
        ('"a\\xffb"', b"a\xffb"),
        ("record['j']", "\udc80"),
        ("record['m']; record['j'].bytes", [0xED, 0xB2, 0x80]),
    ],
)
@pytest.mark.parametrize("kind", [RecordTransformer, RecordModifier])
async def test_expressions_see_a_string(kind: Any, expression: str, expected: Any) -> None:
    """Ruby's String methods work on it, and what they give is exact."""
    conf = f"{'enable_ruby' if kind is RecordTransformer else ''}\n<record>\no ${{{expression}}}\n</record>"
    record = {"m": b"caf\xe9 x", "k": {"n": b"\xff"}, "j": "\udc80"}
    async with drive(kind, conf) as stage:
        await stage.feed("t", dict(record))
        assert stage.errors == []
        (found,) = stage.records()

    assert found == {**record, "o": expected}


@pytest.mark.parametrize("kind", [RecordTransformer, RecordModifier])
async def test_a_record_that_is_changed_in_place(kind: Any) -> None:
    """What is not touched is what it was; a failing event goes to `@ERROR` with its bytes."""
    conf = (
        f"{'enable_ruby' if kind is RecordTransformer else ''}\n<record>\n"
        "o ${record['x'] = record['m'] + '!'; record.delete('m')}\n</record>"
    )
    async with drive(kind, conf) as stage:
        await stage.feed("t", {"m": b"\xe9", "k": [b"\xff"]}, {"m": None, "k": [b"\xff"]})

        kept = {"m": b"\xe9"} if kind is RecordTransformer else {"x": b"\xe9!"}  # there a copy is worked on
        assert stage.records() == [{**kept, "k": [b"\xff"], "o": b"\xe9"}]
        ((_, _, record, _),) = stage.errors
        assert record == {"m": None, "k": [b"\xff"]}


async def test_a_field_of_that_name_is_text() -> None:
    """Names of fields are text, with U+FFFD."""
    async with drive(RecordTransformer, "enable_ruby\n<record>\n${record['m']} 1\n</record>") as stage:
        await stage.feed("t", {"m": b"a\xe9"})
        assert stage.records() == [{"m": b"a\xe9", "a\ufffd": "1"}]


async def test_char_encoding_reads_the_bytes() -> None:
    """As it says."""
    async with drive(RecordModifier, "char_encoding ISO-8859-1:UTF-8") as stage:
        await stage.feed("t", {"m": b"caf\xe9", "k": [b"\xe9"]})
        assert stage.records() == [{"m": "café", "k": ["é"]}]


async def test_rewrite_tag_filter_reads_it_as_ruby_does() -> None:
    """A question mark stands for it, since the text may become a tag; the record is as it was."""
    text = """
        <match t>
          @type rewrite_tag_filter
          <rule>
            key m
            pattern /^(caf.)/
            tag x.$1
          </rule>
        </match>
        <match **>
          @type test
        </match>
    """
    async with pipeline(text) as run:
        await run.feed("t", {"m": b"caf\xe9"})
        assert run.records("x.caf?") == [{"m": b"caf\xe9"}]


async def test_a_dead_letter_holds_it() -> None:
    """Exactly."""
    text = "<match **>\n@type test\n</match>"
    async with pipeline(text) as run:
        host = run.graph.stages.outputs[0].host
        host.emit_error("t", 0, {"m": b"caf\xe9"}, FormatError("no"))
        await run.graph.world.dead_letters.settle()
        (letter,) = run.dead_letters()
    assert letter.record == {"m": b"caf\xe9"}
