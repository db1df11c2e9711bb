"""What is read after a stop and after a crash: everything that had not settled, and nothing else."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.decide import CLOCK_GRAIN
from logpipe.builtin.in_tail.disk import born
from tests.builtin.in_tail.harness import rows


def store(folder: Path, *lines: str) -> None:
    """Write a position file as fluentd would have."""
    (folder / "state").mkdir()
    (folder / "state" / "tail.pos").write_text("".join(f"{line}\n" for line in lines))


async def test_goes_on_where_it_stopped(tmp_path: Path, follow: Any, append: Any) -> None:
    """After a clean stop nothing comes twice and nothing is left out."""
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\n")
    async with follow(tmp_path) as run:
        await run.lines(2)
    assert rows(tmp_path) == [(str(log), 8, log.stat().st_ino)]
    append(log, "three\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["three"]


async def test_a_position_waits_for_its_receipt(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """What was accepted but not delivered is read again after a crash."""
    log = tmp_path / "a.log"
    log.write_text("1\n2\n3\n4\n")
    host = scripted()
    host.keep_receipts = True
    async with follow(tmp_path, "read_lines_limit 1", host=host) as run:
        await run.lines(4)
        assert run.saved()[0][1] == 0
        second = host.kept[1]
        second.release()
        assert run.saved()[0][1] == 0  # the first one is still owed
        host.kept[0].release()
        assert run.saved()[0][1] == 4
        await run.tick_until(lambda: [row[1] for row in rows(tmp_path)] == [4])
        host.kept = host.kept[2:]
        await run.kill()
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["3", "4"]


async def test_receipts_that_settle_during_the_drain_are_written_at_the_stop(
    tmp_path: Path, follow: Any, scripted: Any
) -> None:
    """Between the end of reading and the stop, outputs deliver."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    host = scripted()
    host.keep_receipts = True
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        run.task.cancel()
        host.settle()
    assert rows(tmp_path)[0][1] == 4


