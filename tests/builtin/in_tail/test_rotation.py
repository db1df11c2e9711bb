"""What happens to followed files: renamed, copied and cut, replaced, linked anew, deleted, their inodes reused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest


async def test_a_renamed_file_is_read_to_its_end_beside_the_new_one(tmp_path: Path, follow: Any) -> None:
    """What the writer still sends to the old file within rotate_wait is read too."""
    log, old = tmp_path / "a.log", tmp_path / "a.log.1"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        with log.open("a") as writer:
            log.rename(old)
            log.write_text("new\n")
            await run.lines(2)
            writer.write("late\n")
            writer.flush()
            await run.tick_until(lambda: len(run.host.lines) == 3)
        assert run.host.lines == ["one", "new", "late"]
        await run.tick_until(lambda: run.host.metric("open_file_count") == 1)
        assert run.host.metric("rotated_file_count") == 1
    assert f"detected rotation of {log}; waiting 5.0 seconds" in run.host.capture.texts("info")


async def test_what_is_unread_comes_before_the_new_file(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Generations of a path come in order, however far behind the reader is."""
    log, tag = tmp_path / "a.log", "t." + str(tmp_path / "a.log")[1:].replace("/", ".")
    log.write_text("1\n")
    host = scripted()
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        host.refusals = 1
        run.append(log, "2\n")
        await run.until(lambda: host.attempts == 2)
        log.rename(tmp_path / "a.log.1")
        log.write_text("3\n")
        await run.until(lambda: host.metric("rotated_file_count") == 1)
        await run.tick_until(lambda: len(host.lines) == 3)
        assert host.lines_of(tag) == ["1", "2", "3"]


async def test_generations_that_come_and_go_unnoticed_are_read_in_order(tmp_path: Path, follow: Any) -> None:
    """Rotations faster than we look leave files beside: all of them are read, oldest first."""
    log = tmp_path / "a.log"
    (tmp_path / "a.log.1").write_text("from before the start\n")
    os.utime(tmp_path / "a.log.1", (1_466_000_000, 1_466_000_000))
    log.write_text("1\n")
    async with follow(tmp_path, "enable_stat_watcher false") as run:
        await run.lines(1)
        for number in range(2, 6):
            for old in sorted(tmp_path.glob("a.log.*"), reverse=True):
                old.rename(tmp_path / f"a.log.{int(old.suffix[1:]) + 1}")
            log.rename(tmp_path / "a.log.1")
            log.write_text(f"{number}\n")
        await run.tick_until(lambda: len(run.host.lines) == 5)
        assert run.host.lines == ["1", "2", "3", "4", "5"]


async def test_many_rotations_under_a_busy_writer_lose_nothing(tmp_path: Path, follow: Any) -> None:
    """A file that is rotated again and again while it is written to is read whole."""
    log = tmp_path / "a.log"
    log.touch()
    written = 0
    async with follow(tmp_path) as run:
        await run.until(lambda: run.tail.registry.table.by_path)
        for turn in range(12):
            with log.open("a") as writer:
                for _ in range(200):
                    writer.write(f"{written}\n")
                    written += 1
                writer.flush()
                log.rename(tmp_path / f"a.log.{turn:03}")
                log.touch()
                writer.write(f"{written}\n")
                written += 1
            await run.advance(0.1)
        await run.tick_until(lambda: len(run.host.lines) >= written)
        assert sorted(map(int, run.host.lines)) == list(range(written))


async def test_copytruncate_starts_again_at_the_head(tmp_path: Path, follow: Any) -> None:
    """A file that is cut is read from its beginning."""
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\n")
    async with follow(tmp_path) as run:
        await run.lines(2)
        shutil.copy(log, tmp_path / "a.log.1")
        os.truncate(log, 0)
        run.append(log, "three\n")
        assert await run.lines(3) == ["one", "two", "three"]
        assert run.host.metric("abandoned_bytes") == 0
    assert f"detected rotation of {log}" in run.host.capture.texts("info")


async def test_copytruncate_while_behind_reads_the_rest_from_the_copy(
    tmp_path: Path, follow: Any, scripted: Any
) -> None:
    """What was not read before the cut is found in the copy, and comes before what is new."""
    log = tmp_path / "a.log"
    log.write_text("line number one\n")
    host = scripted()
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        host.refusals = 1
        run.append(log, "two\nthree\n")
        await run.until(lambda: host.attempts == 2)
        shutil.copy(log, tmp_path / "a.log.1")
        os.truncate(log, 0)
        run.append(log, "four\n")
        await run.tick_until(lambda: len(host.lines) == 4)
        assert host.lines == ["line number one", "two", "three", "four"]


