"""Rotated files that were compressed before they were read to their end: with `read_compressed_rotated`."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import disk, reader, table
from logpipe.builtin.in_tail.disk import Survey
from logpipe.builtin.in_tail.logfile import Head
from logpipe.builtin.in_tail.table import Trail
from logpipe.builtin.position_file import PositionFile
from logpipe.monitor import SourceAccount

ON = "read_compressed_rotated true"
LONG_AGO = 1_466_000_000


def compress(path: Path) -> Path:
    """Compress a file with gzip(1), which leaves it its time."""
    subprocess.run(["gzip", path], check=True)
    return path.with_name(path.name + ".gz")


def rows(folder: Path) -> list[tuple[str, int, int]]:
    """Return what the position file holds."""
    return [row[:3] for row in PositionFile(str(folder / "state" / "tail.pos")).load().positions]


def lines(name: str, count: int) -> list[str]:
    return [f"{name}, line number {number:06}, with some text" for number in range(count)]


def text(*several: list[str]) -> str:
    return "".join(f"{line}\n" for some in several for line in some)


async def leave(run: Any, count: int) -> None:
    """Wait until exactly so many lines were accepted, and stop."""
    await run.lines(count)
    assert len(run.host.lines) == count


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


async def test_a_file_that_is_open_is_read_from_there(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Compressed while we are behind: what we hold open is still all there, and comes once."""
    log = tmp_path / "app.log"
    log.write_text("one line of text\n")
    host = scripted()
    async with follow(tmp_path, ON, host=host) as run:
        await leave(run, 1)
        host.refusals = 1
        run.append(log, "two\n")
        await run.until(lambda: host.attempts == 2)
        log.rename(tmp_path / "app.log.1")
        compress(tmp_path / "app.log.1")
        log.write_text("three\n")
        await run.tick_until(lambda: len(host.lines) == 3)
        assert host.lines == ["one line of text", "two", "three"]


async def test_a_rotation_that_compresses_at_once(tmp_path: Path, follow: Any) -> None:
    """With logrotate's `compress` and no `delaycompress`: what was read, or still is from the open file, comes once."""
    log = tmp_path / "app.log"
    expected: list[str] = []
    log.touch()
    async with follow(tmp_path, f"{ON}\nrotate_wait 1") as run:
        await run.until(lambda: run.tail.registry.table.by_path)
        for number in range(4):
            some = lines(str(number), 100)
            run.append(log, text(some[:50]))
            await run.lines(len(expected) + 50)
            run.append(log, text(some[50:]))
            expected += some
            log.rename(tmp_path / f"app.log-2026010{number}")
            compress(tmp_path / f"app.log-2026010{number}")
            log.touch()
            await run.lines(len(expected))
            await run.advance(0.5 * number)
        run.append(log, "last\n")
        await run.lines(401)
        await run.advance(10)
        await run.idle()
        assert run.host.lines == [*expected, "last"]


