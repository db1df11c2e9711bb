"""Which files are followed, and when they are noticed."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.watch import IN_Q_OVERFLOW, Event, Inotify


def followed(run: Any) -> set[str]:
    """Return the names of the files that are followed."""
    return {Path(path).name for path, trail in run.tail.registry.table.by_path.items() if trail.live is not None}


def deafen(run: Any) -> None:
    """Make the input deaf, without it knowing."""
    asyncio.get_running_loop().remove_reader(run.tail.following.watch._inotify.descriptor)
    run.tail.following.watch._read_again = lambda: None
    run.tail.following.watch._inotify.read = lambda: ()


async def test_patterns_lists_and_exclusions(tmp_path: Path, follow: Any) -> None:
    """Wildcards, several paths, folders in the middle, and what is left out of them."""
    for name in ("a.log", "b.log", "skip.log", "x.txt", ".hidden.log"):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "c.log").write_text("c.log\n")
    (tmp_path / "deep" / "er" / "d.log").write_text("d.log\n")
    path = f"*.log,{tmp_path}/*/c.log , {tmp_path}/**/d.log,{tmp_path}/x.txt"
    async with follow(tmp_path, f'exclude_path ["{tmp_path}/sk*.log"]', path=path) as run:
        assert sorted(await run.lines(5)) == ["a.log", "b.log", "c.log", "d.log", "x.txt"]


async def test_a_file_that_comes_is_read_from_its_head_at_once(tmp_path: Path, follow: Any) -> None:
    """Created, or renamed into place: no clock has to move."""
    (tmp_path / "first.log").write_text("one\n")
    async with follow(tmp_path, "read_from_head false") as run:
        await run.until(lambda: followed(run) == {"first.log"})
        (tmp_path / "second.log").write_text("two\n")
        await run.lines(1)
        (tmp_path / "draft").write_text("three\n")
        (tmp_path / "draft").rename(tmp_path / "third.log")
        assert await run.lines(2) == ["two", "three"]


async def test_a_folder_that_comes_is_searched(tmp_path: Path, follow: Any) -> None:
    """A pattern with a wildcard for folders notices new ones, with what was in them before they were watched."""
    async with follow(tmp_path, path="*/app.log") as run:
        await run.until(lambda: run.tail.following.watch._folders)
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "app.log").write_text("one\n")
        await run.lines(1)
        shutil.rmtree(tmp_path / "new")
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "app.log").write_text("two\n")
        assert await run.lines(2) == ["one", "two"]


async def test_a_path_without_wildcards_is_awaited(tmp_path: Path, follow: Any) -> None:
    """A file that is missing at the start is followed from its head when it comes, its folder too."""
    async with follow(tmp_path, path="later/app.log") as run:
        await run.tick_until(lambda: run.tail.discovery.searches)
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "app.log").write_text("one\n")
        await run.tick_until(lambda: run.host.lines == ["one"])


async def test_a_link_that_comes_before_its_file(tmp_path: Path, follow: Any) -> None:
    """The kubelet may set the link first."""
    async with follow(tmp_path) as run:
        await run.until(lambda: run.tail.following.watch._folders)
        (tmp_path / "x.log").symlink_to(tmp_path / "target")
        await run.until(lambda: run.tail.following.awaited)
        (tmp_path / "target").write_text("one\n")
        await run.tick_until(lambda: run.host.lines == ["one"])


async def test_what_is_no_file_does_no_harm(tmp_path: Path, follow: Any) -> None:
    """Folders, FIFOs, links to nothing and links in a circle match the pattern and are passed over."""
    (tmp_path / "folder.log").mkdir()
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "dangling.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.log").symlink_to(tmp_path / "loop.log")
    (tmp_path / "empty.log").touch()
    (tmp_path / "good.log").write_text("one\n")
    async with follow(tmp_path) as run:
        assert await run.lines(1) == ["one"]
        os.mkfifo(tmp_path / "later.log")
        run.append(tmp_path / "good.log", "two\n")
        await run.lines(2)
        await run.tick_until(lambda: run.tail.discovery.searches > 1, step=20)
        assert followed(run) == {"good.log", "empty.log"}


async def test_times_in_paths_are_filled_in(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """A path with strftime names another file when the hour changes; the old one is let go."""
    host = scripted()  # its clock stands at 2016-06-15 14:13:20 UTC
    (tmp_path / "app.1614.log").write_text("old\n")
    (tmp_path / "app.1514.log").write_text("one\n")
    async with follow(tmp_path, "path_timezone +00:00", path="app.%d%H.log", host=host) as run:
        await run.lines(1)
        (tmp_path / "app.1515.log").write_text("two\n")
        await run.tick_until(lambda: len(host.lines) == 2, step=20)
        await run.tick_until(lambda: followed(run) == {"app.1515.log"}, step=5)
        assert host.lines == ["one", "two"]


async def test_only_recently_modified_files(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Old files that a wildcard finds are passed over until they are written to."""
    host = scripted()
    now = host.clock.now() / 1e9
    for name, age in (("new.log", 10), ("old.log", 100)):
        (tmp_path / name).write_text(f"{name}\n")
        os.utime(tmp_path / name, (now - age, now - age))
    async with follow(tmp_path, "limit_recently_modified 50s", host=host) as run:
        assert await run.lines(1) == ["new.log"]
        os.utime(tmp_path / "old.log", (now + 1e6, now + 1e6))
        await run.tick_until(lambda: len(host.lines) == 2, step=20)


