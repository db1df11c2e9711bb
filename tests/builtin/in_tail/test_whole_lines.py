"""Parsers that take lines without decoding them: the same events arrive, and nothing is decoded that need not be."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import orjson
import pytest

from logpipe import EventBatch, Host, Options, Parsed, Parser, Time, param
from logpipe.builtin.in_tail.lines import whole_lines
from logpipe.codec import LineBatch
from logpipe.testing import pipeline
from tests.engine.test_line_batches import OWN_LOG, Passer


class TrustingOptions(Options):
    """Settings of the parser below."""

    how: str = param("What `lines` does: takes, declines, or breaks.", default="takes")
    estimate_current_event: bool = param("As everywhere.", default=True)


class Trusting(Parser[TrustingOptions], type="trusting"):
    """Takes lines that begin with a brace for JSON, and all others for none."""

    taken: ClassVar[list[int]] = []
    """Lines of each batch that was taken as it is."""

    def __init__(self, options: TrustingOptions, host: Host) -> None:
        super().__init__(options, host)
        self.taken.clear()

    def parse(self, line: str) -> list[tuple[Time | None, dict[str, Any]]]:
        return [(None, orjson.loads(line))] if line.startswith("{") else []

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        unmatched = [number for number, line in enumerate(lines) if not line.startswith(b"{")]
        records = [orjson.loads(line) for line in lines if line.startswith(b"{")]
        return Parsed([now] * len(records), records, unmatched)

    def lines(self, block: bytes, start: int, stop: int, now: Time) -> tuple[LineBatch, list[int]] | None:
        if self.options.how == "declines":
            return None
        if self.options.how == "breaks":
            raise RuntimeError("broken")
        assert block[stop - 1 : stop] == b"\n"
        spans, unmatched, place = array("I"), [], start
        lines = block[start : stop - 1].split(b"\n")
        for number, line in enumerate(lines):
            if line.startswith(b"{"):
                spans.extend((place, place + len(line)))
            else:
                unmatched.append(number)
            place += len(line) + 1
        self.taken.append(len(lines))
        return LineBatch("", [now] * (len(spans) // 2), block, spans, form="json"), unmatched


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it an error to read the records of a batch of lines, or one of them."""

    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("somebody reads records")

    monkeypatch.setattr(LineBatch, "records", property(refuse, refuse))
    monkeypatch.setattr(LineBatch, "record", refuse)


def source(folder: Path, *, how: str = "takes", more: str = "") -> str:
    """Return a source that reads a folder's logs."""
    parse = f"<parse>\n@type trusting\nhow {how}\n</parse>\n"
    return f"<source>\n@type tail\npath {folder}/*.log\ntag t\nread_from_head true\n{more}{parse}</source>\n"


async def read(folder: Path, count: int, *, how: str = "takes", more: str = "") -> tuple[list[Any], list[Any], int]:
    """Return the records that a source makes of a folder's logs, what it says and counts, how often lines are taken."""
    text = f"{source(folder, how=how, more=more)}<match t>\n@type test\n</match>\n{OWN_LOG}"
    async with pipeline(text, Trusting) as running:
        await running.wait_for(lambda: running.metric("read_lines") >= count, f"{count} lines")
        warnings = [
            text for text in running.log.texts("warning") if "pos_file" not in text and "recommended" not in text
        ]
        counted = [running.metric(name) for name in COUNTS]
        return running.records("t"), [*warnings, *counted], len(Trusting.taken)


def lines(count: int, *, size: int = 100) -> bytes:
    """Return lines of about that size."""
    return b"".join(b'{"n":%d,"text":"%b"}\n' % (n, b"x" * size) for n in range(count))


COUNTS = ["read_lines", "read_bytes", "unmatched_lines", "additional_records", "eventless_lines", "emitted_records"]

CONTENTS = {
    "one": lines(1),
    "several blocks": lines(20_000),
    "short lines": b"{}\n" * 30_000,
    "empty lines": b'\n\n{"n":1}\n\n' * 3,
    "a line that is in no format": lines(3) + b"what\n" + lines(2) + b"\nis that\n",
    "carriage returns": lines(3) + b'{"n":4}\r\n' + lines(2),
    "NULs": lines(3) + b"\0" * 600 + lines(2),
    "a long line": lines(3) + b'{"a":"' + b"x" * 700_000 + b'"}\n' + lines(3),
}