async def test_a_cut_without_a_copy_is_accounted_for(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """What is gone for good is counted and said."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    host = scripted()
    host.refusals = 1
    async with follow(tmp_path, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        os.truncate(log, 0)
        run.append(log, "2\n")
        await run.tick_until(lambda: len(host.lines) == 1)
        assert host.lines == ["2"]
        assert host.metric("abandoned_bytes") == 4
    assert any("4 bytes" in text and "truncated" in text for text in host.capture.texts("error"))


@pytest.mark.parametrize("text", ["AAAA\n", "other, and longer than before\n", "x\n"])
async def test_a_file_written_anew_is_read_anew(text: str, tmp_path: Path, follow: Any) -> None:
    """The same inode with other content is seen, be it shorter, longer or of the same size."""
    log = tmp_path / "a.log"
    log.write_text("aaaa\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        with log.open("r+") as file:
            file.truncate(0)
            file.write(text)
        assert await run.lines(2) == ["aaaa", text.rstrip()]


async def test_a_file_that_keeps_its_head_and_changes_behind_it(tmp_path: Path, follow: Any) -> None:
    """Cut in the middle and written on past where it was: the last bytes that were read are not there any more."""
    log = tmp_path / "a.log"
    log.write_text("head\n" * 400 + "old line\n")
    async with follow(tmp_path) as run:
        await run.lines(401)
        with log.open("r+") as file:
            file.truncate(2000)
            file.seek(2000)
            file.write("new line one\nnew line two\n")
        await run.until(lambda: "new line two" in run.host.lines)
        assert "new line one" in run.host.lines


async def test_a_writer_that_goes_on_at_its_old_offset(tmp_path: Path, follow: Any) -> None:
    """Truncation under a writer without O_APPEND leaves a hole, which is left out."""
    log = tmp_path / "a.log"
    async with follow(tmp_path) as run:
        with log.open("w") as writer:
            writer.write("one line before\n")
            writer.flush()
            await run.lines(1)
            os.truncate(log, 0)
            writer.write("after\n")
            writer.flush()
            assert await run.lines(2) == ["one line before", "after"]
        assert run.host.metric("skipped_nul_bytes") == 16


async def test_copies_of_a_file_with_a_hole_are_read_by_nobody(tmp_path: Path, follow: Any) -> None:
    """Again and again copied and cut under a writer that goes on at its old offset: each line comes once."""
    log = tmp_path / "a.log"
    expected: list[str] = []
    async with follow(tmp_path) as run:
        with log.open("w") as writer:
            for turn in range(5):
                some = [f"turn {turn}, line number {number:04}" for number in range(100)]
                writer.write("".join(f"{line}\n" for line in some))
                writer.flush()
                expected += some
                await run.lines(len(expected))
                shutil.copyfile(log, tmp_path / f"a.log.{turn}")
                os.truncate(log, 0)
            writer.write("last\n")
            writer.flush()
            await run.tick_until(lambda: "last" in run.host.lines)
        await run.idle()
        assert run.host.lines == [*expected, "last"]


async def test_a_link_that_is_set_anew_is_followed(tmp_path: Path, follow: Any) -> None:
    """As the kubelet does it: the name stays, the file behind it changes; tag and path stay the name's."""
    pods, links = tmp_path / "pods", tmp_path / "containers"
    pods.mkdir()
    links.mkdir()
    (pods / "0.log").write_text("first\n")
    link = links / "x.log"
    link.symlink_to(pods / "0.log")
    async with follow(links, "path_key path") as run:
        await run.lines(1)
        run.append(pods / "0.log", "more\n")
        await run.lines(2)
        (pods / "1.log").write_text("second\n")
        (links / "new").symlink_to(pods / "1.log")
        (links / "new").rename(link)
        assert await run.lines(3) == ["first", "more", "second"]
        assert {record["path"] for record in run.host.records} == {str(link)}
        assert len({batch.tag for batch in run.host.emitted}) == 1


async def test_the_file_behind_a_link_is_rotated(tmp_path: Path, follow: Any) -> None:
    """The kubelet renames 0.log beside itself and makes a new one; the link stays as it is."""
    pods, links = tmp_path / "pods", tmp_path / "containers"
    pods.mkdir()
    links.mkdir()
    log = pods / "0.log"
    log.write_text("first\n")
    (links / "x.log").symlink_to("../pods/0.log")
    async with follow(links) as run:
        await run.lines(1)
        run.append(log, "last of the old\n")
        log.rename(pods / "0.log.20160615-141320")
        log.write_text("new\n")
        await run.lines(3)
        assert sorted(run.host.lines) == ["first", "last of the old", "new"]


async def test_a_deleted_file_is_read_while_it_is_written_to(tmp_path: Path, follow: Any) -> None:
    """A file that has lost its name is read until it was quiet for rotate_wait, then let go."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path, "rotate_wait 2") as run:
        await run.lines(1)
        with log.open("a") as writer:
            log.unlink()
            await run.until(lambda: run.host.metric("rotated_file_count") == 1)
            writer.write("two\n")
            writer.flush()
            await run.tick_until(lambda: len(run.host.lines) == 2)
        await run.tick_until(lambda: run.host.metric("open_file_count") == 0)
        await run.tick_until(lambda: not run.tail.registry.table.by_path, step=20)
    assert run.host.lines == ["one", "two"]


async def test_a_last_line_without_its_end_is_not_lost(tmp_path: Path, follow: Any) -> None:
    """When a rotated file is let go, what no line feed ends is its last line."""
    log = tmp_path / "a.log"
    log.write_text("one\nhalf")
    async with follow(tmp_path) as run:
        await run.lines(1)
        log.unlink()
        await run.tick_until(lambda: len(run.host.lines) == 2)
    assert run.host.lines == ["one", "half"]


@pytest.mark.parametrize("name", ["a.log", "b.log"])
@pytest.mark.parametrize("line", ["new", "old, and rather long"])
async def test_a_new_file_on_the_same_inode_is_a_new_file(tmp_path: Path, follow: Any, name: str, line: str) -> None:
    """An inode that is given to the next file does not bring the old file's offset with it, whatever it is called.

    The line may even be the same: jobs often end alike.
    """
    log = tmp_path / "a.log"
    log.write_text("old, and rather long\n")
    inode = log.stat().st_ino
    async with follow(tmp_path, "rotate_wait 0") as run:
        await run.lines(1)
        log.unlink()
        await run.tick_until(lambda: run.host.metric("open_file_count") == 0)
        log = tmp_path / name
        for attempt in range(200):  # ext4 gives it back at once, others in their time
            log.write_text(f"{line}\n")
            if log.stat().st_ino == inode or attempt == 199:
                break
            log.unlink()
        await run.tick_until(lambda: len(run.host.lines) > 1)
        assert run.host.lines[1:] == [line]
    if log.stat().st_ino != inode:
        pytest.skip("this file system gives no inode twice")


async def test_a_file_that_came_and_went_with_a_known_inode(tmp_path: Path, follow: Any) -> None:
    """What was read, let go and deleted leaves its inode to a file that is rotated before anybody looks."""
    log, old, other = tmp_path / "a.log", tmp_path / "a.log.1", tmp_path / "other"
    log.write_text("the first of them\n")
    inode = log.stat().st_ino
    async with follow(tmp_path, "rotate_wait 0\nenable_stat_watcher false") as run:
        await run.lines(1)
        log.rename(old)
        log.write_text("the second\n")
        await run.tick_until(lambda: len(run.host.lines) == 2 and run.host.metric("open_file_count") == 1)
        old.unlink()
        other.write_text("the third, which nobody saw\n")
        is_given_again = other.stat().st_ino == inode
        log.rename(tmp_path / "a.log.2")
        other.rename(old)
        log.write_text("the fourth\n")
        await run.tick_until(lambda: len(run.host.lines) == 4)
        assert run.host.lines[2:] == ["the third, which nobody saw", "the fourth"]
    if not is_given_again:
        pytest.skip("this file system gives no inode twice")


async def test_a_file_renamed_into_the_pattern_is_not_read_twice(tmp_path: Path, follow: Any) -> None:
    """A wildcard that also matches rotated names does not read them again; a rest of them still comes."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path, path="a.log*") as run:
        await run.lines(1)
        log.rename(tmp_path / "a.log.1")
        log.write_text("two\n")
        await run.lines(2)
        await run.tick_until(lambda: str(tmp_path / "a.log.1") in run.tail.registry.table.by_path, step=10)
        run.append(tmp_path / "a.log.1", "three\n")
        assert await run.lines(3) == ["one", "two", "three"]


async def test_a_file_that_gets_its_name_back_goes_on(tmp_path: Path, follow: Any) -> None:
    """Renamed away and back, a file is the same file."""
    log, away = tmp_path / "a.log", tmp_path / "away"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        log.rename(away)
        await run.until(lambda: run.host.metric("rotated_file_count") == 1)
        away.rename(log)
        run.append(log, "two\n")
        assert await run.lines(2) == ["one", "two"]


async def test_a_file_that_gets_another_name_of_the_pattern_later_is_followed_under_it(
    tmp_path: Path, follow: Any
) -> None:
    """It goes on where it was left, and is rotated like any other."""
    log, away, other = tmp_path / "a.log", tmp_path / "away", tmp_path / "b.log"
    log.write_text("one\n")
    async with follow(tmp_path, "rotate_wait 1\nrefresh_interval 1h") as run:
        await run.lines(1)
        (generation,) = run.tail.registry.table.by_path[str(log)].generations
        log.rename(away)
        await run.tick_until(lambda: generation.finished)
        away.rename(other)
        run.append(other, "two\n")
        assert await run.lines(2) == ["one", "two"]
        assert run.tail.registry.table.by_path[str(other)].generations == [generation]
        other.rename(tmp_path / "b.log.1")
        other.write_text("three\n")
        assert await run.lines(3) == ["one", "two", "three"]


async def test_two_names_of_one_file_are_read_once(tmp_path: Path, follow: Any) -> None:
    """A hard link or a second symbolic link brings no duplicates."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    (tmp_path / "b.log").hardlink_to(log)
    (tmp_path / "c.log").symlink_to(log)
    async with follow(tmp_path) as run:
        await run.lines(1)
        run.append(log, "two\n")
        await run.lines(2)
        await run.tick_until(lambda: run.host.metric("behind_bytes") == 0)
        assert run.host.lines == ["one", "two"]
