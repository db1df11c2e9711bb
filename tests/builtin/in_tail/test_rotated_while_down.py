"""What was rotated while nothing ran, or between two runs: read to its end, and let go in time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.disk import Looker
from logpipe.testing import ManualClock
from tests.builtin.in_tail.harness import ScriptedHost, rows


def linked(folder: Path) -> Path:
    """Make a link like those to the logs of containers; returns the file that it leads to, which is not there yet."""
    for name in ("containers", "docker"):
        (folder / name).mkdir()
    (folder / "containers" / "a.log").symlink_to(folder / "docker" / "a-json.log")
    return folder / "docker" / "a-json.log"


async def test_what_came_and_went_behind_a_link_while_down_is_read(tmp_path: Path, follow: Any) -> None:
    """Rotated files are looked for where the link leads, not where it lies."""
    log = linked(tmp_path)
    log.write_text("one\n")
    async with follow(tmp_path, path="containers/*.log") as run:
        await run.lines(1)
    log.rename(log.with_name("a-json.log.1"))
    log.write_text("two\n")
    log.rename(log.with_name("a-json.log.2"))
    log.write_text("three\n")
    async with follow(tmp_path, path="containers/*.log") as run:
        assert await run.lines(2) == ["two", "three"]


@pytest.mark.parametrize("late", ["", "late\n"])
async def test_what_came_and_went_while_down_waits_for_a_file_that_is_not_there_yet(
    late: str, tmp_path: Path, follow: Any, append: Any
) -> None:
    """A start between a rename and the new file, with another path in the same folder that is followed at once."""
    log = linked(tmp_path)
    (tmp_path / "containers" / "b.log").symlink_to(tmp_path / "docker" / "b-json.log")
    log.write_text("one\n")
    (tmp_path / "docker" / "b-json.log").write_text("other\n")
    async with follow(tmp_path, path="containers/*.log") as run:
        await run.lines(2)
    log.rename(log.with_name("a-json.log.1"))
    append(log.with_name("a-json.log.1"), late)
    log.write_text("two\n")
    log.rename(log.with_name("a-json.log.2"))
    async with follow(tmp_path, path="containers/*.log") as run:
        await run.tick_until(lambda: run.host.metric("tracked_file_count") == 1)
        await run.advance(2)
        log.write_text("three\n")
        await run.tick_until(lambda: "three" in run.host.lines)
        assert run.host.lines == [*late.split(), "two", "three"]


async def test_a_file_cut_before_a_crash_and_rotated_after_it_is_read(tmp_path: Path, follow: Any) -> None:
    """Its row is of what it held before, and its name is like a rotated one's: that it lay there proves nothing."""
    log = tmp_path / "app-1.log"
    log.write_text("one, before the cut\n")
    async with follow(tmp_path, path="app-1.log") as run:
        await run.lines(1)
        await run.tick_until(lambda: rows(tmp_path)[-1:] and rows(tmp_path)[-1][1] == 20)
        await run.advance(2)
        await run.kill()
    os.truncate(log, 0)
    with log.open("a") as file:
        file.write("two\n")
    log.rename(tmp_path / "app-1.log.1")
    log.write_text("three\n")
    async with follow(tmp_path, path="app-1.log") as run:
        assert await run.lines(2) == ["two", "three"]


async def test_a_rename_between_two_looks_of_a_start(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lay in the folder was listed before, and the path opened after it: the file in between is read."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
    log.rename(log.with_name("a.log.1"))
    log.write_text("two\n")
    places = Looker.places

    def rotated(self: Looker, asks: Any, held: int = 0) -> Any:
        if not log.with_name("a.log.2").exists():
            log.rename(log.with_name("a.log.2"))
            log.write_text("three\n")
        return places(self, asks, held)

    monkeypatch.setattr(Looker, "places", rotated)
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["two", "three"]


async def test_what_came_and_went_while_down_may_begin_like_what_was_read(tmp_path: Path, follow: Any) -> None:
    """Each file of a program begins with the same line, and the one that was read held no other."""
    log = tmp_path / "a.log"
    log.write_text("a line that each file begins with\n")
    async with follow(tmp_path) as run:
        first = await run.lines(1)
    log.rename(tmp_path / "a.log.2")
    (tmp_path / "a.log.1").write_text(f"{first[0]}\ntwo\n")
    log.write_text(f"{first[0]}\nthree\n")
    async with follow(tmp_path) as run:
        assert await run.lines(4) == [*first, "two", *first, "three"]


async def test_a_start_does_not_begin_rotate_wait_anew(tmp_path: Path, follow: Any, append: Any) -> None:
    """Reloads that come closer together than rotate_wait must not keep every rotated file open."""
    log = tmp_path / "a.log"
    append(log, "one\n")
    async with follow(tmp_path, "rotate_wait 30") as run:
        await run.lines(1)
        log.rename(tmp_path / "a.log.1")
        append(log, "two\n")
        await run.lines(2)
        changed = (tmp_path / "a.log.1").stat().st_ctime_ns
        assert run.host.metric("open_file_count") == 2
    later = ScriptedHost()
    later.clock = ManualClock(changed + 29 * 1_000_000_000)
    async with follow(tmp_path, "rotate_wait 30", host=later) as run:
        await run.until(lambda: later.metric("open_file_count") == 2, "both files to be open")
        await run.tick_until(lambda: later.metric("open_file_count") == 1, "the rotated file to be closed")
        assert later.clock.monotonic() < 10
        assert later.lines == []
