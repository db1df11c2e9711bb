"""Faults that are really made to happen: permissions, descriptors, disks, other processes, damage."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import Tail
from logpipe.builtin.in_tail.decide import Ask, Place
from logpipe.builtin.in_tail.disk import MOST_LOOKS, Looker
from logpipe.builtin.position_file import PositionFile
from logpipe.testing import build, wait_for
from tests.builtin.in_tail.harness import body, printing
from tests.e2e.program import Logpipe

NOBODY = 65534


def rows(folder: Path) -> dict[str, int]:
    """Return the offsets that a position file holds."""
    return {row.path: row.offset for row in PositionFile(str(folder / "state" / "tail.pos")).load().positions}


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give up what lets root read everything for as long as a test lasts; returns a folder to work in."""
    build(Tail, body(Path("/"), "", path="a", parse="@type none", keep_positions=True))  # it imports what it needs
    installed = entry_points()  # whoever comes may not be allowed to look into root's folders
    monkeypatch.setattr("logpipe.registry.entry_points", lambda: installed)
    folder = Path(tempfile.mkdtemp())
    was_root = os.geteuid() == 0
    if was_root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if was_root:
            os.seteuid(0)
        shutil.rmtree(folder)


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[Callable[[], None]]:
    """Open files until there is no room for another one; call what it gives to take what others have closed since."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))

    def take_all() -> None:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))

    try:
        take_all()
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(0)
        yield take_all
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


@pytest.mark.parametrize("damage", ["torn", "zeros", "rubbish", "half"])
async def test_a_damaged_position_file_loses_no_line(damage: str, tmp_path: Path, follow: Any, append: Any) -> None:
    """What is written while we are down comes though positions are damaged, and files are not read from their end."""
    logs = [tmp_path / f"{number}.log" for number in range(4)]
    for log in logs:
        log.write_text("a first line\n")
    async with follow(tmp_path, "read_from_head true") as run:
        await run.lines(4)
        await run.tick_until(lambda: set(rows(tmp_path).values()) == {13})
        for log in logs:
            run.append(log, "and another\n")
        await run.lines(8)
        await run.tick_until(lambda: set(rows(tmp_path).values()) == {25})
    pos_file = tmp_path / "state" / "tail.pos"
    content = pos_file.read_bytes()
    half = len(content) // 2 - 7
    damaged = {
        "torn": content[:-9],
        "zeros": bytes(len(content)),
        "rubbish": b"\xff\xfe\xfd\n" * 40,
        "half": content[:half] + bytes(len(content) - half),
    }
    pos_file.write_bytes(damaged[damage])
    for log in logs:
        append(log, "written meanwhile\n")
    async with follow(tmp_path, "read_from_head false") as run:
        await run.until(lambda: run.host.lines.count("written meanwhile") == 4)
        await run.idle()
        assert run.host.lines.count("a first line") == 0
        assert any("is damaged" in text for text in run.host.capture.texts("warning"))


def test_a_second_instance_ends_with_a_clear_message(tmp_path: Path) -> None:
    """Two programs on one position file: the one that came first is not disturbed."""
    (tmp_path / "a.log").write_text("one\n")
    config = printing(tmp_path)
    (tmp_path / "said").mkdir()
    with Logpipe(config, tmp_path / "said" / "first").start() as first:
        asyncio.run(wait_for(lambda: '"message":"one"' in first.said, "the first one to deliver", seconds=60))
        second = subprocess.run(
            [sys.executable, "-m", "logpipe", "-c", config], capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode != 0
        assert f"pos_file {tmp_path}/pos is in use by another process" in second.stdout + second.stderr
        first.still_runs()


async def test_a_log_without_permission(unprivileged: Path, follow: Any) -> None:
    """It is said once, and the file is read from its head when permission comes; the others are not held up."""
    secret, log = unprivileged / "secret.log", unprivileged / "a.log"
    secret.write_text("secret\n")
    secret.chmod(0)
    log.write_text("one\n")
    async with follow(unprivileged) as run:
        await run.lines(1)
        await run.advance(3)
        secret.chmod(0o600)
        await run.tick_until(lambda: run.host.lines == ["one", "secret"])
        assert len([text for text in run.host.capture.texts("warning") if "unreadable" in text]) == 1


async def test_a_link_into_a_folder_without_permission(unprivileged: Path, follow: Any) -> None:
    """The link is named once, as a file without permission is, and read when the folder can be entered."""
    closed, log = unprivileged / "closed", unprivileged / "a.log"
    closed.mkdir()
    (closed / "target").write_text("secret\n")
    (unprivileged / "link.log").symlink_to(closed / "target")
    closed.chmod(0)
    log.write_text("one\n")
    try:
        async with follow(unprivileged) as run:
            await run.lines(1)
            await run.advance(130)
            closed.chmod(0o700)
            await run.tick_until(lambda: run.host.lines == ["one", "secret"])
            said = [text for text in run.host.capture.texts("warning") if "unreadable" in text]
            assert len(said) == 1
            assert f"{unprivileged}/link.log unreadable" in said[0]
    finally:
        closed.chmod(0o700)


async def test_a_folder_that_cannot_be_listed(unprivileged: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in it is followed to the next file; that nobody can see what else is there is no reason to look again."""
    folder, places, looks = unprivileged / "closed", Looker.places, 0

    def counted(looker: Looker, asks: Iterable[Ask], held: int = 0) -> list[Place]:
        nonlocal looks
        looks += 1
        return places(looker, asks, held)

    folder.mkdir()
    log = folder / "a.log"
    log.write_text("one\n")
    folder.chmod(0o300)
    monkeypatch.setattr(Looker, "places", counted)
    try:
        async with follow(unprivileged, path="closed/a.log") as run:
            await run.lines(1)
            log.rename(folder / "a.log.1")
            log.write_text("two\n")
            await run.tick_until(lambda: run.host.lines == ["one", "two"])
            looks = 0
            for _ in range(5):
                await run.tail.discovery.tick()
            assert looks < MOST_LOOKS
    finally:
        folder.chmod(0o700)