async def test_what_waits_for_a_thread_at_the_end_is_written(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """A write of positions that is queued when reading ends, on a busy machine, is written, and never after a later."""
    (tmp_path / "a.log").write_text("one\n")
    host, busy, queued, late = scripted(), asyncio.Event(), asyncio.Event(), list[Callable[[], Any]]()
    host.keep_receipts = True
    in_thread = host.in_thread

    async def in_busy_thread(function: Callable[..., Any], *args: Any) -> Any:
        if busy.is_set() and not queued.is_set() and function.__name__ == "_write":
            queued.set()
            late.append(partial(function, *args))
            await asyncio.Event().wait()
        return await in_thread(function, *args)

    host.in_thread = in_busy_thread
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        await run.tick_until(lambda: rows(tmp_path))
        busy.set()
        host.settle()
        await run.tick_until(queued.is_set)
    assert rows(tmp_path)[0][1] == 4
    (tmp_path / "state" / "tail.pos").write_text("")
    late[0]()
    assert not rows(tmp_path)


async def test_a_refused_batch_is_made_again(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """The lines are read and parsed once more, after a pause, and come once."""
    (tmp_path / "a.log").write_text("one\ntwo\n")
    host = scripted()
    host.refusals = 3
    async with follow(tmp_path, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        assert not host.lines
        await run.tick_until(lambda: host.lines)
        assert host.lines == ["one", "two"]
        assert run.saved()[0][1] == 8
    assert any("the buffer is full" in text for text in host.capture.texts("warning"))


async def test_a_file_rotated_while_down_is_finished_first(tmp_path: Path, follow: Any, append: Any) -> None:
    """The old file is found under its new name, and those that came and went meanwhile too."""
    log = tmp_path / "a.log"
    (tmp_path / "a.log.7").write_text("ancient\n")
    os.utime(tmp_path / "a.log.7", (1_466_000_000, 1_466_000_000))
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
    append(log, "two\n")
    log.rename(tmp_path / "a.log.2")
    (tmp_path / "a.log.1").write_text("three\n")
    log.write_text("four\n")
    async with follow(tmp_path) as run:
        assert await run.lines(3) == ["two", "three", "four"]
        await run.tick_until(lambda: run.host.metric("open_file_count") == 1)
    assert [row[1] for row in rows(tmp_path)][-1] == 5


async def test_a_rotation_in_the_last_moment(tmp_path: Path, follow: Any) -> None:
    """A file that came while we stopped, and was rotated away before we came back, is no stranger."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path, "enable_stat_watcher false") as run:
        await run.lines(1)
        log.rename(tmp_path / "a.log.1")
        log.write_text("two, which nobody has looked at yet\n")
    log.rename(tmp_path / "a.log.0")
    os.utime(tmp_path / "a.log.0", (1_466_000_000, 1_466_000_000))
    log.write_text("three\n")
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["two, which nobody has looked at yet", "three"]


async def test_a_crash_between_rotations_loses_no_generation(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Unsettled generations keep their rows, and are read again from under their new names."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    host = scripted()
    host.keep_receipts = True
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        log.rename(tmp_path / "a.log.1")
        log.write_text("two\n")
        await run.lines(2)
        await run.tick_until(lambda: len(rows(tmp_path)) == 2)
        await run.kill()
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["one", "two"]


async def test_a_file_cut_while_down_is_read_from_its_copy_and_anew(tmp_path: Path, follow: Any, append: Any) -> None:
    """Copytruncate keeps the inode: the head tells that the content is another, and which file is the copy."""
    log = tmp_path / "a.log"
    log.write_text("this is line one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
    append(log, "line two\n")
    shutil.copy(log, tmp_path / "a.log.1")
    os.truncate(log, 0)
    append(log, "new content, and more of it than there was\n")
    async with follow(tmp_path) as run:
        assert await run.lines(2) == ["line two", "new content, and more of it than there was"]


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.parametrize("line", ["one", "a line that is long enough to tell its file by"])
async def test_what_was_refused_before_a_cut_is_read_from_the_copy(
    line: str,
    kill: bool,  # noqa: FBT001 - a parameter of the table
    tmp_path: Path,
    follow: Any,
    scripted: Any,
) -> None:
    """Also where everything ends right behind the cut; of other files beside it none is taken for its past."""
    log, host = tmp_path / "a.log", scripted()
    (tmp_path / "a.log.2").write_text("older than all\n")
    log.touch()
    async with follow(tmp_path, host=host) as run:
        await run.tick_until(lambda: rows(tmp_path))
        host.refusals = 1_000_000
        run.append(log, f"{line}\n")
        await run.until(lambda: host.attempts == 1)
        shutil.copy(log, tmp_path / "a.log.1")
        os.truncate(log, 0)
        if kill:
            await run.until(lambda: run.tail.registry.table.by_path[str(log)].arrived)
            await run.tick_until(lambda: not run.tail._checkpoints.due.is_set())
            await run.kill()
    run.append(log, "two\n")
    async with follow(tmp_path) as run:
        assert await run.lines(2) == [line, "two"]
        await run.idle()
        assert len(run.host.lines) == 2


async def test_a_copy_of_what_was_delivered_is_not_read_again(tmp_path: Path, follow: Any) -> None:
    """It lay there at the last look, though the file that it was made of was never cut by then."""
    log = tmp_path / "a.log"
    log.touch()
    async with follow(tmp_path) as run:
        await run.tick_until(lambda: rows(tmp_path))
        run.append(log, "one\n")
        await run.lines(1)
        shutil.copy(log, tmp_path / "a.log.1")
        await run.until(lambda: run.tail.registry.table.by_path[str(log)].arrived)
        await run.idle()
    log.write_text("2\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["2"]
        await run.idle()
        assert run.host.lines == ["2"]


async def test_a_file_that_lay_beside_one_that_was_cut_is_not_read(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """It was no copy of that: it is nobody's in the next run too, though not all was delivered of what was cut."""
    log, other, host = tmp_path / "a.log", tmp_path / "a.log.7", scripted()
    log.write_text("one\n")
    host.keep_receipts = True
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        other.write_text("another\n")
        await run.until(lambda: run.tail.registry.table.by_path[str(log)].arrived)
        await run.until(lambda: time.time_ns() > other.stat().st_ctime_ns + 2 * CLOCK_GRAIN)
        run.append(log, "two\n")
        await run.lines(2)
        log.write_text("3\n")
        assert await run.lines(3) == ["one", "two", "3"]
    async with follow(tmp_path) as run:
        await run.lines(1)
        await run.idle()
        assert run.host.lines == ["3"]


async def test_a_reused_inode_is_told_by_its_head(tmp_path: Path, follow: Any) -> None:
    """The same path, the same inode, a larger file: and still another file."""
    log = tmp_path / "a.log"
    log.write_text("old\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
    with log.open("r+") as file:  # the inode stays, as if it had been given away and back
        file.write("brand new content\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["brand new content"]


async def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path, follow: Any) -> None:
    """What cannot be read any more is a warning, not silence."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
    log.rename(tmp_path / "keeps-the-inode")
    shutil.move(tmp_path / "keeps-the-inode", tmp_path / "state" / "x")
    log.write_text("two\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["two"]
        assert any("the older file is gone" in text for text in run.host.capture.texts("warning"))


@pytest.mark.parametrize("kill", [True, False])
async def test_a_file_that_was_read_to_its_end_is_not_missed(kill: bool, tmp_path: Path, follow: Any) -> None:  # noqa: FBT001 - a parameter of the table
    """Rotated, read, quiet for rotate_wait and deleted while nothing runs: nothing may be missing."""
    log, old = tmp_path / "a.log", tmp_path / "a.log.1"
    log.write_text("one\n")
    beside = tmp_path / "state" / "tail.pos.looks"
    async with follow(tmp_path) as run:
        await run.lines(1)
        log.rename(old)
        log.write_text("two\n")
        await run.tick_until(lambda: beside.exists() and b"\nE\t" in beside.read_bytes())
        if kill:
            await run.kill()
    old.rename(tmp_path / "state" / "x")
    run.append(log, "three\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["three"]
        assert run.host.capture.texts("warning") == []


async def test_takes_over_from_fluentd(tmp_path: Path, follow: Any) -> None:
    """Its rows are understood: unwatched files, duplicates, broken lines, files that are gone."""
    logs = {name: tmp_path / f"{name}.log" for name in ("a", "b", "c")}
    for log in logs.values():
        log.write_text("old\nnew\n")
    inode = {name: log.stat().st_ino for name, log in logs.items()}
    store(
        tmp_path,
        f"{logs['a']}\t{0:016x}\t{inode['a']:016x}",
        f"{logs['b']}\t{0xFFFF_FFFF_FFFF_FFFF:016x}\t{inode['b']:016x}",
        f"{logs['c']}\t00000000000{logs['a']}\t0000000000000004\t{inode['a']:016x}",
        f"{tmp_path}/gone.log\t{4:016x}\t{4:016x}",
        f"{logs['a']}\t{4:016x}\t{inode['a']:016x}",
    )
    async with follow(tmp_path, "read_from_head false") as run:
        assert await run.lines(1) == ["new"]
        await run.until(lambda: len(run.tail.registry.table.by_path) == 3)
        for log in logs.values():
            run.append(log, "more\n")
        assert sorted(await run.lines(4)) == ["more", "more", "more", "new"]
        warnings = run.host.capture.texts("warning")
        assert any(text.startswith("Unparsable line in pos_file: ") for text in warnings)
        assert f"{logs['a']} already exists. use latest one" in warnings
        await run.tick_until(lambda: len(rows(tmp_path)) == 3, step=200)  # a day without a trace of it


async def test_fluentd_writes_rows_for_files_that_were_rotated_meanwhile(tmp_path: Path, follow: Any) -> None:
    """A known path with another inode is a new file, to be read from its head."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    store(tmp_path, f"{log}\t{4:016x}\t{1:016x}")
    async with follow(tmp_path, "read_from_head false") as run:
        assert await run.lines(1) == ["one"]


@pytest.mark.parametrize(("older", "expected"), [(1, ["two", "three"]), (60, ["three"])])
async def test_a_file_that_no_row_of_fluentd_tells_of(
    older: int, expected: list[str], tmp_path: Path, follow: Any
) -> None:
    """It is the path's if it came since the rows were written, or so shortly before that they may not tell of it."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    store(tmp_path, f"{log}\t{4:016x}\t{log.stat().st_ino:016x}")
    log.rename(tmp_path / "a.log.2")
    log.write_text("two\n")
    if not (came := born(str(log))):
        pytest.skip("the disk does not know when a file was made")
    log.rename(tmp_path / "a.log.1")
    log.write_text("three\n")
    os.utime(tmp_path / "state" / "tail.pos", ns=(came, came + older * 1_000_000_000))
    async with follow(tmp_path) as run:
        await run.lines(len(expected))
        await run.idle()
        assert run.host.lines == expected
