"""Rotated files that were compressed before they were read to their end: with `read_compressed_rotated`."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import reader
from logpipe.monitor import SourceAccount
from tests.builtin.in_tail.archives import LONG_AGO, ON, compress, leave, lines, text
from tests.builtin.in_tail.harness import rows


async def test_goes_on_in_the_middle(tmp_path: Path, follow: Any, append: Any) -> None:
    """Rotated and compressed while nobody looked: the rest comes, then what came after it."""
    log = tmp_path / "app.log"
    first, second, third = lines("first", 1000), lines("second", 9000), lines("third", 10)
    log.write_text(text(first))
    async with follow(tmp_path, ON) as run:
        await leave(run, 1000)
    append(log, text(second))
    log.rename(tmp_path / "app.log.1")
    compress(tmp_path / "app.log.1")
    log.write_text(text(third))
    async with follow(tmp_path, ON) as run:
        assert await run.lines(9010) == second + third
        await run.tick_until(lambda: run.host.metric("open_file_count") == 1)
        read = len(text(second, third))
        account = run.accounts()[str(log)]
        assert account == SourceAccount(str(log), written=len(text(first)) + read, before=len(text(first)), read=read)
    async with follow(tmp_path, ON) as run:
        await run.until(run.accounts)
        await run.idle()
        assert run.host.lines == []


@pytest.mark.parametrize(
    ("names"),
    [
        ("app.log.3", "app.log.2", "app.log.1"),
        ("app.log-20260101", "app.log-20260102", "app.log-20260103"),
        ("app-2026-01-01.log", "app-2026-01-02.log", "app-2026-01-03.log"),
    ],
)
@pytest.mark.parametrize("plain", [0, 1])
async def test_several_come_in_order(names: list[str], plain: int, tmp_path: Path, follow: Any, append: Any) -> None:
    """The one that was half read, those that came and went, compressed or (delaycompress) the last one not yet."""
    log = tmp_path / "app.log"
    log.write_text(text(lines("0", 10)))
    async with follow(tmp_path, ON, path="app.log") as run:
        await leave(run, 10)
    expected: list[str] = []
    for number, name in enumerate(names, 1):
        some = lines(str(number), 200)
        append(log, text(some))
        log.rename(tmp_path / name)
        expected += some
        log.write_text("")
    for name in names[: len(names) - plain]:
        compress(tmp_path / name)
    log.write_text("last\n")
    async with follow(tmp_path, ON, path="app.log") as run:
        assert await run.lines(601) == [*expected, "last"]
        assert run.host.metric("abandoned_bytes") == 0


async def test_what_was_read_long_ago_is_not_read_again(tmp_path: Path, follow: Any, append: Any) -> None:
    """A history of compressed files stands beside the log from the first; it is not ours to read."""
    log = tmp_path / "app.log"
    for number in (2, 3):
        old = tmp_path / f"app.log.{number}"
        old.write_text(text(lines(f"old {number}", 50)))
        os.utime(old, (LONG_AGO, LONG_AGO))
        compress(old)
    log.write_text("one line of text\n")
    async with follow(tmp_path, ON) as run:
        await leave(run, 1)
    append(log, "two\n")
    log.rename(tmp_path / "app.log.1")
    compress(tmp_path / "app.log.1")
    log.write_text("three\n")
    async with follow(tmp_path, ON) as run:
        assert await run.lines(2) == ["two", "three"]
        await run.idle()
        assert run.host.lines == ["two", "three"]


async def test_what_is_compressed_after_it_was_read(tmp_path: Path, follow: Any) -> None:
    """The kubelet compresses the last but one at each rotation, and its time is then that of the compression."""
    log = tmp_path / "app.log"
    expected: list[str] = []
    async with follow(tmp_path, f"{ON}\nrotate_wait 0\nrefresh_interval 3") as run:
        for number in range(5):
            some = lines(str(number), 50)
            log.write_text(text(some))
            expected += some
            assert await run.lines(len(expected)) == expected
            await run.tick_until(lambda: len(list(run.tail.registry.table.generations())) == 1)
            if number:
                previous = tmp_path / f"app.log.2016061{number - 1}"
                packed = previous.with_name(previous.name + ".gz")
                packed.write_bytes(gzip.compress(previous.read_bytes(), mtime=0))
                previous.unlink()
            log.rename(tmp_path / f"app.log.2016061{number}")
        log.write_text("last\n")
        assert await run.lines(251) == [*expected, "last"]
        await run.advance(10)
        await run.idle()
        assert len(run.host.lines) == 251


async def test_a_crash_in_the_middle_of_an_archive(
    tmp_path: Path, follow: Any, append: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its position is remembered like any other, and the rest is read from there."""
    monkeypatch.setattr(reader, "BLOCK", 4096)
    monkeypatch.setattr(reader, "SMALLEST_BLOCK", 4096)
    log = tmp_path / "app.log"
    log.write_text(text(lines("first", 100)))
    async with follow(tmp_path, ON) as run:
        await leave(run, 100)
    second = lines("second", 1000)
    append(log, text(second))
    log.rename(tmp_path / "app.log.1")
    compress(tmp_path / "app.log.1")
    log.touch()
    host = scripted()
    host.refusals = 2
    async with follow(tmp_path, f"{ON}\nread_bytes_limit_per_second 8192", host=host) as run:
        await run.tick_until(lambda: len(host.lines) > 300)
        host.refusals = 1_000_000
        await run.tick_until(
            lambda: any(row[1] > len(text(lines("first", 100), second[:200])) for row in rows(tmp_path))
        )
        await run.kill()
    count = len(host.lines)
    assert host.lines == second[:count]
    async with follow(tmp_path, ON) as run:
        await run.tick_until(lambda: run.host.lines[-1:] == second[-1:])
        assert run.host.lines == second[-len(run.host.lines) :]
        assert 1000 - count <= len(run.host.lines) <= 800


