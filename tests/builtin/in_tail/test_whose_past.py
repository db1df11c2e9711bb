"""Which files are a path's past: those that were seen as its file, or came to its name since the last look."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import plugin
from logpipe.builtin.in_tail.disk import Status
from logpipe.builtin.position_file import PositionFile
from tests.builtin.in_tail.harness import rotate, settled


def rows(folder: Path) -> dict[str, int]:
    """Return the offsets that a position file holds."""
    return {row.path: row.offset for row in PositionFile(str(folder / "state" / "tail.pos")).load().positions}


async def test_a_file_that_lay_beside_from_the_first_is_nobodys_past(tmp_path: Path, follow: Any) -> None:
    """Though its name is that of a rotated one, and it was written to since."""
    log, old = tmp_path / "app.log", tmp_path / "app.log.1"
    old.write_text("last week\n")
    log.write_text("before\n")
    async with follow(tmp_path, "read_from_head false", path="app.log") as run:
        await run.until(lambda: run.host.metric("tracked_file_count") == 1)
        run.append(old, "late\n")
        for number in range(2):
            rotate(log, "app.log.1", "app.log.2", "app.log.3")
            log.write_text(f"{number}\n")
            await run.until(lambda: f"{number}" in run.host.lines)  # noqa: B023 - it is used at once
        await settled(run)
        assert run.host.lines == ["0", "1"]


async def test_a_file_that_another_source_follows_is_not_taken(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Its lines come under the other's tag, and only there."""
    log, dated = tmp_path / "app.log", tmp_path / "app-20260101.log"
    log.write_text("1\n")
    dated.write_text("dated\n")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, second = scripted(), scripted()
    async with AsyncExitStack() as stack:
        run = await stack.enter_async_context(follow(tmp_path, host=first, path="app.log", keep_positions=False))
        other = await stack.enter_async_context(
            follow(tmp_path, host=second, path="app-2026*.log", keep_positions=False)
        )
        await run.lines(1)
        await other.lines(1)
        run.append(dated, "more\n")
        await other.lines(2)
        log.unlink()
        log.write_text("2\n")
        await run.lines(2)
        (tmp_path / "app-20260102.log").write_text("next\n")
        await other.lines(3)
        await settled(run)
        assert first.lines == ["1", "2"]
        assert second.lines == ["dated", "more", "next"]


async def test_a_file_that_is_excluded_is_not_taken(tmp_path: Path, follow: Any) -> None:
    """It may have been the path's, nobody knows: it is named with its size, and stands in the books."""
    log = tmp_path / "app.log"
    log.write_text("one line of text\n")
    extra = f'exclude_path ["{tmp_path}/app.log.1"]'
    async with follow(tmp_path, extra, path="app.log") as run:
        await run.lines(1)
    log.rename(tmp_path / "app.log.2")
    (tmp_path / "app.log.1").write_text("not to be read\n")
    log.write_text("two\n")
    async with follow(tmp_path, extra, path="app.log") as run:
        await run.lines(1)
        await settled(run)
        assert run.host.lines == ["two"]
        said = [text for text in run.host.capture.texts("warning") if "app.log.1" in text]
        assert len(said) == 1
        assert "(15 bytes)" in said[0]
        assert run.accounts()[str(log)].skipped == {"doubtful": 15}


@pytest.mark.parametrize("watched", ["true", "false"])
async def test_a_file_that_is_dropped_beside_a_running_one(watched: str, tmp_path: Path, follow: Any) -> None:
    """What was never the path's file is not read when that is rotated, whatever it is called."""
    log = tmp_path / "app.log"
    log.write_text("1\n")
    async with follow(tmp_path, f"enable_stat_watcher {watched}", path="app.log") as run:
        await run.lines(1)
        (tmp_path / "app.log.7").write_text("from elsewhere\n")
        await settled(run)
        log.rename(tmp_path / "app.log.1")
        log.write_text("2\n")
        await run.tick_until(lambda: "2" in run.host.lines)
        await settled(run)
        assert run.host.lines == ["1", "2"]


async def test_rotated_names_within_the_pattern_over_a_restart(tmp_path: Path, follow: Any, append: Any) -> None:
    """Each has its own row by identity: what was read does not come again, what was added does."""
    log = tmp_path / "app.log"
    log.write_text("".join(f"old {number}\n" for number in range(1, 6)))
    async with follow(tmp_path, path="app.log*") as run:
        await run.lines(5)
        log.rename(tmp_path / "app.log.1")
        log.write_text("new\n")
        await run.lines(6)
        run.append(tmp_path / "app.log.1", "late\n")
        await run.tick_until(lambda: len(run.host.lines) == 7)
    append(tmp_path / "app.log.1", "later\n")
    append(log, "newer\n")
    async with follow(tmp_path, path="app.log*") as run:
        await run.lines(2)
        await settled(run)
        assert sorted(run.host.lines) == ["later", "newer"]