async def test_a_folder_for_positions_without_permission(unprivileged: Path, follow: Any) -> None:
    """Events go on; positions are kept in memory and written when they can be."""
    log = unprivileged / "a.log"
    log.write_text("one\n")
    (unprivileged / "state").mkdir()
    (unprivileged / "state").chmod(0o500)
    async with follow(unprivileged) as run:
        await run.lines(1)
        await run.tick_until(lambda: run.host.metric("position_write_errors") > 1)
        assert len([text for text in run.host.capture.texts("warning") if "cannot be written" in text]) == 1
        (unprivileged / "state").chmod(0o700)
        await run.tick_until(lambda: (unprivileged / "state" / "tail.pos").exists() and rows(unprivileged))
    assert rows(unprivileged) == {str(log): 4}


async def test_positions_without_permission_to_read(unprivileged: Path, follow: Any, append: Any) -> None:
    """Nothing is followed before they are known: what was delivered does not come again, and nothing is passed over."""
    log, pos_file = unprivileged / "a.log", unprivileged / "state" / "tail.pos"
    log.write_text("one\n")
    async with follow(unprivileged) as run:
        await run.lines(1)
    append(log, "two\n")
    pos_file.chmod(0)
    async with follow(unprivileged, "read_from_head false") as run:
        await run.until(lambda: run.host.capture.texts("error"))
        await run.advance(30)
        assert not run.host.lines
        pos_file.chmod(0o600)
        await run.tick_until(lambda: run.host.lines)
        assert run.host.lines == ["two"]
        assert len([text for text in run.host.capture.texts("error") if "cannot be read" in text]) == 1


async def test_no_descriptors_left(tmp_path: Path, follow: Any) -> None:
    """A file that cannot be opened is tried again; nothing is given up and nothing is lost."""
    log, new = tmp_path / "a.log", tmp_path / "new.log"
    log.write_text("one\n")
    async with follow(tmp_path, "open_on_every_update true") as run:
        await run.lines(1)
        await run.until(lambda: run.host.metric("open_file_count") == 0)
        await run.tick_until(lambda: rows(tmp_path) == {str(log): 4})
        written = ["one", "three"]
        with log.open("a") as writer, new.open("w") as newcomer, no_descriptors_left() as take_all:
            newcomer.write("three\n")
            newcomer.flush()

            def refused() -> bool:
                take_all()  # a write of the positions may have closed some, by which all was read
                written.append(f"line {len(written)}")
                writer.write(f"{written[-1]}\n")
                writer.flush()
                said = run.host.capture.texts("warning")
                return any("Too many open files" in text and ".log" in text for text in said)

            await run.tick_until(refused)
        await run.tick_until(lambda: len(run.host.lines) == len(written))
        assert sorted(run.host.lines) == sorted(written)
        assert run.host.metric("abandoned_bytes") == 0