@pytest.mark.parametrize("damage", ["cut off", "flipped"])
async def test_a_damaged_archive_is_said(damage: str, tmp_path: Path, follow: Any, append: Any) -> None:
    """What is whole comes, the rest is lost with a reason; what comes after it is not held up."""
    log = tmp_path / "app.log"
    log.write_text(text(lines("first", 100)))
    async with follow(tmp_path, ON) as run:
        await leave(run, 100)
    second = lines("second", 20_000)
    append(log, text(second))
    log.rename(tmp_path / "app.log.1")
    archive = compress(tmp_path / "app.log.1")
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    if damage == "cut off":
        del content[middle:]
    else:
        content[middle : middle + 100] = bytes(100)
    archive.write_bytes(content)
    log.write_text("new\n")
    async with follow(tmp_path, f"{ON}\nrotate_wait 1") as run:
        await run.tick_until(lambda: "new" in run.host.lines)
        found = run.host.lines[:-1]
        assert len(found) > 5000
        assert found[:5000] == second[:5000]
        await run.tick_until(lambda: run.host.metric("damaged_file_count") == 1)
        account = run.accounts()[str(log)]
        assert set(account.abandoned) == {"damaged"}
        assert account.unexplained == 0
        if damage == "flipped":
            assert account.written == len(text(lines("first", 100), second)) + 4
        assert any("app.log.1.gz, which was" in said for said in run.host.capture.texts("error"))


async def test_other_content_is_not_taken(tmp_path: Path, follow: Any, append: Any) -> None:
    """A compressed file is known by what it holds, whatever its name."""
    log = tmp_path / "app.log"
    log.write_text(text(lines("first", 100)))
    async with follow(tmp_path, ON) as run:
        await leave(run, 100)
    other = tmp_path / "app.log.1"
    other.write_text(text(lines("other", 300)))
    os.utime(other, (LONG_AGO, LONG_AGO))
    compress(other)
    append(log, "lost\n")
    log.rename(tmp_path / "state" / "away")
    log.write_text("new\n")
    async with follow(tmp_path, ON) as run:
        assert await run.lines(1) == ["new"]
        await run.idle()
        assert run.host.lines == ["new"]
        assert any("the older file is gone" in said for said in run.host.capture.texts("warning"))


async def test_only_on_request(tmp_path: Path, follow: Any, append: Any) -> None:
    """Without the option compressed files are none of ours, as in fluentd."""
    log = tmp_path / "app.log"
    log.write_text(text(lines("first", 100)))
    async with follow(tmp_path) as run:
        await leave(run, 100)
    append(log, "rest\n")
    log.rename(tmp_path / "app.log.1")
    compress(tmp_path / "app.log.1")
    log.write_text("new\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["new"]
        await run.idle()
        assert run.host.lines == ["new"]


async def test_compressed_files_are_not_followed_by_themselves(tmp_path: Path, follow: Any) -> None:
    """A wildcard that matches them brings no binary rubbish."""
    (tmp_path / "app.log").write_text("one\n")
    (tmp_path / "app.log.1").write_text("two\n")
    compress(tmp_path / "app.log.1")
    async with follow(tmp_path, ON, path="app.log*") as run:
        assert await run.lines(1) == ["one"]
        assert list(run.tail.registry.table.by_path) == [str(tmp_path / "app.log")]
