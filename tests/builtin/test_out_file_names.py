"""Names that fields and tags are part of: what they may be, what they must not, and what becomes of the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.compression import decompressor
from logpipe.builtin.out_file import FileOutput
from logpipe.testing import ManualClock, Pipeline, drive
from tests.builtin.test_out_file import DAY, JSON, files

MEMORY = "@type memory\nflush_mode immediate\n"


def conf(path: Path | str, keys: str, settings: str = "") -> str:
    return f"path {path}\n{JSON}{settings}<buffer {keys}>\n{MEMORY}</buffer>"


async def written(stage: Pipeline, *records: dict[str, Any], tag: str = "app") -> None:
    """Feed records one by one, and wait until each is written or given up."""
    for record in records:
        await stage.feed(tag, record)
    await stage.flush()
    assert stage.metric("retry_count") == 0


ESCAPES = [
    ("${a}${b}/y", {"a": ".", "b": "."}),
    ("${a}${b}/y", {"a": ".", "b": "./y"}),
    ("${a}${b}/y", {"a": "x/.", "b": "./.."}),
    (".${a}${b}/y", {"a": ".", "b": ""}),
    (".${a}${b}/y", {"a": "", "b": ""}),
    ("..${a}${b}/y", {"a": "", "b": None}),
    ("${a}./${b}", {"a": ".", "b": "y"}),
    ("${a}/${b}", {"a": "..", "b": "y"}),
    ("${a}/${b}", {"a": "x", "b": "../../y"}),
    ("${a}/${b}", {"a": "x", "b": "/y"}),
    ("${a}/${b}", {"a": "/etc", "b": "y"}),
    ("${a}/${b}/y", {"a": "x", "b": "."}),
    ("${a}/${b}", {"a": "x", "b": "y/../../../z"}),
    ("${a}/${b}", {"a": "x", "b": "nul\0"}),
    ("${a}/${b}", {"a": "x", "b": "half\ud800"}),
    ("${a}/${b}", {"a": "x", "b": "\udc80"}),
]


@pytest.mark.parametrize(("template", "record"), ESCAPES)
@pytest.mark.parametrize("append", ["true", "false"])
async def test_values_stay_where_the_setting_has_left_room(
    template: str, record: dict[str, Any], append: str, tmp_path: Path
) -> None:
    """Judged when all are filled in; a dead letter at once, and the next event is written."""
    async with drive(FileOutput, conf(f"{tmp_path}/in/out/{template}", "a,b", f"append {append}\n")) as stage:
        await written(stage, record, {"a": "good", "b": "one"})
    assert [name.startswith("in/out/") for name in files(tmp_path)] == [True]
    (letter,) = stage.dead_letters()
    assert "invalid path component in placeholder" in letter.reason
    assert letter.payload is not None


async def test_a_path_that_begins_with_a_value_stays_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty value in front of a slash would make it begin at the root."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    async with drive(FileOutput, conf("${a}${b}/y", "a,b")) as stage:
        await written(stage, {"a": "", "b": ""}, {"a": str(tmp_path), "b": ""}, {"a": "", "b": "x"})
    assert list(files(tmp_path)) == ["here/x/y_0.log"]
    assert len(stage.dead_letters()) == 2


async def test_tags_stay_there_too(tmp_path: Path) -> None:
    """Whole or in parts."""
    async with drive(FileOutput, conf(f"{tmp_path}/out/${{tag[0]}}.${{tag[1]}}/${{tag}}", "tag")) as stage:
        for tag in ("a.b", "..", "a./../b", "/etc.x", "half.\ud800", "nul.\0"):
            await stage.feed(tag, {"n": 1})
        await stage.flush()
        assert stage.metric("retry_count") == 0
    assert list(files(tmp_path)) == ["out/a.b/a.b_0.log"]
    assert len(stage.dead_letters()) == 5


@pytest.mark.parametrize("value", [None, "", "x/", "x//"])
async def test_a_name_of_nothing_is_no_file(value: str | None, tmp_path: Path) -> None:
    """The folder's own name is not taken instead."""
    async with drive(FileOutput, conf(f"{tmp_path}/out/${{a}}", "a", "append true\npath_suffix ''\n")) as stage:
        await written(stage, {"a": value}, {"a": "good"})
    assert list(files(tmp_path)) == ["out/good"]
    (letter,) = stage.dead_letters()
    assert "it is a folder's" in letter.reason