@pytest.mark.parametrize("name", CONTENTS)
async def test_the_same_events_arrive(name: str, tmp_path: Path) -> None:
    """Whatever stands in the file, and the same is said of it; the ledger adds up."""
    content = CONTENTS[name]
    (tmp_path / "a.log").write_bytes(content)
    count = content.count(b"\n")
    wanted = await read(tmp_path, count, how="declines")
    assert await read(tmp_path, count, how="breaks") == wanted
    records, warnings, taken = await read(tmp_path, count)
    assert (records, warnings) == wanted[:2]
    assert wanted[2] == 0
    assert (taken > 0) == (name not in {"carriage returns", "NULs"})


@pytest.mark.parametrize(
    "more",
    ["path_key path\n", "emit_unmatched_lines true\n", "max_line_size 1000\n", "read_bytes_limit_per_second 1m\n"],
)
async def test_settings_that_need_records_or_lines(more: str, tmp_path: Path) -> None:
    """With these no line is taken as it is."""
    (tmp_path / "a.log").write_bytes(lines(3) + b"what\n")
    records, _, taken = await read(tmp_path, 4, more=more)
    assert taken == 0
    assert len(records) >= 3


@pytest.mark.usefixtures("unreadable")
async def test_the_flagship_without_what_reads_fields(tmp_path: Path) -> None:
    """From a file that grows, past filters for others, to two stores: each line comes once, and none is decoded."""
    store = "<store>\n@type passer\n<buffer tag>\n@type memory\n</buffer>\n</store>\n<store>\n@type null\n</store>\n"
    filters = (
        "<filter journal.**>\n@type kubernetes_metadata\n</filter>\n"
        "<filter apps.**>\n@type record_transformer\n<record>\na b\n</record>\n</filter>\n"
    )
    text = f"{source(tmp_path)}{filters}<match t>\n@type copy\n{store}</match>\n{OWN_LOG}"
    log = tmp_path / "a.log"
    whole = lines(50)
    async with pipeline(text, Trusting, Passer) as running:
        for start in range(0, len(whole), 777):
            with log.open("ab") as file:
                file.write(whole[start : start + 777])
            seen = whole[: start + 777].count(b"\n")
            await running.wait_for(lambda seen=seen: running.metric("read_lines") == seen, f"{seen} lines")
        await running.flush()
        assert b"".join(running.plugin(Passer).payloads) == whole


class Refuses(Passer, type="refuses"):
    """Takes no batch at first."""

    refusals = 2

    async def process(self, batch: EventBatch) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("not now")
        assert isinstance(batch, LineBatch)
        self.payloads += batch.encoded(b"\n")


@pytest.mark.usefixtures("unreadable")
async def test_refused_lines_are_read_again(tmp_path: Path) -> None:
    """All of them, once."""
    (tmp_path / "a.log").write_bytes(lines(9))
    text = f"{source(tmp_path)}<match t>\n@type refuses\n</match>\n{OWN_LOG}"
    async with pipeline(text, Trusting, Refuses) as running:
        await running.wait_for(lambda: running.metric("read_lines") == 9, "the lines")
        assert running.metric("refused_batches") == 2
        assert b"".join(running.plugin(Refuses).payloads) == lines(9)


def test_whole_lines_of_a_block() -> None:
    """Up to a number of them, and none where something is to be cleaned or nothing is whole."""
    assert whole_lines(b"mark{}\n{}\n{", 4, 9) == (10, 2)
    assert whole_lines(b"mark{}\n{}\n{", 4, 1) == (7, 1)
    assert whole_lines(b"a\n{", 2, 9) == (0, 0)
    assert whole_lines(b"a\r\n", 0, 9) == (0, 0)
    assert whole_lines(b"a\0\n", 0, 9) == (0, 0)
    stop, count = whole_lines(b"\n" * 1000, 0, 100)
    assert 50 <= stop == count <= 100