async def test_the_first_search_can_be_put_off(tmp_path: Path, follow: Any) -> None:
    """With skip_refresh_on_startup nothing is searched before refresh_interval."""
    (tmp_path / "a.log").write_text("one\n")
    async with follow(tmp_path, "skip_refresh_on_startup true\nrefresh_interval 7") as run:
        await run.advance(6)
        assert not run.tail.registry.table.by_path
        await run.tick_until(lambda: run.host.lines == ["one"])


async def test_without_inotify_files_are_looked_at(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is none left it says so loudly, and everything works, once a second."""

    def refuse(_self: Inotify) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Inotify, "__init__", refuse)
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path, "refresh_interval 3") as run:
        await run.lines(1)
        run.append(log, "two\n")
        await run.tick_until(lambda: len(run.host.lines) == 2)
        log.rename(tmp_path / "a.log.1")
        log.write_text("three\n")
        (tmp_path / "b.log").write_text("four\n")
        await run.tick_until(lambda: len(run.host.lines) == 4)
        assert run.host.lines[:2] == ["one", "two"]
        said = [text for text in run.host.capture.texts("warning") if "max_user_instances" in text]
        assert len(said) == 1


async def test_folders_beyond_the_limit_of_watches_are_looked_at(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC from one folder does not stop the others."""
    add = Inotify.add

    def limited(self: Inotify, folder: str) -> int:
        if folder.endswith("far/"):
            raise OSError(errno.ENOSPC, "No space left on device", folder)
        return add(self, folder)

    monkeypatch.setattr(Inotify, "add", limited)
    (tmp_path / "far").mkdir()
    log = tmp_path / "far" / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path, path="*/a.log") as run:
        await run.lines(1)
        run.append(log, "two\n")
        await run.tick_until(lambda: len(run.host.lines) == 2)
        assert any("max_user_watches" in text for text in run.host.capture.texts("warning"))


async def test_events_that_were_lost_are_made_up_for(tmp_path: Path, follow: Any) -> None:
    """When the kernel's queue overflows everything is looked at again."""
    async with follow(tmp_path) as run:
        await run.until(lambda: run.tail.following.watch._folders)
        deafen(run)
        (tmp_path / "a.log").write_text("one\n")
        run.tail.following.watch._note(Event(-1, IN_Q_OVERFLOW, ""))
        assert await run.lines(1) == ["one"]


