"""Where every byte of a file went: what `accounts()` says, whatever happens to the file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import lines, reader
from logpipe.builtin.in_tail.accounting import UNFOLLOWED
from logpipe.builtin.in_tail.cuts import Cuts
from logpipe.monitor import SourceAccount


async def settled(run: Any, name: Path | str) -> SourceAccount:
    """Return a path's books when nothing is left to be done about it."""
    await run.until(lambda: not any(each.pending for each in run.tail.registry.table.generations()))
    account: SourceAccount = run.accounts()[str(name)]
    return account


def total(account: SourceAccount) -> int:
    """Return what an account explains."""
    return account.before + account.read + sum((*account.skipped.values(), *account.abandoned.values()))


async def test_what_is_read_and_what_waits(tmp_path: Path, follow: Any) -> None:
    """Whole lines are read, a line without its end waits; the books can be read after the stop."""
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\nhalf")
    async with follow(tmp_path) as run:
        await run.lines(2)
        assert await settled(run, log) == SourceAccount(str(log), written=12, read=8, waiting=4)
        run.append(log, " a line\n")
        await run.lines(3)
    assert run.accounts()[str(log)] == SourceAccount(str(log), written=20, read=20)


async def test_what_was_there_before(tmp_path: Path, follow: Any, append: Any) -> None:
    """What was not asked for at the first start, and what an earlier run has read, is told apart."""
    old, log = tmp_path / "old.log", tmp_path / "a.log"
    old.write_text("not asked for\n")
    async with follow(tmp_path, "read_from_head false") as run:
        await run.until(run.accounts)
        log.write_text("one\n")
        await run.lines(1)
        assert await settled(run, old) == SourceAccount(str(old), written=14, before=14)
    append(log, "two\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        assert await settled(run, log) == SourceAccount(str(log), written=8, before=4, read=4)


async def test_what_is_left_out_of_lines(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """NULs and long lines are skipped once, also where their batch was refused and made again."""
    log = tmp_path / "a.log"
    log.write_bytes(b"\0" * 600 + b"one\n" + b"x" * 100 + b"\ntwo\r\n" + b"\0" * 512 + b"three\npart")
    host = scripted()
    host.refusals = 2
    async with follow(tmp_path, "max_line_size 50", host=host) as run:
        await run.tick_until(lambda: len(host.lines) == 3)
        account = await settled(run, log)
        assert host.lines == ["one", "two", "three"]
        assert account.skipped == {"nul": 1112, "long_line": 101}
        assert account.read == len("one\ntwo\r\nthree\n")
        assert account.waiting == 4
        assert host.metric("skipped_lines") == 1
        assert host.metric("skipped_long_line_bytes") == 101


@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE"])
async def test_lines_in_wide_characters(
    encoding: str, tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are the file's, not those of the text that came out of them."""
    monkeypatch.setattr(lines, "HOLE", 4)
    log = tmp_path / "a.log"
    log.write_bytes("one\n\0\0two\nlong line\n".encode(encoding))
    async with follow(tmp_path, f"max_line_size 14\nencoding {encoding}") as run:
        await run.lines(2)
        account = await settled(run, log)
        assert run.host.lines == ["one", "two"]
        assert account.skipped == {"nul": 4, "long_line": 20}
        assert account.read == 16


async def test_a_long_line_whose_end_comes_late(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then it waits, whatever was seen of it; a touch of the file loses nothing of that."""
    monkeypatch.setattr(reader, "BLOCK", 16)
    monkeypatch.setattr(reader, "SMALLEST_BLOCK", 16)
    log = tmp_path / "a.log"
    log.write_text("one\n" + "x" * 50)
    async with follow(tmp_path, "max_line_size 10") as run:
        await run.lines(1)
        assert (await settled(run, log)).waiting == 50
        os.utime(log)
        await run.advance(2)
        assert (await settled(run, log)).waiting == 50
        run.append(log, "xx\ntwo\n")
        await run.lines(2)
        assert await settled(run, log) == SourceAccount(str(log), written=61, read=8, skipped={"long_line": 53})
        assert run.host.metric("read_lines") == 3
        assert run.host.metric("skipped_lines") == 1


async def test_all_generations_of_a_path_are_one_account(tmp_path: Path, follow: Any) -> None:
    """Those that were read to their end and let go stay in the sum."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path, "rotate_wait 0\nrefresh_interval 5") as run:
        await run.lines(1)
        for number in range(2, 5):
            log.rename(tmp_path / f"a.log.{number}")
            log.write_text(f"{number}\n")
            await run.lines(number)
        await run.tick_until(lambda: len(list(run.tail.registry.table.generations())) == 1)
        assert await settled(run, log) == SourceAccount(str(log), written=10, read=10)


async def test_files_that_are_gone_are_one_account(tmp_path: Path, follow: Any) -> None:
    """Names of files that came and went do not fill memory, their bytes are counted all the same."""
    keeper = tmp_path / "keeper.log"
    keeper.write_text("kept\n")
    async with follow(tmp_path, "rotate_wait 0\nrefresh_interval 5") as run:
        for number in range(5):
            log = tmp_path / f"{number}.log"
            log.write_text("gone\n")
            await run.lines(number + 2)
            log.unlink()
        await run.tick_until(lambda: len(run.tail.registry.table.by_path) == 1)
        assert run.accounts() == {
            str(keeper): SourceAccount(str(keeper), written=5, read=5),
            UNFOLLOWED: SourceAccount(UNFOLLOWED, written=25, read=25),
        }


async def test_a_last_line_without_its_end(tmp_path: Path, follow: Any) -> None:
    """It is read when its file is let go; NULs alone are no line and are left out."""
    half, blank = tmp_path / "half.log", tmp_path / "blank.log"
    half.write_text("one\nhalf")
    blank.write_bytes(b"two\n" + b"\0" * 100)
    async with follow(tmp_path, "rotate_wait 1") as run:
        await run.lines(2)
        half.unlink()
        blank.unlink()
        await run.tick_until(lambda: run.host.metric("open_file_count") == 0)
        accounts = run.accounts()
        assert accounts[str(half)].read == 8
        assert accounts[str(blank)] == SourceAccount(str(blank), written=104, read=4, skipped={"nul": 100})


async def test_what_copytruncate_could_not_copy_is_reported(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """What was written between the copy and the cut, and was not read yet, is lost and said."""
    log = tmp_path / "a.log"
    log.write_text("line number one\n")
    host = scripted()
    async with follow(tmp_path, host=host) as run:
        await run.lines(1)
        host.refusals = 1
        run.append(log, "two\nthree\n")
        await run.until(lambda: host.attempts == 2)
        shutil.copy(log, tmp_path / "a.log.1")
        host.refusals = 1
        run.append(log, "lost\n")
        await run.tick_until(lambda: host.attempts == 3)
        os.truncate(log, 0)
        run.append(log, "4\n")
        await run.tick_until(lambda: len(host.lines) == 4)
        assert host.lines == ["line number one", "two", "three", "4"]
        account = await settled(run, log)
        assert account.abandoned == {"truncated": 5}
        assert account.read == account.written - 5
        assert host.metric("abandoned_bytes") == 5
    assert any(text.startswith("5 bytes of ") and "truncated" in text for text in host.capture.texts("error"))


async def test_a_copy_that_is_followed_itself(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """A wildcard that matches the copy brings it anyway: nothing is lost, and the rest is counted there."""
    log, copy = tmp_path / "a.log", tmp_path / "a.log.copy"
    log.write_text("line number one\n")
    host = scripted()
    async with follow(tmp_path, path="a.log*", host=host) as run:
        await run.lines(1)
        host.refusals = 1
        run.append(log, "two\n")
        await run.until(lambda: host.attempts == 2)
        shutil.copy(log, copy)
        await run.until(lambda: str(copy) in run.tail.registry.table.by_path)
        os.truncate(log, 0)
        run.append(log, "3\n")
        await run.tick_until(lambda: "3" in host.lines)
        assert (await settled(run, log)).skipped == {"elsewhere": 4}
        assert (await settled(run, copy)).read == 20
        assert "two" in host.lines


async def test_a_cut_without_a_copy(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """What was known to be there and is gone is abandoned; the new content is counted beside it."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    host = scripted()
    host.refusals = 1
    async with follow(tmp_path, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        os.truncate(log, 0)
        run.append(log, "2\n")
        await run.tick_until(lambda: len(host.lines) == 1)
        account = await settled(run, log)
        assert account == SourceAccount(str(log), written=6, read=2, abandoned={"truncated": 4})


async def test_a_cut_that_somebody_else_has_seen_to(tmp_path: Path, follow: Any) -> None:
    """While it was waited for, its file was closed, or another generation took its place: nothing is left."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        trail = run.tail.registry.table.by_path[str(log)]
        (first,) = trail.generations
        files = run.tail.registry.files
        cuts = Cuts(run.host, run.tail.following)
        await files.close([first])
        await cuts.truncated(trail, first)
        assert trail.generations == [first]

        os.truncate(log, 0)
        run.append(log, "2\n")
        await run.lines(2)
        (second,) = trail.generations
        assert second is not first
        first.file = second.file
        await cuts.truncated(trail, first)
        assert trail.generations == [second]
        assert run.host.metric("rotated_file_count") == 1
        first.file = None


async def test_an_end_that_is_cut_off(tmp_path: Path, follow: Any) -> None:
    """A file that gets shorter behind what was read of it lost what was there; reserved space is no loss."""
    log, reserved = tmp_path / "a.log", tmp_path / "reserved.log"
    log.write_text("one\n" * 500 + "half a line")
    reserved.write_bytes(b"two\n" * 500 + b"\0" * 100)
    async with follow(tmp_path) as run:
        await run.lines(1000)
        await settled(run, log)
        os.truncate(log, 2004)
        os.truncate(reserved, 2000)
        await run.tick_until(lambda: run.accounts()[str(log)].abandoned)
        await run.tick_until(lambda: run.accounts()[str(reserved)].skipped)
        run.append(log, "\n")
        await run.lines(1001)
        assert run.host.lines[-1] == "half"
        assert await settled(run, log) == SourceAccount(str(log), written=2012, read=2005, abandoned={"truncated": 7})
        assert await settled(run, reserved) == SourceAccount(
            str(reserved), written=2100, read=2000, skipped={"nul": 100}
        )


async def test_a_file_that_is_gone_and_comes_back(
    tmp_path: Path, follow: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given up with it is lost; when the file turns up again, it is read and no longer lost."""
    monkeypatch.setattr("logpipe.builtin.in_tail.open_files._limit", lambda: 0)
    log, away = tmp_path / "a.log", tmp_path / "elsewhere" / "a.log"
    away.parent.mkdir()
    log.write_text("one\n")
    host = scripted()
    async with follow(tmp_path, "open_on_every_update true", host=host) as run:
        await run.lines(1)
        await run.until(lambda: host.metric("open_file_count") == 0)
        with log.open("a") as writer:
            log.rename(away)
            writer.write("two\n")
        await run.tick_until(lambda: run.tail.registry.table.by_path[str(log)].generations[0].finished)
        away.rename(log)
        await run.tick_until(lambda: len(host.lines) == 2)
        assert host.lines == ["one", "two"]
        assert await settled(run, log) == SourceAccount(str(log), written=8, read=8)
        assert host.metric("abandoned_bytes") == 0


async def test_what_waits_is_known_while_an_output_is_stuck(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """A file that cannot be read on is looked at: how far we are behind grows with it."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    host = scripted()
    host.stuck = {"t." + str(log)[1:].replace("/", ".")}
    async with follow(tmp_path, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        run.append(log, "two\n" * 1000)
        await run.tick_until(lambda: run.accounts()[str(log)].waiting == 4004)
        assert host.metric("behind_bytes") == 4004


async def test_a_file_that_gets_another_name(tmp_path: Path, follow: Any) -> None:
    """Its books go with it."""
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    first.write_text("one\n")
    async with follow(tmp_path, "rotate_wait 0") as run:
        await run.lines(1)
        first.rename(second)
        await run.tick_until(lambda: str(second) in run.tail.registry.table.by_path)
        run.append(second, "two\n")
        await run.lines(2)
        assert await settled(run, second) == SourceAccount(str(second), written=8, read=8)
        assert run.host.lines == ["one", "two"]


async def test_lines_add_up(tmp_path: Path, follow: Any) -> None:
    """Each line is a record, or several, or none, or unmatched, or too long."""
    (tmp_path / "a.log").write_text(
        '{"a": 1}\nno json\n[{"a": 2}, {"a": 3}]\n[]\n{"a": "' + "x" * 99 + '"}\n[{"a": 4}, 5]\n'
    )
    for extra, emitted in (("", 4), ("emit_unmatched_lines true", 6)):
        async with follow(tmp_path, f"max_line_size 60\n{extra}", parse="@type json", keep_positions=False) as run:
            await run.until(lambda: run.host.metric("read_lines") == 6)
            number = run.host.metrics.snapshot()
            assert number["emitted_records"] == len(run.host.records) == emitted
            assert number["unmatched_lines"] == 2
            assert number["skipped_lines"] == 1
            as_records = number["unmatched_lines"] if extra else 0
            assert number["read_lines"] == (
                number["emitted_records"]
                - number["additional_records"]
                + number["eventless_lines"]
                + number["skipped_lines"]
                + number["unmatched_lines"]
                - as_records
            )
