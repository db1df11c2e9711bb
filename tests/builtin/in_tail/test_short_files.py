"""Rotated while nothing ran, and found by how they begin: files of which little was there, or that begin the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.logfile import Head
from logpipe.builtin.position_file import PositionFile

ON = "read_compressed_rotated true"


def compress(path: Path) -> None:
    """Compress a file with gzip(1), which leaves it its time."""
    subprocess.run(["gzip", path], check=True)


async def leave_short(folder: Path, follow: Any, log: Path) -> None:
    """Follow a short log until its position and how it begins are saved, and stop."""
    content, pos_file = log.read_bytes(), PositionFile(str(folder / "state" / "tail.pos"))
    expected = (content.rfind(b"\n") + 1, str(Head.of(content)))
    async with follow(folder, ON) as run:
        await run.tick_until(lambda: list(run.accounts()) == [str(log)])
        await run.tick_until(lambda: [(row.offset, row.fingerprint) for row in pos_file.load().positions] == [expected])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("new", ["new\n", "one\nnew\n"])
@pytest.mark.parametrize("was", ["on", "one\n"])
@pytest.mark.parametrize("copied", [True, False])
async def test_a_file_of_which_little_was_there(
    was: str, new: str, *, packed: bool, copied: bool, tmp_path: Path, follow: Any, append: Any
) -> None:
    """Too little to tell its copy by, for others may begin the same: that is read from its first line."""
    log, old = tmp_path / "app.log", tmp_path / "app.log.1"
    second = [f"second, line number {number}, with some text" for number in range(10)]
    log.write_text(was)
    inode = log.stat().st_ino
    await leave_short(tmp_path, follow, log)
    append(log, "one\n"[len(was) :] + "".join(f"{line}\n" for line in second))
    if copied:
        shutil.copy2(log, old)
        os.truncate(log, 0)
    else:
        log.rename(old)
    if packed:
        compress(old)
    append(log, new)
    async with follow(tmp_path, ON) as run:
        await run.tick_until(lambda: run.host.lines[-1:] == ["new"])
        await run.idle()
        first = ["one"] if was == "on" or packed or copied else []
        goes_on = log.stat().st_ino == inode and was == "one\n" and new.startswith(was)  # it is as if it had only grown
        assert run.host.lines == [*first, *second, *(["new"] if goes_on else new.split())]
        assert run.host.capture.texts("warning") == []


async def test_a_short_file_that_was_written_before_the_last_look(tmp_path: Path, follow: Any) -> None:
    """Its time says that it is not new; but its position says that it was not read."""
    log, old = tmp_path / "app.log", tmp_path / "app.log.1"
    log.write_text("on")
    for _ in range(2):  # the second one looks at the folder after it was written
        await leave_short(tmp_path, follow, log)
    log.rename(old)
    compress(old)
    log.write_text("new\n")
    async with follow(tmp_path, f"{ON}\nrotate_wait 1") as run:  # it ends a line without its end
        await run.tick_until(lambda: sorted(run.host.lines) == ["new", "on"])
        assert run.host.capture.texts("warning") == []


async def test_a_short_file_that_was_not_open(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Written to, rotated and compressed while it was closed: what gzip made of it is read in its place."""
    log, old, host = tmp_path / "app.log", tmp_path / "app.log.1", scripted()
    log.write_text("on")
    async with follow(tmp_path, f"{ON}\nopen_on_every_update true", host=host) as run:
        await run.until(lambda: host.metric("closed_file_count") and host.metric("open_file_count") == 0)
        with log.open("a") as writer:
            log.rename(old)
            writer.write("e\nrest\n")
        compress(old)
        log.write_text("new\n")
        await run.tick_until(lambda: host.lines[-1:] == ["new"])
        assert host.lines == ["one", "rest", "new"]
        assert host.metric("abandoned_bytes") == 0


async def test_a_file_that_is_followed_itself_is_no_copy_of_a_short_one(
    tmp_path: Path, follow: Any, scripted: Any
) -> None:
    """Though it begins the same and is called like it: what was in the other one is lost, and said to be."""
    log, other, host = tmp_path / "app.log", tmp_path / "app.log.gz", scripted()
    log.write_text("on")
    other.write_text("on its own\n")
    async with follow(tmp_path, "open_on_every_update true", path="app.log*", host=host) as run:
        await run.until(lambda: host.metric("closed_file_count") == 2 and host.metric("open_file_count") == 0)
        log.unlink()
        await run.tick_until(lambda: run.accounts()[str(log)].waiting == 0)
        assert run.accounts()[str(log)].abandoned == {"gone": 2}
        assert host.lines == ["on its own"]


async def test_two_that_begin_as_a_row_says(tmp_path: Path, follow: Any, append: Any) -> None:
    """One is taken for the file that was left, the other one came and went: both are read."""
    log, banner = tmp_path / "app.log", "the service is started\n"
    log.write_text(banner)
    async with follow(tmp_path, ON) as run:
        await run.lines(1)
    for number in (2, 1):
        append(log, f"run {number}\n")
        log.rename(tmp_path / f"app.log.{number}")
        compress(tmp_path / f"app.log.{number}")
        log.write_text(banner)
    log.write_text("new\n")
    async with follow(tmp_path, ON) as run:
        await run.tick_until(lambda: run.host.lines[-1:] == ["new"])
        await run.idle()
        assert sorted(run.host.lines) == ["new", "run 1", "run 2", banner.strip()]


async def test_what_gzip_is_making_of_a_file_is_not_read_beside_it(tmp_path: Path, follow: Any, append: Any) -> None:
    """The file is there until gzip is done: what it holds comes once."""
    log, old = tmp_path / "app.log", tmp_path / "app.log.1"
    log.write_text("one\n")
    await leave_short(tmp_path, follow, log)
    append(log, "two\n")
    log.rename(old)
    subprocess.run(["gzip", "--keep", old], check=True)
    log.write_text("new\n")
    async with follow(tmp_path, ON) as run:
        await run.tick_until(lambda: run.host.lines[-1:] == ["new"])
        assert run.host.lines == ["two", "new"]