async def test_a_dated_file_of_the_pattern_over_a_restart(tmp_path: Path, follow: Any, append: Any) -> None:
    """A file made anew does not bring back what another one of the pattern held."""
    log, dated = tmp_path / "app.log", tmp_path / "app_2026-11-29.log"
    log.write_text("one\n")
    dated.write_text("dated\n")
    async with follow(tmp_path) as run:
        await run.lines(2)
    log.unlink()
    log.write_text("two\n")
    append(dated, "more\n")
    async with follow(tmp_path) as run:
        await run.lines(2)
        await settled(run)
        assert sorted(run.host.lines) == ["more", "two"]


async def test_positions_of_old_files_are_kept(tmp_path: Path, follow: Any, scripted: Any, append: Any) -> None:
    """A file that is older than limit_recently_modified at the start is out of sight, not gone."""
    log, fresh = tmp_path / "a.log", tmp_path / "b.log"
    log.write_text("one\n")
    fresh.write_text("two\n")
    async with follow(tmp_path) as run:
        await run.lines(2)
    host = scripted()
    now = host.clock.now() / 1e9
    os.utime(log, (now - 1000, now - 1000))
    os.utime(fresh, (now, now))
    async with follow(tmp_path, "limit_recently_modified 50s\nrefresh_interval 5", host=host) as run:
        await settled(run)
        append(log, "more\n")
        os.utime(log, (now + 1e6, now + 1e6))
        await run.tick_until(lambda: host.lines == ["more"])


async def test_positions_of_files_in_a_folder_that_is_not_there_yet(tmp_path: Path, follow: Any) -> None:
    """A disk that is mounted late is not a reason to read everything again."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.log").write_text("one\n")
    async with follow(tmp_path, path="disk/a.log") as run:
        await run.lines(1)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    async with follow(tmp_path, "refresh_interval 5", path="disk/a.log") as run:
        await settled(run)
        run.append(tmp_path / "unmounted" / "a.log", "two\n")
        (tmp_path / "unmounted").rename(tmp_path / "disk")
        await run.tick_until(lambda: run.host.lines)
        assert run.host.lines == ["two"]


async def test_an_absence_begins_when_the_file_goes(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """One that is over is not added to the next: the row of a file that was there meanwhile is kept for a day again."""
    disk, unmounted = tmp_path / "disk", tmp_path / "unmounted"
    disk.mkdir()
    (disk / "a.log").write_text("one\n")
    async with follow(tmp_path, path="disk/a.log") as run:
        await run.lines(1)
    for days, line in enumerate(("two", "three")):
        disk.rename(unmounted)
        host = scripted()
        await host.clock.advance(days * 2 * 86_400)
        async with follow(tmp_path, "refresh_interval 5", path="disk/a.log", host=host) as run:
            await settled(run)
            run.append(unmounted / "a.log", f"{line}\n")
            unmounted.rename(disk)
            await run.tick_until(lambda: run.host.lines)
            await run.idle()
            assert host.lines == [line]


async def test_an_absence_goes_on_over_restarts(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """The row of a file that was nowhere for more than a day goes, however often there was a restart meanwhile."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "a.log").write_text("one\n")
    async with follow(tmp_path, path="disk/a.log") as run:
        await run.lines(1)
    disk.rename(tmp_path / "unmounted")
    for days, left in ((0, 1), (0.6, 1), (1.2, 0)):
        host = scripted()
        await host.clock.advance(days * 86_400)
        async with follow(tmp_path, "refresh_interval 5", path="disk/a.log", host=host) as run:
            await settled(run)
        assert len(rows(tmp_path)) == left