async def test_the_audit_finds_what_nobody_reported(tmp_path: Path, follow: Any) -> None:
    """A write and a rotation without an event are found by looking, and the rotation is counted as missed."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        deafen(run)
        run.append(log, "two\n")
        await run.tick_until(lambda: len(run.host.lines) == 2)
        log.rename(tmp_path / "a.log.1")
        log.write_text("three\n")
        await run.tick_until(lambda: len(run.host.lines) == 3)
        assert run.host.metric("missed_event_count") == 1


async def test_unreadable_files_are_said_once_and_tried_again(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permission may come later."""
    forbidden = True
    really_open = os.open

    def guarded(path: Any, *arguments: Any, **named: Any) -> int:
        if forbidden and str(path).endswith("a.log"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return really_open(path, *arguments, **named)

    monkeypatch.setattr(os, "open", guarded)
    (tmp_path / "a.log").write_text("one\n")
    (tmp_path / "b.log").write_text("two\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        for _ in range(5):
            await run.advance(1)
        said = [text for text in run.host.capture.texts("warning") if "unreadable" in text]
        assert len(said) == 1
        assert said[0].startswith(f"{tmp_path}/a.log unreadable. It is excluded and would be examined next time.")
        forbidden = False
        await run.tick_until(lambda: run.host.lines == ["two", "one"])


async def test_reads_that_fail_are_tried_again(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has trouble does not end the following of a file."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        broken = True
        really_read = os.pread

        def guarded(descriptor: int, size: int, offset: int) -> bytes:
            if broken:
                raise OSError(errno.EIO, "Input/output error")
            return really_read(descriptor, size, offset)

        monkeypatch.setattr(os, "pread", guarded)
        run.append(log, "two\n")
        await run.until(lambda: any("cannot be read" in text for text in run.host.capture.texts("warning")))
        broken = False
        await run.tick_until(lambda: run.host.lines == ["one", "two"])


async def test_the_position_file_and_our_own_output_are_never_followed(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would feed on themselves."""
    own = tmp_path / "own.log"
    with own.open("w") as file:
        file.write("our own words\n")
        file.flush()
        real = os.fstat
        monkeypatch.setattr(os, "fstat", lambda number: real(file.fileno() if number == 1 else number))
        (tmp_path / "a.log").write_text("one\n")
        async with follow(tmp_path, path=f"*.log,{tmp_path}/state/*") as run:
            assert await run.lines(1) == ["one"]
            await run.tick_until((tmp_path / "state" / "tail.pos.heads").exists)
            await run.tick_until(lambda: run.tail.discovery.searches > 2, step=20)
            assert followed(run) == {"a.log"}
            assert any("our own log" in text for text in run.host.capture.texts("warning"))


async def test_names_that_are_no_utf_8(tmp_path: Path, follow: Any) -> None:
    """Tag and path hold replacement characters, so that any output can write them."""
    name = os.fsdecode(b"a\xff.log")
    (tmp_path / name).write_text("one\n")
    async with follow(tmp_path, "path_key path") as run:
        await run.lines(1)
        assert run.host.records[0]["path"] == f"{tmp_path}/a�.log"
        assert "�" in run.host.emitted[0].tag


async def test_many_files_cost_no_task_and_are_all_read(tmp_path: Path, follow: Any) -> None:
    """A thousand files: each is read, and idle ones have neither task nor queue."""
    for number in range(1000):
        (tmp_path / f"{number}.log").write_text(f"{number}\n")
    async with follow(tmp_path) as run:
        await run.lines(1000)
        await run.until(lambda: run.tail._schedule._workers == 0)
        assert len(asyncio.all_tasks()) < 20
        run.append(tmp_path / "512.log", "more\n")
        await run.lines(1001)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_inotify_says_what_is_wrong() -> None:
    """Errors of the C library come as OSError with the folder's name."""
    instance = Inotify()
    try:
        with pytest.raises(FileNotFoundError, match="/nowhere/at/all"):
            instance.add("/nowhere/at/all")
    finally:
        instance.close()
    assert ctypes.get_errno() in {0, errno.ENOENT}
