"""Files that must survive: what a step that fails leaves behind, what is synced before what, who is let in."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from logpipe.durable import Disk
from logpipe.files import Files

DISK = Disk(Files(), "test")

Write = Callable[[Path], object]
APPENDS = pytest.param(lambda path: DISK.append(path, [b"new\n"], at=path.stat().st_size), id="append")
APPENDS_SHARED = pytest.param(lambda path: DISK.append_shared(path, [b"new\n"]), id="append_shared")
REPLACES = pytest.param(lambda path: DISK.replace(path, [b"new\n"]), id="replace")


def failing(patch: pytest.MonkeyPatch, call: str, *, after: Callable[..., object] | None = None) -> None:
    """Let a system call fail as on a broken disk, when `after` was called in its place."""

    def fail(*arguments: Any) -> None:
        if after is not None:
            after(*arguments)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    patch.setattr(os, call, fail)


@pytest.mark.parametrize("write", [APPENDS, APPENDS_SHARED, REPLACES])
@pytest.mark.parametrize("call", ["writev", "sync"])
def test_a_write_that_fails_leaves_what_was_there(
    write: Write, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever part of it was written, and nothing beside it."""
    path = tmp_path / "f"
    path.write_bytes(b"old\n")
    half, really = b"ne", os.writev
    with monkeypatch.context() as patch:
        if call == "writev":
            failing(patch, "writev", after=lambda descriptor, _: really(descriptor, [half]))
        else:
            failing(patch, "fsync")
            failing(patch, "fdatasync")
        with pytest.raises(OSError, match="Input/output"):
            write(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"f": b"old\n"}
    write(path)
    assert path.read_bytes().endswith(b"new\n")


def test_a_name_that_cannot_be_taken_leaves_no_unfinished_file(tmp_path: Path) -> None:
    """A folder is in the way."""
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        DISK.replace(tmp_path / "f", [b"new"])
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("write", [lambda path: DISK.append(path, [b"new\n"], at=0), APPENDS_SHARED.values[0]])
def test_a_new_file_whose_name_cannot_be_synced_is_empty_or_gone(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is written to it next syncs its name again."""
    path = tmp_path / "f"
    synced: list[str] = []
    sync = os.fsync
    with monkeypatch.context() as patch:
        failing(patch, "fsync")
        with pytest.raises(OSError, match="Input/output"):
            write(path)
    assert not path.exists() or not path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(name_of(descriptor)), sync(descriptor)))
    write(path)
    assert path.read_bytes() == b"new\n"
    assert synced == [str(tmp_path)]


def name_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def test_bytes_are_in_a_file_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its name is safe on return."""
    done: list[tuple[str, str]] = []
    rename, sync = Path.rename, os.fsync
    monkeypatch.setattr(Path, "rename", lambda path, to: (done.append(("rename", path.name)), rename(path, to)))
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (done.append(("fsync", Path(name_of(descriptor)).name)), sync(descriptor))
    )
    DISK.replace(tmp_path / "f", iter([b"a", b"b"]))
    assert done == [("fsync", "f.tmp"), ("rename", "f.tmp"), ("fsync", tmp_path.name)]
    assert (tmp_path / "f").read_bytes() == b"ab"


def test_pieces_that_cannot_be_made_leave_nothing(tmp_path: Path) -> None:
    """They may be made while they are written."""

    def pieces() -> Iterator[bytes]:
        yield bytes(2 << 20)
        raise RuntimeError("no more")

    for write in (DISK.append_shared, DISK.replace, lambda path, pieces: DISK.append(path, pieces, at=0)):
        with pytest.raises(RuntimeError, match="no more"):
            write(tmp_path / "f", pieces())
        assert [each.stat().st_size for each in tmp_path.iterdir()] in ([], [0])
        (tmp_path / "f").unlink(missing_ok=True)


def test_many_pieces_and_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call takes a thousand, and may take less than it was given."""
    really = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: really(descriptor, [b"".join(pieces)[:999]]))
    pieces = [b"%04d\n" % number for number in range(2500)]
    DISK.append(tmp_path / "f", pieces, at=0)
    assert (tmp_path / "f").read_bytes() == b"".join(pieces)


def test_few_bytes_are_gathered_for_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte, and what its last piece has beyond that: pieces may be made while they are written."""
    sizes: list[int] = []
    really = os.writev
    monkeypatch.setattr(
        os, "writev", lambda descriptor, pieces: (sizes.append(sum(map(len, pieces))), really(descriptor, pieces))[1]
    )
    half = bytes(1 << 19)
    DISK.append(tmp_path / "f", [half, half, b"rest", b"\n"], at=0)
    assert sizes == [1 << 20, 5]