async def test_values_that_are_no_trick(tmp_path: Path) -> None:
    """Dots and slashes within, nothing at all, what looks like a placeholder or like the number's place."""
    values = ["a.b", "...", "..a", "a..", "x/y", "", None, "%Y", "${b}", "_**", "*", "a b", "\u65e5\u672c", b"caf\xe9"]
    async with drive(FileOutput, conf(f"{tmp_path}/out/${{a}}/f", "a")) as stage:
        await written(stage, *({"a": value} for value in values))
    assert stage.dead_letters() == []
    shown = {value for value in values if isinstance(value, str) and value} | {"caf\udce9"}
    assert {name.removeprefix("out/") for name in files(tmp_path)} == {f"{value}/f_0.log" for value in shown} | {
        "f_0.log",
        "f_1.log",
    }


@pytest.mark.parametrize("append", ["true", "false"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * 300, "File name too long"),
        ("\u65e5" * 100, "File name too long"),
        ("d/" * 2100 + "x", "File name too long"),
        ("file/y", "Not a directory"),
        ("circle/y", "symbolic links"),
        ("folder", "Is a directory"),
    ],
)
async def test_names_that_no_file_can_have(value: str, reason: str, append: str, tmp_path: Path) -> None:
    """Nothing gets better by trying again: a dead letter at once, and the others go on."""
    if reason == "Is a directory" and append == "false":
        pytest.skip("a folder is passed over like a file of that name")
    out = tmp_path / "out"
    (out / "folder").mkdir(parents=True)
    (out / "file").write_text("")
    (out / "circle").symlink_to("circle")
    settings = f"append {append}\nadd_path_suffix false\n"
    async with drive(FileOutput, conf(f"{out}/${{a}}", "a", settings)) as stage:
        await written(stage, {"a": value}, {"a": "good"})
    assert (out / ("good" if append == "true" else "good_0")).read_text() == '{"a":"good"}\n'
    assert [reason in letter.reason for letter in stage.dead_letters()] == [True]


async def test_a_file_in_the_place_of_the_folder_is_somebody_s_to_set_right(tmp_path: Path) -> None:
    """No event has chosen it: the chunk waits, and is written when the folder is there."""
    (tmp_path / "out").write_text("")
    clock = ManualClock()
    async with drive(FileOutput, conf(f"{tmp_path}/out/${{a}}", "a"), clock=clock) as stage:
        await stage.feed("app", {"a": "x"})
        await stage.wait_for(lambda: stage.metric("retry_count") == 1)
        (tmp_path / "out").unlink()
        await clock.advance(10)
        await stage.wait_for((tmp_path / "out" / "x_0.log").exists)
    assert stage.dead_letters() == []


@pytest.mark.parametrize("length", [200, 218, 240, 255])
@pytest.mark.parametrize("append", ["true", "false"])
async def test_names_as_long_as_the_file_system_has_them(length: int, append: str, tmp_path: Path) -> None:
    """A container's tag with its id is that long: nothing beside the file has a longer name."""
    ending = "" if append == "true" else "_0"
    async with drive(
        FileOutput, conf(f"{tmp_path}/${{tag}}", "tag", f"append {append}\nadd_path_suffix false\n")
    ) as stage:
        tag = "x" * (length - len(ending))
        await written(stage, {"n": 1}, tag=tag)
    assert files(tmp_path) == {f"{tag}{ending}": '{"n":1}\n'}


async def test_devices_take_what_they_are_given(tmp_path: Path) -> None:
    """There is nothing to wait for, and no fault in that."""
    (tmp_path / "null").symlink_to("/dev/null")
    settings = "append true\nadd_path_suffix false\n"
    async with drive(FileOutput, conf(f"{tmp_path}/null", "[]", settings)) as stage:
        await written(stage, {"n": 1})
        assert stage.metric("write_count") == 1


