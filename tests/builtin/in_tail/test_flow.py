"""Back-pressure, isolation, limits, and what a stop leaves behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError, EventBatch
from logpipe.builtin.in_tail import Tail, reader
from logpipe.testing import build


def tag_of(path: Path) -> str:
    """Return the tag of a file's events."""
    return "t." + str(path)[1:].replace("/", ".")


async def test_reading_waits_for_the_output(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """One batch of a file is on its way at a time, whatever the file holds."""
    log = tmp_path / "a.log"
    log.write_text("line\n" * 10_000)
    host = scripted()
    host.stuck = {tag_of(log)}
    async with follow(tmp_path, "read_lines_limit 10", host=host) as run:
        await run.until(lambda: host.attempts == 1)
        await run.advance(10)
        assert host.attempts == 1
        assert run.saved()[0][1] == 0
        assert host.metric("behind_bytes") == 50_000


async def test_a_stuck_output_holds_up_only_its_own_files(
    tmp_path: Path, follow: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files whose events go elsewhere are read on, in blocks that get smaller with what waits."""
    monkeypatch.setattr(reader, "POOL", 64 * 1024)
    logs = [tmp_path / f"{number:02}.log" for number in range(40)]
    for log in logs:
        log.write_text("one\n")
    host = scripted()
    host.stuck = {tag_of(log) for log in logs[:39]}
    async with follow(tmp_path, host=host) as run:
        await run.until(lambda: host.attempts == 40)
        assert host.lines == ["one"]
        run.append(logs[39], "x" * 40_000 + "\ntwo\n")
        assert (await run.lines(3))[2] == "two"


async def test_a_noisy_file_whose_output_is_stuck(
    tmp_path: Path, follow: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rotates on: others are read meanwhile, one batch of it waits, and what vanishes unread is in its books."""
    monkeypatch.setattr("logpipe.builtin.in_tail.open_files._limit", lambda: 3)
    noisy, quiet = tmp_path / "noisy.log", tmp_path / "quiet.log"
    host, gate, waiting = scripted(), asyncio.Event(), 0
    emit = host.emit

    async def stuck(batch: EventBatch) -> None:
        nonlocal waiting
        if batch.tag == tag_of(noisy):
            waiting += 1
            await gate.wait()
        await emit(batch)

    def rotate(number: int) -> None:
        if number:
            noisy.rename(tmp_path / "noisy.log.1")
        (tmp_path / "new").write_text(f"generation {number}\n" * 1000)
        (tmp_path / "new").rename(noisy)

    host.emit = stuck
    rotate(0)
    quiet.touch()
    async with follow(tmp_path, "read_lines_limit 500", host=host) as run:
        await run.until(lambda: waiting)
        for number in range(1, 6):
            rotate(number)
            await run.until(lambda: host.metric("rotated_file_count") == number)  # noqa: B023 - it is used at once
            run.append(quiet, "quiet\n")
            await run.until(lambda: len(host.lines) == number)  # noqa: B023 - as above
        assert waiting == 1
        gate.set()
        await run.tick_until(lambda: host.metric("behind_bytes") == 0 and run.is_idle())
        read = {line[-1] for line in host.lines_of(tag_of(noisy))}
        lost = len(set("012345") - read)
        assert lost
        assert len(host.lines) == 1000 * len(read) + 5
        account = run.accounts()[str(noisy)]
        assert (account.written, account.read) == (6 * 13_000, (6 - lost) * 13_000)
        assert account.abandoned == {"gone": lost * 13_000}
        text = f"13000 bytes of {noisy} could not be read: the file is gone. They are lost"
        assert host.capture.texts("error") == [text] * lost


async def test_the_stop_is_at_once_and_reads_nothing_more(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """A batch that waits for its output is given up; it is read again after the next start."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    host = scripted()
    host.stuck = {tag_of(log)}
    async with follow(tmp_path, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        run.task.cancel()
        await asyncio.wait([run.task])
        assert not host.lines
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["one"]


async def test_run_can_be_called_again(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """After a failure the engine calls run once more: it goes on where it was, nothing twice and nothing lost."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    host = scripted()
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        host.stuck = {tag_of(log)}
        run.append(log, "two\n")
        await run.until(lambda: host.attempts == 2)
        run.task.cancel()
        await asyncio.wait([run.task])
        host.stuck = set()
        async with asyncio.TaskGroup() as group:
            run.task = group.create_task(run.tail.run())
            assert await run.lines(2) == ["one", "two"]
            run.append(log, "three\n")
            assert await run.lines(3) == ["one", "two", "three"]
            assert run.saved()[0][1] == log.stat().st_size
            run.task.cancel()


async def test_a_bug_in_a_parser_stops_no_other_line(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parser that raises is asked line by line; the line it breaks on is reported."""
    from logpipe.builtin.parsers.none import NoneParser  # noqa: PLC0415 - only this test reaches into a parser

    really_parse = NoneParser.parse_lines

    def breaks(self: Any, lines: list[bytes], now: int) -> Any:
        if b"bad" in lines:
            raise RuntimeError("boom")
        return really_parse(self, lines, now)

    monkeypatch.setattr(NoneParser, "parse_lines", breaks)
    (tmp_path / "a.log").write_text("one\nbad\ntwo\n")
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["one", "two"]
        assert run.host.metric("unmatched_lines") == 1
        assert any("invalid line found" in text for text in run.host.capture.texts("warning"))


async def test_bytes_per_second_are_limited(tmp_path: Path, follow: Any) -> None:
    """A file is read in steps of the limit, a second apart; a smaller limit than 8192 is raised to that."""
    (tmp_path / "a.log").write_text("123456789\n" * 2000)
    async with follow(tmp_path, "read_bytes_limit_per_second 100") as run:
        await run.until(lambda: len(run.host.lines) == 819)
        await run.until(lambda: run.host.metric("throttled_log_count") == 1)
        assert len(run.host.lines) == 819
        await run.advance(1)
        await run.until(lambda: 1630 <= len(run.host.lines) <= 1640)
        await run.tick_until(lambda: len(run.host.lines) == 2000)
        assert any("Use 8192" in text for text in run.host.capture.texts("warning"))


async def test_groups_of_files_share_a_limit_of_lines(tmp_path: Path, follow: Any) -> None:
    """Each file of a rule gets its share per rate_period; files of no rule are read freely."""
    for name in ("shop_a", "shop_b", "free_c"):
        (tmp_path / f"{name}.log").write_text(f"{name}\n" * 30)
    group = r"""
    <group>
      pattern /(?<space>[a-z]+)_(?<name>[a-z])\.log$/
      rate_period 5s
      <rule>
        match {"space": "/^shop$/"}
        limit 20
      </rule>
    </group>
    """
    async with follow(tmp_path, group) as run:
        await run.until(lambda: run.host.lines.count("free_c") == 30)
        await run.until(lambda: run.host.metric("throttled_log_count") >= 2)
        assert run.host.lines.count("shop_a") == 10
        assert run.host.lines.count("shop_b") == 10
        for seen in (20, 30):
            await run.advance(5)
            await run.until(lambda: len(run.host.lines) == 30 + 2 * seen)  # noqa: B023 - it is used at once


def test_a_limit_below_none_is_refused() -> None:
    """-1 is no limit; nothing is below that."""
    with pytest.raises(ConfigError, match="limit must be -1"):
        build(Tail, "path /a\ntag t\n<group>\n<rule>\nlimit -2\n</rule>\n</group>\n<parse>\n@type none\n</parse>")
