"""Chunks that were given up, in files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgpack
import pytest

from logpipe import Chunk, ConfigError, EventBatch, LogpipeError, Options, Output
from logpipe.builtin.out_secondary_file import SecondaryFile
from logpipe.testing import Pipeline, pipeline
from logpipe.testing.contract import build, configure
from logpipe.testing.fake_host import FakeHost

TIME = 1466000000_123456789
QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"


class Failing(Output[Options], type="failing"):
    """Refuses every chunk; its chunks hold lines."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [f"{record['n']}\n".encode() for record in batch.records]

    async def write(self, chunk: Chunk) -> None:
        del chunk
        raise RuntimeError("no")


def given_up(settings: str, keys: str = "", primary: str = "failing") -> str:
    """Return an output whose chunks all go to a secondary with these settings."""
    return f"""
        <match **>
          @type {primary}
          <buffer {keys}>
            flush_mode immediate
            retry_max_times 1
            retry_wait 0.01
          </buffer>
          <secondary>
            @type secondary_file
            {settings}
          </secondary>
        </match>
        {QUIET}
    """


async def give(running: Pipeline, *numbers: Any, tag: str = "app") -> None:
    """Feed one event a chunk, and wait until the secondary has it."""
    for number in numbers:
        before = running.metric("write_secondary_count")
        await running.feed(tag, {"n": number}, times=[TIME])
        await running.wait_for(lambda before=before: running.metric("write_secondary_count") > before)  # type: ignore[misc]


def contents(folder: Path) -> dict[str, bytes]:
    """Return what each file below a folder holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def test_a_file_for_each_chunk(tmp_path: Path) -> None:
    """With the first free number; folders are made."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "dump.bin.1").write_bytes(b"mine")
    async with pipeline(given_up(f"directory {tmp_path}/a"), Failing) as running:
        await give(running, 1, 2)
        assert not [each for each in running.warnings if "secondary" in each.message]
    assert contents(tmp_path) == {"a/dump.bin.0": b"1\n", "a/dump.bin.1": b"mine", "a/dump.bin.2": b"2\n"}


async def test_appended(tmp_path: Path) -> None:
    """To one file."""
    async with pipeline(given_up(f"directory {tmp_path}/a\nbasename x\nappend true"), Failing) as running:
        await give(running, 1, 2)
    assert contents(tmp_path) == {"a/x": b"1\n2\n"}


@pytest.mark.parametrize(("append", "name"), [("false", "x.0.gz"), ("true", "x.gz")])
async def test_compressed(append: str, name: str, tmp_path: Path) -> None:
    """As gzip."""
    settings = f"directory {tmp_path}\nbasename x\ncompress gzip\nappend {append}"
    async with pipeline(given_up(settings), Failing) as running:
        await give(running, 1)
    assert {file: gzip.decompress(text) for file, text in contents(tmp_path).items()} == {name: b"1\n"}


async def test_placeholders(tmp_path: Path) -> None:
    """Of the output's chunk keys, in both settings."""
    settings = f"directory {tmp_path}/${{tag[1]}}\nbasename ${{n}}.${{tag}}"
    async with pipeline(given_up(settings, "tag,n"), Failing) as running:
        await give(running, 1, tag="a.b")
    assert contents(tmp_path) == {"b/1.a.b.0": b"1\n"}


@pytest.mark.parametrize("value", ["..", "../../x", "/etc/x", "a\0b", "x" * 300])
async def test_no_value_leads_out(value: str, tmp_path: Path) -> None:
    """Such a chunk becomes a dead letter, and nothing is written elsewhere."""
    settings = f"directory {tmp_path}/in/${{n}}\nbasename f"
    async with pipeline(given_up(settings, "n"), Failing) as running:
        await running.feed("app", {"n": value})
        await running.wait_for(running.dead_letters)
        assert len(running.dead_letters()) == 1
    assert contents(tmp_path) == {}


async def test_events_that_are_not_encoded(tmp_path: Path) -> None:
    """Are written as fluentd does: MessagePack, with times to the nanosecond."""
    text = given_up(f"directory {tmp_path}", primary="null\nnever_flush true")
    async with pipeline(text) as running:
        await give(running, {"a": 2**70})
    (packed,) = contents(tmp_path).values()
    (moment, record) = msgpack.unpackb(packed)
    assert (moment.code, int.from_bytes(moment.data[:4], "big"), int.from_bytes(moment.data[4:], "big")) == (
        0, 1466000000, 123456789,
    )  # fmt: skip
    assert record == {"n": {"a": str(2**70)}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", '"directory" is required'),
        ("directory /tmp/x\nbasename a/b", "basename should not include `/`"),
        ("directory /tmp/x\nbasename ..", "is no file's name"),
        ("directory /tmp/x\nbasename %Y", "basename has an incompatible placeholder, remove time formats"),
        ("directory /tmp/${tag}", "directory has an incompatible placeholder, remove \\${tag}"),
        ("directory /tmp/${k}", "add the chunk key k"),
        ("directory /tmp/x\ncompress zstd", "zstd"),
    ],
)
async def test_mistakes(settings: str, message: str) -> None:
    """Found at start."""
    with pytest.raises(ConfigError, match=message):
        async with pipeline(given_up(settings), Failing):
            pass


async def test_stands_in_secondary_only() -> None:
    """Elsewhere it is refused, with what to write instead."""
    text = f"<match **>\n@type secondary_file\ndirectory /tmp/x\n</match>\n{QUIET}"
    with pytest.raises(ConfigError, match="can only be used in a <secondary> section: write @type file"):
        async with pipeline(text):
            pass


async def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """Is said at start."""
    (tmp_path / "file").write_bytes(b"")
    host = FakeHost()
    host.is_secondary = True
    stage = build(SecondaryFile, f"directory {tmp_path}/file/x", host=host)
    with pytest.raises(LogpipeError, match="should be writable"):
        await stage.start()


def test_has_sentences() -> None:
    """For each setting."""
    assert configure(SecondaryFile, "directory /tmp/x")
    assert all(setting.doc.endswith(".") for setting in SecondaryFile.options_class.settings().values())
