"""Files that are hard to follow: floods, halves of lines, huge ones, hostile records, our own output."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.accounting import UNFOLLOWED
from logpipe.builtin.position_file import PositionFile
from logpipe.monitor import SourceAccount
from logpipe.testing import wait_for
from tests.builtin.in_tail.harness import printing
from tests.e2e.program import Logpipe


def rows(folder: Path) -> dict[str, int]:
    """Return the offsets that a position file holds."""
    return {row.path: row.offset for row in PositionFile(str(folder / "state" / "tail.pos")).load().positions}


async def test_rotations_far_faster_than_reading(tmp_path: Path, follow: Any) -> None:
    """Thirty generations wait while a limit holds up the reader: all come, in order and once."""
    log = tmp_path / "a.log"
    expected: list[str] = []
    log.touch()
    async with follow(tmp_path, "read_bytes_limit_per_second 8192") as run:
        await run.until(lambda: run.tail.registry.table.by_path)
        for number in range(30):
            some = [f"generation {number:03}, line {line:03}" for line in range(100)]
            log.write_text("".join(f"{line}\n" for line in some))
            expected += some
            for old in sorted(tmp_path.glob("a.log.*"), key=lambda path: -int(path.suffix[1:])):
                old.rename(tmp_path / f"a.log.{int(old.suffix[1:]) + 1}")
            log.rename(tmp_path / "a.log.1")
            log.touch()
            await run.advance(0.02)
        assert len(run.host.lines) < len(expected) / 2
        await run.tick_until(lambda: len(run.host.lines) >= len(expected))
        assert run.host.lines == expected


async def test_a_deleted_file_that_was_not_open(tmp_path: Path, follow: Any) -> None:
    """What nobody can read any more is counted to the byte and said."""
    log = tmp_path / "a.log"
    log.write_text("one\nhalf a line")
    async with follow(tmp_path, "open_on_every_update true\nrotate_wait 1") as run:
        await run.lines(1)
        await run.until(lambda: run.host.metric("open_file_count") == 0)
        log.unlink()
        await run.tick_until(lambda: run.host.metric("abandoned_bytes") == 11)
        assert run.accounts()[str(log)] == SourceAccount(str(log), written=15, read=4, abandoned={"gone": 11})
        assert any(text.startswith("11 bytes of ") for text in run.host.capture.texts("error"))


@pytest.mark.parametrize("kill", [True, False])
async def test_a_line_in_halves_across_a_restart(kill: bool, tmp_path: Path, follow: Any, append: Any) -> None:  # noqa: FBT001 - a parameter of the table
    """It comes once, whole, after its end has come; its position stays at its start until then."""
    log = tmp_path / "a.log"
    log.write_text("one\nfirst half, ")
    async with follow(tmp_path) as run:
        await run.lines(1)
        await run.tick_until(lambda: rows(tmp_path) == {str(log): 4})
        if kill:
            await run.kill()
    append(log, "second half\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["first half, second half"]


async def test_a_line_in_halves_across_a_rotation(tmp_path: Path, follow: Any) -> None:
    """The writer ends it in the file that has another name by then."""
    log = tmp_path / "a.log"
    async with follow(tmp_path) as run:
        with log.open("w") as writer:
            writer.write("one\nfirst half, ")
            writer.flush()
            await run.lines(1)
            log.rename(tmp_path / "a.log.1")
            await run.advance(1)
            writer.write("second half\n")
        log.write_text("three\n")
        await run.tick_until(lambda: len(run.host.lines) == 3)
        assert sorted(run.host.lines) == ["first half, second half", "one", "three"]


async def test_a_file_that_comes_byte_by_byte(tmp_path: Path, follow: Any) -> None:
    """Wherever a read ends: in a character, between the halves of a line end, within a container's partial line."""
    text = "2016-06-15T14:13:20Z stdout P ä€\r\n2016-06-15T14:13:20Z stderr F 𝄞 ende\n\n2016-06-15T14:13:20Z stdout F\n"
    log = tmp_path / "a.log"
    log.touch()
    async with follow(tmp_path, parse="@type cri\n<parse>\n@type none\n</parse>") as run:
        await run.until(lambda: run.tail.registry.table.by_path)
        for byte in text.encode():
            before = log.stat().st_size
            run.append(log, bytes([byte]))
            await run.until(lambda: run.accounts()[str(log)].written > before)  # noqa: B023 - it is used at once
        await run.until(lambda: run.host.metric("read_lines") == 4)
        assert run.host.lines == ["ä€", "𝄞 ende"]
        assert run.host.metric("unmatched_lines") == 2


