"""From bytes in a file to events: lines, their ends, their encodings, what is too long or in no format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_tail import Tail, reader
from logpipe.testing import build, check_plugin


async def test_keeps_what_every_plugin_promises() -> None:
    """The contract of plugins holds."""
    await check_plugin(Tail, "path /nowhere/*.log\ntag t\n<parse>\n@type none\n</parse>")


async def test_reads_what_is_there_and_what_is_written_later(tmp_path: Path, follow: Any) -> None:
    """A file is read from its head, then as it grows; the tag holds its path."""
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\n")
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["one", "two"]
        run.append(log, "three\n")
        assert await run.lines(3) == ["one", "two", "three"]
        assert run.host.emitted[0].tag == "t." + str(log)[1:].replace("/", ".")
        assert run.host.metric("read_lines") == 3
        assert run.host.metric("read_bytes") == log.stat().st_size
    assert "following tail of " + str(log) in run.host.capture.texts("info")


async def test_starts_at_the_end_unless_told_otherwise(tmp_path: Path, follow: Any) -> None:
    """Without read_from_head a file of before the start is read from its end, one that comes later from its head."""
    log, later = tmp_path / "a.log", tmp_path / "b.log"
    log.write_text("old\n")
    async with follow(tmp_path, "read_from_head false") as run:
        await run.until(lambda: run.tail.registry.table.by_path)
        run.append(log, "new\n")
        await run.lines(1)
        run.append(later, "first\n")
        assert await run.lines(2) == ["new", "first"]


async def test_a_partial_line_waits_for_its_end(tmp_path: Path, follow: Any) -> None:
    """A line without a line feed is neither emitted nor passed over."""
    log = tmp_path / "a.log"
    log.write_text("whole\nhal")
    async with follow(tmp_path) as run:
        await run.lines(1)
        assert run.saved()[0][1] == len("whole\n")
        run.append(log, "f\nnext\n")
        assert await run.lines(3) == ["whole", "half", "next"]


@pytest.mark.parametrize("block", range(1, 30))
async def test_lines_are_the_same_wherever_a_read_ends(
    block: int, tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carriage returns, empty lines and characters of several bytes survive every read boundary."""
    monkeypatch.setattr(reader, "BLOCK", block)
    monkeypatch.setattr(reader, "SMALLEST_BLOCK", block)
    (tmp_path / "a.log").write_bytes("äöü\r\n\n€\r\r\n𝄞x\nlast\n".encode())
    async with follow(tmp_path) as run:
        assert await run.lines(5) == ["äöü", "", "€\r", "𝄞x", "last"]


