"""Events of several lines: joined wherever reads, rotations and restarts fall between them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import joining, reader
from tests.builtin.in_tail.harness import rows

PARSE = "@type multiline\nformat_firstline /^\\d/\nformat1 /^\\d (?<message>.*)/"
TRACE = "1 boom\n  at a\n  at b\n"


async def test_the_last_event_waits_for_the_next(tmp_path: Path, follow: Any, append: Any) -> None:
    """Its lines may come one by one; the position stands before it."""
    log = tmp_path / "a.log"
    log.write_text(TRACE)
    async with follow(tmp_path, parse=PARSE) as run:
        await run.idle_but_held()
        append(log, "  at c")
        append(log, "\n")
        assert run.host.lines == []
        append(log, "2 ok\n")
        assert await run.lines(1) == ["boom\n  at a\n  at b\n  at c"]
        await run.until(lambda: run.saved()[0][1] == len(TRACE) + 7)


async def test_what_is_read_again_after_a_crash(tmp_path: Path, follow: Any, append: Any) -> None:
    """An event of which a kill -9 came in the middle is one event."""
    log = tmp_path / "a.log"
    log.write_text("0 first\n" + TRACE)
    async with follow(tmp_path, parse=PARSE) as run:
        await run.lines(1)
        await run.tick_until(lambda: rows(tmp_path)[:1] and rows(tmp_path)[0][1] == 8)
        await run.kill()
    append(log, "  at c\n2 ok\n")
    async with follow(tmp_path, parse=PARSE) as run:
        assert await run.lines(1) == ["boom\n  at a\n  at b\n  at c"]


async def test_flush_interval(tmp_path: Path, follow: Any, append: Any) -> None:
    """After multiline_flush_interval without anything new the event is passed on; what comes late belongs to none."""
    log = tmp_path / "a.log"
    log.write_text(TRACE)
    async with follow(tmp_path, "multiline_flush_interval 5s", parse=PARSE) as run:
        await run.idle_but_held()
        await run.advance(3)
        append(log, "  at c\n")
        await run.until(lambda: run.held() == len(TRACE) + 7)
        await run.advance(4)
        assert run.host.lines == []
        await run.tick_until(lambda: run.host.lines == ["boom\n  at a\n  at b\n  at c"])
        append(log, "  at d\n2 ok\n")
        await run.until(lambda: run.host.metric("unmatched_lines") == 1)
        text = f'got incomplete line before first line from {log}: "  at d"'
        assert text in run.host.capture.texts("warning")


@pytest.mark.parametrize(("emit", "count"), [("", 1), ("emit_unmatched_lines true", 2)])
async def test_lines_before_the_first(emit: str, count: int, tmp_path: Path, follow: Any) -> None:
    """What began before the file did is unmatched; each line is for itself."""
    (tmp_path / "a.log").write_text("  at z\n1 ok\n2 ok\n")
    async with follow(tmp_path, emit, parse=PARSE) as run:
        await run.until(lambda: len(run.host.records) == count)
        assert run.host.records == [{"unmatched_line": "  at z"}, {"message": "ok"}][-count:]


async def test_rotated_with_an_event_at_its_end(tmp_path: Path, follow: Any) -> None:
    """It is passed on when the file is let go, be its last line ended or not."""
    log = tmp_path / "a.log"
    log.write_text(TRACE + "  at c")
    async with follow(tmp_path, parse=PARSE) as run:
        await run.idle_but_held()
        log.rename(tmp_path / "a.log.1")
        log.write_text("2 new\n3 new\n")
        await run.tick_until(lambda: sorted(run.host.lines) == ["boom\n  at a\n  at b\n  at c", "new"])


@pytest.mark.parametrize("copied", [True, False])
async def test_cut_while_an_event_waits(copied: bool, tmp_path: Path, follow: Any, append: Any) -> None:  # noqa: FBT001
    """It is read from the copy; where there is none it is lost, and counted."""
    log = tmp_path / "a.log"
    log.write_text(TRACE)
    async with follow(tmp_path, parse=PARSE) as run:
        await run.idle_but_held()
        assert run.host.metric("behind_bytes") == len(TRACE)
        if copied:
            shutil.copy(log, tmp_path / "a.log.1")
        os.truncate(log, 0)
        append(log, "2 ok\n3 ok\n")
        expected = ["boom\n  at a\n  at b", "ok"] if copied else ["ok"]
        await run.tick_until(lambda: sorted(run.host.lines) == expected)
        assert run.host.metric("abandoned_bytes") == (0 if copied else len(TRACE))


@pytest.mark.parametrize(
    ("keeps", "is_old", "passed"), [(True, True, True), (True, False, False), (False, False, True)]
)
async def test_stopping(keeps: bool, is_old: bool, passed: bool, tmp_path: Path, follow: Any) -> None:  # noqa: FBT001
    """What waits is passed on, but where it was written just now and the next run can go on with it."""
    log = tmp_path / "a.log"
    log.write_text(TRACE)
    written = 1_466_000_000 if is_old else 4_000_000_000
    os.utime(log, (written, written))
    async with follow(tmp_path, parse=PARSE, keep_positions=keeps) as run:
        await run.until(lambda: run.held() == len(TRACE))
        await run.tail.quiesce()
        assert run.host.lines == ["boom\n  at a\n  at b"] * passed
    if not passed:
        with log.open("a") as file:
            file.write("  at c\n2 ok\n")
        async with follow(tmp_path, parse=PARSE) as run:
            assert await run.lines(1) == ["boom\n  at a\n  at b\n  at c"]


@pytest.mark.parametrize("block", [1, 7, 64])
async def test_blocks_that_end_anywhere(
    block: int, tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little is read at once, events are whole, and the books are balanced."""
    monkeypatch.setattr(reader, "SMALLEST_BLOCK", block)
    monkeypatch.setattr(reader, "BLOCK", block)
    (tmp_path / "a.log").write_text("".join(f"{n} e\n" + "  at x\n" * n for n in range(6)) + "7 end\n")
    async with follow(tmp_path, "read_lines_limit 2", parse=PARSE) as run:
        assert await run.lines(6) == ["e" + "\n  at x" * n for n in range(6)]
        assert run.host.metric("read_lines") == 6 + 15
        assert run.host.metric("eventless_lines") == 15