async def test_a_fifo_is_written_while_somebody_reads(tmp_path: Path) -> None:
    """Without a reader the chunk waits like for any peer; it holds up no thread, and no stop."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    clock = ManualClock()
    settings = "append true\nadd_path_suffix false\n"
    async with drive(FileOutput, conf(fifo, "[]", settings), clock=clock) as stage:
        await stage.feed("app", {"n": 1})
        await stage.wait_for(lambda: stage.metric("retry_count") == 1)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            await clock.advance(10)
            await stage.wait_for(lambda: stage.metric("write_count") == 1)
            assert os.read(reader, 100) == b'{"n":1}\n'
        finally:
            os.close(reader)


@pytest.mark.parametrize("arg", ["", "time"])
async def test_flush_interval_beside_the_buffer(arg: str, tmp_path: Path) -> None:
    """Chunks are queued by age then, as fluentd does; where there is a `<buffer>`, it says how old."""
    buffer = f"<buffer {arg}>\ntimekey 1d\ntimekey_use_utc true\n</buffer>" if arg else ""
    clock = ManualClock(DAY)
    text = f"path {tmp_path}/f\n{JSON}flush_interval 1s\n{buffer}"
    async with drive(FileOutput, text, clock=clock) as stage:
        await stage.feed("app", {"n": 1}, times=[DAY])
        await clock.advance(2 if not arg else 62)
        await stage.wait_for((tmp_path / "f.20160615_0.log").exists)
        assert any("'flush_mode' is set to 'interval'" in text for text in stage.log.texts("info"))


async def test_a_tag_is_one_line_in_the_file(tmp_path: Path) -> None:
    """A followed file's name may hold a newline, and what comes behind it would be a line that nobody logged."""
    path = f"path {tmp_path}/f\n<format>\n@type out_file\noutput_time false\n</format>\n"
    async with drive(FileOutput, f"{path}<buffer []>\n{MEMORY}</buffer>") as stage:
        await stage.feed("a\nforged\u2028\tx", {"n": 1})
        await stage.flush()
        await stage.feed("half\ud800", {"n": 2})
        await stage.flush()
    assert files(tmp_path) == {
        "f_0.log": 'a\\x0aforged\\u2028\\x09x\t{"n":1}\n',
        "f_1.log": 'half\\ud800\t{"n":2}\n',
    }


async def test_chunks_larger_than_memory_are_written_in_pieces(tmp_path: Path) -> None:
    """A chunk that was read back from its file comes out whole, and in order."""
    buffer = f"<buffer []>\n@type file\npath {tmp_path}/buffer\nmemory_limit_size 0\n</buffer>"
    async with drive(FileOutput, f"path {tmp_path}/f\n{JSON}{buffer}") as stage:
        for start in range(0, 3000, 500):
            await stage.feed("app", *({"n": n, "pad": "x" * 500} for n in range(start, start + 500)))
        await stage.flush()
    lines = (tmp_path / "f_0.log").read_text().splitlines()
    assert [line.startswith(f'{{"n":{n},') for n, line in enumerate(lines)] == [True] * 3000


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
async def test_pieces_are_compressed_one_by_one(compress: str, tmp_path: Path) -> None:
    """And are one content to who reads the file."""
    text = f"path {tmp_path}/f\ncompress {compress}\n{JSON}<buffer []>\n@type memory\n</buffer>"
    async with drive(FileOutput, text) as stage:
        await stage.feed("app", *({"n": n, "pad": "x" * 500} for n in range(2000)))
        await stage.flush()
    (path,) = tmp_path.iterdir()
    assert _decompressed(path.read_bytes(), compress).count(b"\n") == 2000


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
async def test_compressed_chunks_are_appended_as_they_are(compress: str, tmp_path: Path) -> None:
    """The last byte of one is no end of a line, and says nothing about where the next begins."""
    text = f"path {tmp_path}/f\nappend true\ncompress {compress}\n{JSON}<buffer []>\n@type memory\n</buffer>"
    async with drive(FileOutput, text) as stage:
        for pad in ("x" * 300, "y"):
            await stage.feed("app", {"pad": pad})
            await stage.flush()
    (path,) = tmp_path.iterdir()
    assert _decompressed(path.read_bytes(), compress) == b'{"pad":"%b"}\n{"pad":"y"}\n' % (b"x" * 300)


def _decompressed(rest: bytes, compress: str) -> bytes:
    content = b""
    while rest:
        stream = decompressor(compress)  # type: ignore[arg-type]
        content += stream.decompress(rest, 1 << 24)
        rest = stream.unused_data
    return content