@pytest.mark.parametrize("end", ["\nafter\n", "\r\nafter\n"])
async def test_a_long_line_is_cut(end: str, tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without max_line_size memory is bounded: one line is one event still, and no character is torn."""
    monkeypatch.setattr(reader, "BLOCK", 16)
    monkeypatch.setattr(reader, "SMALLEST_BLOCK", 16)
    monkeypatch.setattr(reader, "LONGEST_LINE", 64)
    log = tmp_path / "a.log"
    log.write_text("short\nx" + "é" * 100)
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["short"]
        (generation,) = run.tail.registry.table.generations()
        await run.until(lambda: generation.ahead == 201)
        assert run.saved()[0][1] == len("short\n")
        run.append(log, end)
        assert await run.lines(3) == ["short", "x" + "é" * 31, "after"]
        assert run.host.metric("cut_lines") == 1
        assert generation.ledger.read + sum(generation.ledger.skipped.values()) == log.stat().st_size
        assert run.host.metric("skipped_long_line_bytes") == 138 + len(end.removesuffix("after\n"))
    assert any("was cut after 63" in text for text in run.host.capture.texts("warning"))


async def test_a_line_of_many_megabytes_is_one_event(tmp_path: Path, follow: Any) -> None:
    """As in Fluentd; with what stands before and after it."""
    (tmp_path / "a.log").write_bytes(b"short\n" + b"x" * 9_000_000 + b"\nafter\n")
    async with follow(tmp_path) as run:
        assert [len(line) for line in await run.lines(3)] == [5, 9_000_000, 5]


async def test_a_long_line_that_a_rotated_file_ends_with(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut as well, though no line feed ends it."""
    monkeypatch.setattr(reader, "LONGEST_LINE", 64)
    log = tmp_path / "a.log"
    log.write_text("short\n" + "x" * 100)
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["short"]
        log.rename(tmp_path / "b.old")
        log.write_text("after\n")
        await run.tick_until(lambda: len(run.host.lines) == 3)
        assert run.host.lines == ["short", "after", "x" * 64]


async def test_lines_beyond_max_line_size_are_skipped_whole(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line feed counts; a long line that is not ended yet keeps the position at its start."""
    monkeypatch.setattr(reader, "BLOCK", 16)
    monkeypatch.setattr(reader, "SMALLEST_BLOCK", 16)
    log = tmp_path / "a.log"
    log.write_text("123456789\n1234567890\n" + "x" * 50)
    async with follow(tmp_path, "max_line_size 10") as run:
        assert await run.lines(1) == ["123456789"]
        await run.until(lambda: run.saved()[0][1] == 21)
        run.append(log, "x\nok\n")
        assert await run.lines(2) == ["123456789", "ok"]
        assert run.host.metric("skipped_long_line_bytes") == 11 + 52
        (generation,) = run.tail.registry.table.generations()
        assert generation.ledger.read + sum(generation.ledger.skipped.values()) == log.stat().st_size
    assert "received line length is longer than 10" in run.host.capture.texts("warning")


async def test_nul_bytes_before_a_line_are_left_out(tmp_path: Path, follow: Any) -> None:
    """A hole, as a writer leaves it that goes on at its old offset after a truncation, costs no line."""
    log = tmp_path / "a.log"
    log.write_bytes(b"\0" * 5001 + b"one\n" + b"\0" * 512 + b"two\n")
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["one", "two"]
        assert run.host.metric("skipped_nul_bytes") == 5513


@pytest.mark.parametrize("extra", ["", "encoding UTF-16LE"])
async def test_nul_bytes_of_a_line_are_kept(extra: str, tmp_path: Path, follow: Any) -> None:
    """A few of them were written: they are the line's, wherever it stands and whatever came of reading it in parts."""
    log = tmp_path / "a.log"
    form = "utf-16-le" if extra else "utf-8"
    log.write_bytes("\0one\n\0\0\n\0".encode(form))
    async with follow(tmp_path, extra) as run:
        await run.lines(2)
        run.append(log, "\0two\0\n".encode(form))
        assert await run.lines(3) == ["\0one", "\0\0", "\0\0two\0"]
        assert run.host.metric("skipped_nul_bytes") == 0


async def test_a_large_hole_is_jumped_over(tmp_path: Path, follow: Any) -> None:
    """A hole of a gigabyte is not read through."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    os.truncate(log, 1 << 30)
    with log.open("r+b") as file:
        file.seek(1 << 30)
        file.write(b"two\n")
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["one", "two"]


async def test_space_that_is_still_to_be_filled_is_waited_for(tmp_path: Path, follow: Any) -> None:
    """A writer that reserves its file and fills it later loses nothing."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    os.truncate(log, 1 << 20)
    async with follow(tmp_path) as run:
        await run.lines(1)
        with log.open("r+b") as file:
            file.seek(4)
            file.write(b"two\n")
        assert await run.lines(2) == ["one", "two"]


async def test_unmatched_lines_are_reported_and_counted(tmp_path: Path, follow: Any) -> None:
    """Lines that are no JSON are warned about, a few of them in words and all in the count; the rest goes on."""
    bad = [f"bad {number}\x1b" for number in range(20)]
    (tmp_path / "a.log").write_text("\n".join(['{"n":1}', *bad, '{"n":2}']) + "\n")
    async with follow(tmp_path, parse="@type json") as run:
        await run.until(lambda: len(run.host.records) == 2)
        assert run.host.metric("unmatched_lines") == 20
        said = [text for text in run.host.capture.texts("warning") if text.startswith("pattern not matched: ")]
        assert said[0] == r'pattern not matched: "bad 0\e"'
        assert len(said) == 5
        await run.tick_until(
            lambda: any("pattern not matched: 15 more times" in text for text in run.host.capture.texts("warning"))
        )


@pytest.mark.parametrize(
    ("parse", "line", "said"),
    [
        (
            "@type json\ntime_type string\ntime_format %Y-%m-%d",
            '{"time":"yesterday\\u001b\\nx"}',
            r'"invalid time format: \"yesterday\e\nx\" does not match \"%Y-%m-%d\""',
        ),
        ("@type regexp\nexpression /^(?<time>.*)$/", "no time", "invalid time format"),
        ("@type cri", "tomorrow stdout F x", "%Y-%m-%dT%H:%M:%S.%L%z"),
    ],
)
async def test_a_time_that_is_none_is_named(parse: str, line: str, said: str, tmp_path: Path, follow: Any) -> None:
    """The warning holds the line, what stands in the time's place, and the format; none of it breaks the log's line."""
    (tmp_path / "a.log").write_text(line + "\n")
    async with follow(tmp_path, parse=parse) as run:
        await run.until(lambda: run.host.metric("unmatched_lines") == 1)
        (text,) = run.host.capture.texts("warning")
    assert text.startswith("invalid line found: ")
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("parse", "content", "count"),
    [
        ("@type none\nestimate_current_event false", "a\nb\n", 0),
        ("@type json\nestimate_current_event false", '{"a":1}\n{"time":1466000000}\nbad\n{"b":1}\n', 1),
        ("@type json\nestimate_current_event false", '[{"a":1},{"time":1466000000}]\n{"time":1466000000}\n', 2),
        ("@type json", '{"a":1}\n', 1),
    ],
)
async def test_a_line_without_a_time(parse: str, content: str, count: int, tmp_path: Path, follow: Any) -> None:
    """Where the current time is not to stand in, it is not in the format."""
    (tmp_path / "a.log").write_text(content)
    async with follow(tmp_path, parse=parse) as run:
        await run.until(lambda: run.host.metric("read_lines") == content.count("\n"))
        assert len(run.host.records) == count
        warned = run.host.capture.texts("warning")
    assert bool(warned) == ("false" in parse)
    assert all(text.startswith("pattern not matched: ") for text in warned)


async def test_unmatched_lines_can_become_events(tmp_path: Path, follow: Any) -> None:
    """They come in the place that they have in the file, with the path where that is asked for."""
    log = tmp_path / "a.log"
    log.write_text('bad\n{"n":1}\nworse\n{"n":2}\nworst\n')
    extra = "emit_unmatched_lines true\npath_key where"
    async with follow(tmp_path, extra, parse="@type json") as run:
        await run.until(lambda: len(run.host.records) == 5)
        path = str(log)
        assert run.host.records == [
            {"unmatched_line": "bad", "where": path},
            {"n": 1, "where": path},
            {"unmatched_line": "worse", "where": path},
            {"n": 2, "where": path},
            {"unmatched_line": "worst", "where": path},
        ]


async def test_path_key_gives_way_to_what_the_record_holds(tmp_path: Path, follow: Any) -> None:
    """As in Ruby's ||=, null and false are replaced and an empty text is not."""
    log = tmp_path / "a.log"
    log.write_text('{"p":"mine"}\n{"p":null}\n{"p":false}\n{"p":""}\n')
    async with follow(tmp_path, "path_key p", parse="@type json") as run:
        await run.until(lambda: len(run.host.records) == 4)
        assert [record["p"] for record in run.host.records] == ["mine", str(log), str(log), ""]


async def test_batches_hold_at_most_read_lines_limit_lines(tmp_path: Path, follow: Any) -> None:
    """A configured limit is kept, and each batch is settled apart."""
    (tmp_path / "a.log").write_text("".join(f"{number}\n" for number in range(10)))
    async with follow(tmp_path, "read_lines_limit 4") as run:
        assert await run.lines(10) == [str(number) for number in range(10)]
        assert [len(batch) for batch in run.host.emitted] == [4, 4, 2]


async def test_a_block_of_empty_lines_is_no_bomb(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of one batch are bounded whatever they are."""
    monkeypatch.setattr(reader, "MOST_LINES", 100)
    (tmp_path / "a.log").write_bytes(b"\n" * 1000)
    async with follow(tmp_path) as run:
        await run.lines(1000)
        assert max(len(batch) for batch in run.host.emitted) == 100


@pytest.mark.parametrize(
    ("extra", "text", "encoding"),
    [
        ("encoding EUC-JP", "日本\r\n語\n", "euc_jp"),
        ("from_encoding Windows-31J\nencoding UTF-8", "表示\n", "cp932"),
        ("from_encoding UTF-16LE\nencoding UTF-8", "ab\n਀਀c\n", "utf-16-le"),
        ("from_encoding ISO-8859-1\nencoding UTF-8", "é\n", "latin-1"),
        ("encoding ASCII-8BIT", "plain\n", "ascii"),
    ],
)
async def test_other_encodings(extra: str, text: str, encoding: str, tmp_path: Path, follow: Any) -> None:
    """Lines come out as text, whatever encoding they are in."""
    (tmp_path / "a.log").write_bytes(text.encode(encoding))
    expected = text.replace("\r\n", "\n").splitlines() if "਀" not in text else text.split("\n")[:-1]
    async with follow(tmp_path, extra) as run:
        assert await run.lines(len(expected)) == expected


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("path_delimiter /", "reserved"),
        ("glob_policy always", "another path_delimiter"),
        ("enable_watch_timer false\nenable_stat_watcher false", "must be true"),
        ("from_encoding EUC-JP", "must be specified with encoding"),
        ("path_timezone JST", "unsupported timezone"),
        ("read_lines_limit 0", "at least 1"),
    ],
)
def test_refuses_what_fluentd_refuses(extra: str, message: str) -> None:
    """Settings that make no sense are refused with a reason."""
    with pytest.raises(ConfigError, match=message):
        build(Tail, f"path /a/*.log\ntag t\n{extra}\n<parse>\n@type none\n</parse>")


def test_needs_a_parse_section() -> None:
    """A tail without a parser is refused."""
    with pytest.raises(ConfigError, match="<parse>"):
        build(Tail, "path /a\ntag t")


def test_takes_the_flat_parameters_of_fluentd_0_12() -> None:
    """`format`, `time_format` and `keys` stand beside the others there."""
    tail = build(Tail, "path /a\ntag t\nformat json\ntime_format %Y")
    assert tail.options.parse.type == "json"