async def test_a_file_that_comes_between_two_looks_of_a_search(
    tmp_path: Path, follow: Any, append: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there when files were searched for, and is when rows are: those of its path are kept until it is read.

    The file that it took the place of comes no second time, and what was written to that is read.
    """
    log, old = tmp_path / "a.log", tmp_path / "a.log.1"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
    log.rename(old)
    look = plugin.look

    def come(path: str) -> Status:
        if not log.exists():
            append(old, "late\n")
            log.write_text("two\n")
        return look(path)

    monkeypatch.setattr(plugin, "look", come)
    async with follow(tmp_path, "enable_stat_watcher false") as run:
        await run.tick_until(lambda: len(run.host.lines) >= 2)
        await run.idle()
        assert run.host.lines == ["late", "two"]


async def test_compaction_forgets_what_is_not_there(tmp_path: Path, follow: Any) -> None:
    """With pos_file_compaction_interval rows of missing files go when it has passed."""
    log, other = tmp_path / "a.log", tmp_path / "b.log"
    log.write_text("one\n")
    other.write_text("two\n")
    async with follow(tmp_path) as run:
        await run.lines(2)
    log.unlink()
    async with follow(tmp_path, "pos_file_compaction_interval 100s\nrefresh_interval 5") as run:
        await run.tick_until(lambda: run.host.metric("tracked_file_count") == 1)
        await run.advance(50)
        assert set(rows(tmp_path)) == {str(log), str(other)}
        await run.tick_until(lambda: set(rows(tmp_path)) == {str(other)}, step=5)


async def test_yesterdays_file_is_read_to_its_end(tmp_path: Path, follow: Any, scripted: Any, append: Any) -> None:
    """What was written to it while logpipe was down over midnight comes, though the path means another file."""
    yesterday, today = tmp_path / "app.14.log", tmp_path / "app.15.log"
    yesterday.write_text("one\n")
    before = scripted()
    clock: Any = before.clock
    await clock.advance(-86_400)
    async with follow(tmp_path, "path_timezone +00:00", path="app.%d.log", host=before) as run:
        await run.lines(1)
    append(yesterday, "two\n")
    today.write_text("three\n")
    async with follow(tmp_path, "path_timezone +00:00", path="app.%d.log") as run:
        await run.lines(2)
        assert sorted(run.host.lines) == ["three", "two"]
        assert {each.unexplained for each in run.accounts().values()} == {0}


async def test_an_old_file_with_unread_lines_is_read_to_its_end(
    tmp_path: Path, follow: Any, scripted: Any, append: Any
) -> None:
    """Older than limit_recently_modified at the start, but its row says that not all of it was read."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
    append(log, "two\n")
    host = scripted()
    now = host.clock.now() / 1e9
    os.utime(log, (now - 1000, now - 1000))
    async with follow(tmp_path, "limit_recently_modified 50s", host=host) as run:
        assert await run.lines(1) == ["two"]


async def test_a_clock_that_goes_back_and_forth(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """A file that its path means again goes on where it was left, and is rotated like any other."""
    host = scripted()  # its clock stands at the 15th
    clock: Any = host.clock
    for day in (15, 16):
        (tmp_path / f"app.{day}.log").write_text(f"{day}\n")
    extra = "path_timezone +00:00\nrefresh_interval 5\nrotate_wait 1"
    async with follow(tmp_path, extra, path="app.%d.log", host=host) as run:
        await run.lines(1)
        for count, day in enumerate((16, 15, 16), 3):
            clock._start += 86_400_000_000_000 * (1 if day == 16 else -1)
            await settled(run)
            run.append(tmp_path / f"app.{day}.log", "more\n")
            await run.tick_until(lambda count=count: len(host.lines) == count)
            await settled(run)
        assert host.lines == ["15", "16", "more", "more", "more"]
        (tmp_path / "app.16.log").rename(tmp_path / "app.16.log.1")
        (tmp_path / "app.16.log").write_text("rotated\n")
        assert (await run.lines(6))[5:] == ["rotated"], "at once, not at the next search"


async def test_names_outside_of_the_pattern(tmp_path: Path, follow: Any) -> None:
    """Files that are rotated faster than anybody looks, to names that say nothing: they were seen as the path's."""
    log = tmp_path / "f.log"
    log.write_text("0\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        for number in range(1, 8):
            run.append(log, f"late {number}\n")
            log.rename(tmp_path / ("f.old", "gone", "x", "f", "back", "f.log.bak", "y")[number - 1])
            log.write_text(f"{number}\n")
        await run.lines(15)
        assert run.host.lines == ["0", *(text for n in range(1, 8) for text in (f"late {n}", f"{n}"))]


async def test_the_first_search_of_a_fixed_path_can_be_put_off(tmp_path: Path, follow: Any) -> None:
    """With skip_refresh_on_startup nothing is followed before refresh_interval, be there wildcards or not."""
    (tmp_path / "a.log").write_text("one\n")
    async with follow(tmp_path, "skip_refresh_on_startup true\nrefresh_interval 30", path="a.log") as run:
        for _ in range(20):
            await run.advance(1)
            await asyncio.sleep(0.005)
        assert not run.host.lines
        await run.tick_until(lambda: run.host.lines == ["one"])


async def test_rotations_cost_what_they_are(tmp_path: Path, follow: Any) -> None:
    """Hundreds of files rotated at once, three times, out of the pattern: nothing is lost, and no folder read anew."""
    logs = [tmp_path / f"{number:04}.log" for number in range(300)]
    for log in logs:
        log.write_text("first\n")
    async with follow(tmp_path) as run:
        await run.lines(300)
        for turn in range(3):
            for log in logs:
                run.append(log, f"late {turn}\n")
                log.rename(log.with_suffix(f".old{turn}"))
                log.write_text(f"new {turn}\n")
            await run.until(lambda: len(run.host.lines) == 300 * (1 + 2 * (turn + 1)))  # noqa: B023 - it is used at once
        assert run.host.metric("missed_event_count") == 0
