"""Files that are compressed while they are followed: what is open is read there, the rest from the archive."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import disk, table
from logpipe.builtin.in_tail.disk import Survey
from logpipe.builtin.in_tail.logfile import Head
from logpipe.builtin.in_tail.table import Trail
from tests.builtin.in_tail.archives import LONG_AGO, ON, compress, leave, lines, text
from tests.builtin.in_tail.harness import rows


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