async def test_an_event_too_long(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What never ends is passed on when it is as long as an event may be."""
    monkeypatch.setattr(reader, "LONGEST_EVENT", 100)
    (tmp_path / "a.log").write_text("1 boom\n" + "  at x\n" * 40 + "2 ok\n3 ok\n")
    async with follow(tmp_path, parse=PARSE) as run:
        assert (await run.lines(2))[1] == "ok"
        assert run.host.metric("unmatched_lines") + run.host.lines[0].count("at x") == 40


async def test_an_event_within_a_read_that_is_full(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What begins in the middle of as many bytes as an event may have is not too long yet: it is read from there."""
    for name in ("SMALLEST_BLOCK", "BLOCK", "LONGEST_EVENT"):
        monkeypatch.setattr(reader, name, 100)
    (tmp_path / "a.log").write_text("0 ok\n" * 12 + "1 boom\n" + "  at x\n" * 12 + "2 ok\n" * 20 + "3 ok\n")
    async with follow(tmp_path, parse=PARSE) as run:
        assert await run.lines(33) == ["ok"] * 12 + ["boom" + "\n  at x" * 12] + ["ok"] * 20
        assert run.host.metric("unmatched_lines") == 0


async def test_an_event_of_too_many_lines(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty lines are many before they are long."""
    monkeypatch.setattr(joining, "MOST_LINES", 50)
    (tmp_path / "a.log").write_text("0 ok\n1 boom\n" + "\n" * 60)
    async with follow(tmp_path, parse=PARSE) as run:
        assert await run.lines(2) == ["ok", "boom" + "\n" * 60]


@pytest.mark.parametrize("encoding", ["", "from_encoding UTF-16LE\nencoding UTF-8"])
async def test_other_line_ends(encoding: str, tmp_path: Path, follow: Any) -> None:
    """A carriage return within an event stays, as in fluentd; one at its end does not."""
    text = "1 boom\r\n  at ä\u0a05\u0100\r\n2 ok\r\n"  # with a line feed's bytes in two characters
    (tmp_path / "a.log").write_bytes(text.encode("utf-16-le" if encoding else "utf-8"))
    async with follow(tmp_path, encoding, parse=PARSE) as run:
        assert await run.lines(1) == ["boom\r\n  at ä\u0a05\u0100"]
        assert run.host.metric("read_lines") == 2


async def test_a_long_line_within_an_event(tmp_path: Path, follow: Any) -> None:
    """It is left out, and the event goes on."""
    (tmp_path / "a.log").write_text("1 boom\n  at " + "x" * 50 + "\n  at b\n2 ok\n")
    async with follow(tmp_path, "max_line_size 20", parse=PARSE) as run:
        assert await run.lines(1) == ["boom\n  at b"]
        assert run.host.metric("skipped_lines") == 1
        assert run.host.metric("eventless_lines") == 1


async def test_without_first_lines(tmp_path: Path, follow: Any, append: Any) -> None:
    """Then an event ends with the line that completes it, at once."""
    parse = "@type multiline\nformat1 /^a=(?<message>\\d)\\n/\nformat2 /^b=\\d/"
    (tmp_path / "a.log").write_text("a=1\nb=1\na=2\n")
    async with follow(tmp_path, parse=parse) as run:
        assert await run.lines(1) == ["1"]
        append(tmp_path / "a.log", "b=2\n")
        assert await run.lines(2) == ["1", "2"]


@pytest.mark.parametrize("emit", ["false", "true"])
async def test_between_events_that_the_format_tells(emit: str, tmp_path: Path, follow: Any) -> None:
    """Lines between them are not matched, each for itself, and those that may still become an event wait."""
    parse = "@type multiline\nformat1 /^a=(?<message>\\d)\\n/\nformat2 /^b=\\d/"
    (tmp_path / "a.log").write_text("x\ny\na=1\nb=1\nz\na=2\nb=2\nu\n")
    async with follow(tmp_path, f"emit_unmatched_lines {emit}", parse=parse) as run:
        await run.until(lambda: run.held() == 2)
        raw = [{"unmatched_line": text} for text in "xyz"] if emit == "true" else []
        assert run.host.records == [*raw[:2], {"message": "1"}, *raw[2:], {"message": "2"}]
        assert run.host.metric("unmatched_lines") == 3 - len(raw)
        assert (run.host.metric("read_lines"), run.host.metric("eventless_lines")) == (7, 2)
        assert ('pattern not matched: "x"' in run.host.capture.texts("warning")) is (not raw)


def test_a_long_event_is_not_read_too_often() -> None:
    """What grows line by line is read again no faster than so."""
    assert joining.LARGE / joining.PACE < 0.1 < joining.LONGEST_EVENT / joining.PACE < 1
