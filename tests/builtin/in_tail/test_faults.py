"""Faults that are really made to happen: permissions, descriptors, disks, other processes, damage, floods."""

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
import tracemalloc
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from logpipe import SourceAccount
from logpipe.builtin.in_tail import Tail
from logpipe.builtin.in_tail.books import UNFOLLOWED
from logpipe.builtin.position_file import PositionFile
from logpipe.testing import build, wait_for
from tests.builtin.in_tail.harness import body
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
    config = tmp_path / "logpipe.conf"
    config.write_text(
        f"<source>\n@type tail\npath {tmp_path}/*.log\npos_file {tmp_path}/pos\ntag t\nread_from_head true\n"
        f"<parse>\n@type none\n</parse>\n</source>\n<match t>\n@type stdout\n</match>\n"
    )
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
        with log.open("a") as writer, new.open("w") as newcomer, no_descriptors_left() as take_all:

            def refused() -> bool:
                take_all()
                return any("Too many open files" in said for said in run.host.capture.texts("warning"))

            writer.write("two\n")
            writer.flush()
            newcomer.write("three\n")
            newcomer.flush()
            await run.tick_until(refused)
            assert len(run.host.lines) < 3
        await run.tick_until(lambda: len(run.host.lines) == 3)
        assert sorted(run.host.lines) == ["one", "three", "two"]
        assert run.host.metric("abandoned_bytes") == 0


def test_no_inotify_for_this_user(tmp_path: Path) -> None:
    """With the kernel's limit at nothing files are looked at instead, and it is said what to raise."""
    (tmp_path / "a.log").write_text("one\n")
    config = tmp_path / "logpipe.conf"
    config.write_text(
        f"<source>\n@type tail\npath {tmp_path}/*.log\npos_file {tmp_path}/pos\ntag t\nread_from_head true\n"
        f"<parse>\n@type none\n</parse>\n</source>\n<match t>\n@type stdout\n</match>\n"
    )
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


async def test_rotations_far_faster_than_reading(tmp_path: Path, follow: Any) -> None:
    """Thirty generations wait while a limit holds up the reader: all come, in order and once."""
    log = tmp_path / "a.log"
    expected: list[str] = []
    log.touch()
    async with follow(tmp_path, "read_bytes_limit_per_second 8192") as run:
        await run.until(lambda: run.tail.trails.by_path)
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
        await run.until(lambda: run.tail.trails.by_path)
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
    assert peak < 40 << 20
    if extra:
        assert lengths == [6, 5]
        assert account.skipped == {"long_line": (100 << 20) + 1}
    else:
        assert sum(lengths) == (100 << 20) + 11
        assert max(lengths) <= 4 << 20
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


async def test_ten_thousand_files(tmp_path: Path, follow: Any) -> None:
    """All are read and followed, a hot one among them, and the idle ones have no task."""
    hot = tmp_path / "0000hot.log"
    hot.write_text("hot\n" * 50_000)
    for number in range(10_000):
        (tmp_path / f"{number:05}.log").write_text("cold\n")
    async with follow(tmp_path) as run:
        await wait_for(lambda: len(run.tail.trails.by_path) == 10_001, "all files to be followed", seconds=60)
        await wait_for(lambda: run.host.metric("read_lines") == 60_000, "all lines", seconds=60)
        assert run.balanced()
        assert len(asyncio.all_tasks()) < 20
        run.append(tmp_path / "07777.log", "more\n")
        await run.until(lambda: "more" in run.host.lines[-1:])


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
        await run.tick_until(lambda: len(run.tail.trails.by_path) == 1)
        trails = run.tail.trails
        assert len(list(trails.generations())) == len(trails.roster._owners) == 1
        assert len(run.tail._watch._followers[f"{tmp_path}/"]) == 1
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
    config = tmp_path / "logpipe.conf"
    config.write_text(
        f"<source>\n@type tail\npath {tmp_path}/*.log\npos_file {tmp_path}/pos\ntag t\nread_from_head true\n"
        f"refresh_interval 1\n<parse>\n@type none\n</parse>\n</source>\n<match t>\n@type stdout\n</match>\n"
    )
    with Logpipe(config, tmp_path / "own.log").start() as program:
        asyncio.run(wait_for(lambda: '"message":"one"' in program.said, "the first line", seconds=60))
        with (tmp_path / "a.log").open("a") as log:
            log.write("two\n")
        asyncio.run(wait_for(lambda: '"message":"two"' in program.said, "the second line", seconds=60))
        assert program.said.count('{"message"') == 2
        assert "is where our own log goes: it is not followed" in program.said