def test_no_inotify_for_this_user(tmp_path: Path) -> None:
    """With the kernel's limit at nothing files are looked at instead, and it is said what to raise."""
    (tmp_path / "a.log").write_text("one\n")
    config = printing(tmp_path)
    limited = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
    if subprocess.run([*limited, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces")
    with Logpipe(config, tmp_path / "said", through=limited).start() as program:
        asyncio.run(wait_for(lambda: '"message":"one"' in program.said, "the first line", seconds=60))
        assert "raise fs.inotify.max_user_instances" in program.said
        with (tmp_path / "a.log").open("a") as log:
            log.write("two\n")
        asyncio.run(wait_for(lambda: '"message":"two"' in program.said, "the second line", seconds=60))


def test_positions_on_a_disk_that_is_read_only_for_a_while(tmp_path: Path) -> None:
    """The rows that are there stand, and when the disk can be written again new ones replace them."""
    code = """
import subprocess, sys
from logpipe.builtin.position_file import Position, PositionFile, entry
folder = sys.argv[1]
def mount(*options):
    subprocess.run(["mount", *options, "tmpfs", folder], check=True)
mount("-t", "tmpfs")
file = PositionFile(folder + "/pos")
def save(offset):
    file.save([entry([Position("/a", offset, 7, "4:abcd")])])
save(1)
file.close()
mount("-o", "remount,ro")
try:
    save(2)
except OSError as error:
    print(error.strerror, [row.offset for row in file.load().positions])
mount("-o", "remount,rw")
save(3)
print([row.offset for row in file.load().positions])
"""
    command = ["unshare", "-rm", sys.executable, "-c", code, str(tmp_path)]
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces")
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout == "Read-only file system [1]\n[3]\n", found.stderr


@pytest.mark.parametrize("error", [errno.ESTALE, errno.EIO])
async def test_a_disk_that_fails_for_a_while(
    error: int, tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a network's disk does: the file is opened anew, known again, and read on where it was left."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    failing = False
    really_read, really_look = os.pread, os.fstat

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if failing:
            raise OSError(error, os.strerror(error))
        return really_read(descriptor, size, offset)

    def fstat(descriptor: int) -> os.stat_result:
        if failing:
            raise OSError(error, os.strerror(error))
        return really_look(descriptor)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(os, "fstat", fstat)
    async with follow(tmp_path) as run:
        await run.lines(1)
        failing = True
        run.append(log, "two\n")
        log.rename(tmp_path / "a.log.1")
        log.write_text("three\n")
        await run.tick_until(lambda: any("cannot be read" in text for text in run.host.capture.texts("warning")))
        failing = False
        await run.tick_until(lambda: len(run.host.lines) == 3)
        assert run.host.lines == ["one", "two", "three"]
        assert run.host.metric("abandoned_bytes") == 0


async def test_a_file_that_was_given_up_and_gets_its_name_back(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted as lost with it is read after all."""
    log, away = tmp_path / "a.log", tmp_path / "away"
    log.write_text("one\n" * 1000)
    failing = False
    really = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if failing and offset > 2000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    async with follow(tmp_path, "rotate_wait 1") as run:
        await run.lines(1000)
        run.append(log, "two")
        await run.until(lambda: run.host.metric("behind_bytes") == 3)
        failing = True
        log.rename(away)
        await run.tick_until(lambda: run.host.metric("abandoned_bytes") == 3, step=5)
        failing = False
        run.append(away, "\n")
        away.rename(log)
        await run.tick_until(lambda: len(run.host.lines) == 1001, step=5)
        assert run.host.metric("abandoned_bytes") == 0
        account = run.accounts()[str(log)]
        assert (account.written, account.read, account.unexplained) == (4004, 4004, 0)