async def test_a_generation_that_nobody_had_read_a_byte_of(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Outputs were down, it was rotated, we stopped, it was compressed: it is known by how it begins."""
    log = tmp_path / "app.log"
    first, second = lines("first", 10), lines("second", 10)
    log.write_text(text(first))
    host = scripted()
    host.refusals = 1_000_000
    async with follow(tmp_path, ON, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        log.rename(tmp_path / "app.log.2")
        log.touch()
        await run.until(lambda: (host.metric("rotated_file_count"), host.metric("tracked_file_count")) == (1, 1))
        run.append(log, text(second))
        log.rename(tmp_path / "app.log.1")
        log.write_text("third\n")
        await run.until(lambda: host.metric("rotated_file_count") == 2)
    for number in (1, 2):
        compress(tmp_path / f"app.log.{number}")
    async with follow(tmp_path, ON) as run:
        assert await run.lines(21) == [*first, *second, "third"]


async def test_a_file_that_has_grown_while_an_output_was_stuck(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Its row holds more of how it begins than was read: by that it is told from others once it is compressed."""
    log, other = tmp_path / "app.log", tmp_path / "app.log.2"
    log.write_text("a\n")
    host = scripted()
    host.stuck.add(f"t.{str(log).replace('/', '.')[1:]}")
    async with follow(tmp_path, ON, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        await run.tick_until(lambda: rows(tmp_path))
        run.append(log, text(lines("first", 100)))
    log.rename(tmp_path / "app.log.1")
    compress(tmp_path / "app.log.1")
    other.write_text("a\nfile of long ago, that was restored\n")
    os.utime(other, (LONG_AGO, LONG_AGO))
    compress(other)
    log.write_text("new\n")
    async with follow(tmp_path, ON) as run:
        await run.lines(102)
        await run.idle()
        assert run.host.lines == ["a", *lines("first", 100), "new"]


async def test_compressed_while_its_folder_is_read(
    tmp_path: Path, follow: Any, append: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is met under neither of its names is looked for again."""
    log, old = tmp_path / "app.log", tmp_path / "app.log.1"
    survey = disk.survey
    surveys = 0

    def look_and_compress(base: str) -> Survey:
        nonlocal surveys
        seen = survey(base)
        surveys += 1
        if surveys == 1:  # the one in which the file of the position is looked for
            compress(old)
        return seen

    log.write_text("the first of these lines\n")
    async with follow(tmp_path, ON) as run:
        await leave(run, 1)
    append(log, "second\n")
    log.rename(old)
    log.write_text("third\n")
    monkeypatch.setattr(disk, "survey", look_and_compress)
    async with follow(tmp_path, ON) as run:
        assert await run.lines(2) == ["second", "third"]
    assert not old.exists()


async def test_a_file_that_was_not_open_is_read_from_the_archive(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Compressed while it was closed, with something to read: nothing is given up."""
    log = tmp_path / "app.log"
    log.write_text(text(lines("first", 100)))
    host = scripted()
    async with follow(tmp_path, f"{ON}\nopen_on_every_update true", host=host) as run:
        await leave(run, 100)
        await run.until(lambda: host.metric("open_file_count") == 0)
        with log.open("a") as writer:
            log.rename(tmp_path / "app.log.1")
            writer.write("rest\n")
        compress(tmp_path / "app.log.1")
        log.write_text("new\n")
        await run.tick_until(lambda: len(host.lines) == 102)
        assert host.lines[100:] == ["rest", "new"]
        assert host.metric("abandoned_bytes") == 0


async def test_copytruncate_that_compresses(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """The rest of what was cut is in the compressed copy, and only the rest is read there."""
    log = tmp_path / "app.log"
    log.write_text(text(lines("first", 100)))
    host = scripted()
    async with follow(tmp_path, ON, host=host) as run:
        await leave(run, 100)
        host.refusals = 1
        run.append(log, text(lines("second", 100)))
        await run.until(lambda: host.attempts == 2)
        shutil.copy2(log, tmp_path / "app.log.1")
        compress(tmp_path / "app.log.1")
        os.truncate(log, 0)
        run.append(log, "new\n")
        await run.tick_until(lambda: len(host.lines) == 201)
        assert host.lines == [*lines("first", 100), *lines("second", 100), "new"]
        assert host.metric("abandoned_bytes") == 0


async def test_an_archive_of_what_was_read_is_no_copy_of_what_is_cut(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the first cut after it came, nor at one by which more was read than is remembered."""
    monkeypatch.setattr(table, "MOST_CONTENTS", 3)
    log, old, archive = tmp_path / "app.log", tmp_path / "app.log.1", tmp_path / "app.log-old.gz"
    expected = lines("first", 50)
    log.write_text(text(expected))
    async with follow(tmp_path, f"{ON}\nrotate_wait 0\nrefresh_interval 3", path="app.log") as run:

        async def write(content: list[str]) -> None:
            log.write_text(text(content))
            expected.extend(content)
            await run.lines(len(expected))
            assert run.host.lines == expected

        async def rotate(content: list[str]) -> None:
            log.rename(old)
            await write(content)
            await run.tick_until(lambda: len(list(run.tail.registry.table.generations())) == 1)

        await run.lines(50)
        await rotate(lines("second", 60))
        archive.write_bytes(gzip.compress(old.read_bytes()))
        old.unlink()
        await run.until(lambda: run.tail.registry.table.by_path[str(log)].arrivals)
        await write(lines("third", 5))
        for number in range(3):
            await rotate(lines(f"rotation {number}", 10))
        os.utime(archive)
        await write(lines("last", 5))
        await run.idle()
        assert run.host.lines == expected


def test_the_last_32_contents_are_remembered() -> None:
    """Of a file that rotates for years no more is kept than that."""
    trail = Trail("app.log", "t")
    for number in range(100):
        trail.remember(Head.of(b"%d" % number), number)
    assert trail.contents == tuple((Head.of(b"%d" % number), number) for number in range(68, 100))


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