@pytest.mark.parametrize("extra", ["", "max_line_size 1m"])
async def test_a_line_of_a_hundred_megabytes(extra: str, tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Cut or skipped as configured, in bounded memory; the lines around it are as they were."""
    log = tmp_path / "a.log"
    with log.open("wb") as file:
        file.write(b"before\n")
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b"\nafter\n")
    host = scripted()
    lengths: list[int] = []
    emit = host.emit

    async def count(batch: Any) -> None:
        lengths.extend(len(record["message"]) for record in batch.records)
        for record in batch.records:
            record["message"] = record["message"][:6]
        await emit(batch)

    host.emit = count
    tracemalloc.start()
    try:
        async with follow(tmp_path, extra, host=host) as run:
            await run.until(lambda: "after" in host.lines)
            account = run.accounts()[str(log)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (40 << 20 if extra else 72 << 20)
    if extra:
        assert lengths == [6, 5]
        assert account.skipped == {"long_line": (100 << 20) + 1}
    else:
        assert lengths == [6, 16 << 20, 5]
        assert account.skipped == {"long_line": 84 << 20}
    assert account.unexplained == 0


async def test_records_that_are_hard_to_take(tmp_path: Path, follow: Any) -> None:
    """Each is a record or unmatched, and those around them come."""
    hard = [
        b'{"message": "\xff\xfe"}',
        b'{"message": "\\ud800"}',
        b'{"message": "' + b"9" * 5000 + b'", "n": ' + b"9" * 5000 + b"}",
        b'{"message": "nan", "n": NaN}',
        b'{"message": "1", "message": "twice"}',
        b'{"message": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"message": "\0nul\0"}',
        b'{"": "", "message": ""}',
        b"\xff\xfe\xfd",
        b"{",
        b"12",
        b"",
    ]
    (tmp_path / "a.log").write_bytes(b"".join(b'{"message": "before"}\n' + line + b"\n" for line in hard))
    async with follow(tmp_path, parse="@type json") as run:
        await run.until(lambda: run.host.metric("read_lines") == 2 * len(hard))
        messages = [record.get("message") for record in run.host.records]
        assert messages.count("before") == len(hard)
        emitted = run.host.metric("emitted_records")
        assert emitted + run.host.metric("unmatched_lines") == 2 * len(hard)
        assert emitted > len(hard)


@pytest.mark.long("ten thousand files are made, watched and looked at")
async def test_ten_thousand_files(tmp_path: Path, follow: Any) -> None:
    """All are read and followed, a hot one among them, and the idle ones have no task."""
    hot = tmp_path / "0000hot.log"
    hot.write_text("hot\n" * 50_000)
    for number in range(10_000):
        (tmp_path / f"{number:05}.log").write_text("cold\n")
    async with follow(tmp_path) as run:
        paths = run.tail.registry.table.by_path
        await run.until_all(lambda: len(paths), 10_001, "files followed")
        await run.until_all(lambda: run.host.metric("read_lines"), 60_000, "lines read")
        assert run.balanced()
        assert len(asyncio.all_tasks()) < 20
        run.append(tmp_path / "07777.log", "more\n")
        await run.until(lambda: "more" in run.host.lines[-1:])


@pytest.mark.long("three thousand files, each followed, read, closed and forgotten")
async def test_files_that_come_and_go_by_the_thousand(tmp_path: Path, follow: Any) -> None:
    """Nothing of them stays but a sum: no file, no generation, no watch, no name."""
    keeper = tmp_path / "keeper.log"
    keeper.write_text("kept\n")
    rounds, count = 3, 1000
    async with follow(tmp_path, "rotate_wait 0\nrefresh_interval 5") as run:
        for number in range(rounds):
            logs = [tmp_path / f"{number}-{one}.log" for one in range(count)]
            for log in logs:
                log.write_text("here and gone\n")
            total = 5 + 14 * count * (number + 1)
            await wait_for(lambda: run.host.accepted_bytes == total, "all of a round", seconds=60)  # noqa: B023 - it is used at once
            for log in logs:
                log.unlink()
        await run.tick_until(lambda: len(run.tail.registry.table.by_path) == 1)
        table = run.tail.registry.table
        assert len(list(table.generations())) == len(table.owners) == 1
        assert len(run.tail.following.watch._followers[f"{tmp_path}/"]) == 1
        assert run.host.metric("open_file_count") == 1
        gone = 14 * rounds * count
        assert run.accounts()[UNFOLLOWED] == SourceAccount(UNFOLLOWED, written=gone, read=gone)


async def test_a_file_from_the_future(tmp_path: Path, follow: Any) -> None:
    """A clock that is wrong, here or where the file was written, keeps nobody from reading it."""
    log, empty = tmp_path / "a.log", tmp_path / "empty.log"
    log.write_text("one\n")
    empty.touch()
    for path in (log, empty):
        os.utime(path, (4_000_000_000, 4_000_000_000))
    async with follow(tmp_path, "limit_recently_modified 1h") as run:
        await run.lines(1)
        run.append(log, "two\n")
        run.append(empty, "three\n")
        await run.lines(3)
        assert sorted(run.host.lines) == ["one", "three", "two"]


def test_our_own_output_matched_by_our_own_pattern(tmp_path: Path) -> None:
    """Events printed into a file that the pattern matches are not read: that would never end."""
    (tmp_path / "a.log").write_text("one\n")
    config = printing(tmp_path, "refresh_interval 1")
    with Logpipe(config, tmp_path / "own.log").start() as program:
        asyncio.run(wait_for(lambda: '"message":"one"' in program.said, "the first line", seconds=60))
        with (tmp_path / "a.log").open("a") as log:
            log.write("two\n")
        asyncio.run(wait_for(lambda: '"message":"two"' in program.said, "the second line", seconds=60))
        assert program.said.count('{"message"') == 2
        assert "is where our own log goes: it is not followed" in program.said


async def test_a_file_that_never_stands_still(tmp_path: Path, follow: Any) -> None:
    """A link to a file of /proc, which holds something else at each look, is put off, and that is said once."""
    (tmp_path / "a\nb.log").symlink_to("/proc/self/status")
    log = tmp_path / "b.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        warned = "is written anew all the time"
        await run.until(lambda: any(warned in text for text in run.host.capture.texts("warning")), warned)
        for number in range(20):
            run.append(log, f"{number}\n")
            await run.advance(1)
            await run.lines(2 + number)
        rotations = [text for text in run.host.capture.texts("info") if "detected rotation" in text]
        assert len(rotations) < 100
        assert len([text for text in run.host.capture.texts("warning") if warned in text]) == 1


async def test_a_file_written_anew_is_read_when_it_stands_still(tmp_path: Path, follow: Any) -> None:
    """What is cut and written again without end is put off, and followed as any other one after that."""
    log = tmp_path / "a.log"
    log.write_text("begin\n")
    async with follow(tmp_path) as run:
        warnings = run.host.capture.texts
        await run.lines(1)
        while not warnings("warning"):
            number = f"{len(run.host.lines):05}"
            log.write_text(f"{number}\n")
            await run.until(lambda number=number: run.host.lines[-1] == number or warnings("warning"))
        log.write_text("calm\n")
        await run.tick_until(lambda: run.host.lines[-1] == "calm")
        assert 40 < len(run.host.lines) < 100
        run.append(log, "more\n")
        await run.tick_until(lambda: run.host.lines[-1] == "more")
        assert len([text for text in warnings("warning") if "is written anew all the time" in text]) == 1


async def test_a_file_of_sys(tmp_path: Path, follow: Any) -> None:
    """Files there say that they are longer than they are: their end is where nothing more comes."""
    source = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not source.exists():
        pytest.skip("no file of /sys to link to")
    (tmp_path / "a.log").symlink_to(source)
    async with follow(tmp_path) as run:
        assert await run.lines(1) == [source.read_text().rstrip("\n")]
        await run.until(lambda: not run.tail._schedule._workers, "the end of reading")
        assert run.host.metric("abandoned_bytes") == 0