def test_a_file_that_something_else_changed_is_not_written_to(tmp_path: Path) -> None:
    """Whoever is its only writer knows its size."""
    (tmp_path / "f").write_bytes(b"longer")
    with pytest.raises(OSError, match="has 6 bytes instead of 3"):
        DISK.append(tmp_path / "f", [b"x"], at=3)
    with pytest.raises(FileExistsError):
        DISK.append(tmp_path / "f", [b"x"], at=0)
    assert (tmp_path / "f").read_bytes() == b"longer"


@pytest.mark.parametrize("write", [APPENDS, APPENDS_SHARED])
def test_no_link_is_followed(write: Write, tmp_path: Path) -> None:
    """Somebody else may have put it there."""
    (tmp_path / "theirs").write_bytes(b"")
    (tmp_path / "f").symlink_to("theirs")
    with pytest.raises(OSError, match=r"symbolic links|exists"):
        write(tmp_path / "f")
    assert (tmp_path / "theirs").read_bytes() == b""


def test_what_lies_in_the_place_of_the_unfinished_file_is_not_written_to(tmp_path: Path) -> None:
    """A link there leads elsewhere, a file there has another's mode."""
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"")
    temporary = tmp_path / "f.tmp"
    for lay in (lambda: temporary.symlink_to(theirs), lambda: temporary.touch(0o666)):
        lay()
        Disk(Files(0o600), "test").replace(tmp_path / "f", [b"ours"])
        assert theirs.read_bytes() == b""
        assert (tmp_path / "f").read_bytes() == b"ours"
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600


def test_a_file_that_is_renamed_before_it_is_locked_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who renamed it has taken what is in it: the lines go to a new one."""
    path = tmp_path / "f"
    path.write_bytes(b"old\n")
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        if not path.with_name("taken").exists():
            path.rename(path.with_name("taken"))
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    DISK.append_shared(path, [b"new\n"])
    assert path.with_name("taken").read_bytes() == b"old\n"
    assert path.read_bytes() == b"new\n"


def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on it cannot be told apart; one has nothing to fear."""

    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    DISK.append_shared(tmp_path / "f", [b"new\n"])
    assert (tmp_path / "f").read_bytes() == b"new\n"


def test_a_second_process_is_refused_or_waits(tmp_path: Path) -> None:
    """As it asks."""
    held = DISK.open_locked(tmp_path / "f", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        DISK.open_locked(tmp_path / "f", os.O_RDWR)
    os.close(held)
    os.close(DISK.open_locked(tmp_path / "f", os.O_RDWR, wait=True))


def test_every_step_is_a_point_at_which_a_crash_test_can_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order that the module says."""
    points: list[str] = []
    monkeypatch.setattr("logpipe.durable.fault", lambda name: points.append(name.removeprefix("test.")))

    def of(do: Callable[[], object]) -> list[str]:
        points.clear()
        do()
        return points.copy()

    path, other = tmp_path / "f", tmp_path / "g"
    assert of(lambda: DISK.append(path, [b"1\n"], at=0)) == ["opened", "written", "created", "synced"]
    assert of(lambda: DISK.append(path, [b"2\n"], at=2)) == ["opened", "written", "synced"]
    assert of(lambda: DISK.append_shared(other, [b"1\n"])) == ["created", "opened", "written", "synced"]
    assert of(lambda: DISK.append_shared(other, [b"2\n"])) == ["opened", "written", "synced"]
    assert of(lambda: os.close(DISK.fill(path, [b"3\n"]))) == ["opened", "written"]
    assert of(lambda: DISK.take_name(tmp_path / "h")) == ["named"]
    assert of(lambda: DISK.move(path, other)) == ["replacing", "replaced", "synced"]
    assert of(lambda: DISK.replace(other, [b"4\n"])) == ["opened", "written", "replacing", "replaced", "synced"]
    assert of(lambda: DISK.remove(other)) == ["delete", "deleted"]
    assert of(lambda: DISK.make_folder(tmp_path / "a" / "b")) == ["folder", "folder"]
    assert of(lambda: DISK.append(tmp_path / "c" / "f", [b"1\n"], at=0))[0] == "folder"
