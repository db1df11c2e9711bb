"""The disk under the engine's own files: it fills up, fails, tears writes, and forgets what was not synced.

The files are real, in a folder in memory. What the engine asks the system for passes through here, so each step can be
the last one of a crash.
"""
# ruff: noqa: PTH108, PTH115, PTH123
# It stands in the place of these calls.

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from tests.simulation.timeline import Crash, Timeline

T = TypeVar("T")

Image = dict[str, bytes | None]
"""Contents by path below the folder; None for a folder."""

_HOOKED: Final = (
    "open", "write", "writev", "fsync", "fdatasync", "rename", "replace", "unlink", "ftruncate", "mkdir",
    "scandir", "listdir",
)  # fmt: skip


class Disk:
    """The folder in which the engine keeps files.

    Args:
        folder: it exists, and is empty.
        timeline: says what time files get.
    """

    def __init__(self, folder: Path, timeline: Timeline) -> None:
        self.folder = folder
        self._prefix = f"{folder}/"
        self._around = f"{folder.parent}/"
        self._timeline = timeline
        self.full: tuple[str, ...] = ()
        """What paths begin with, below the folder, that have no room; `""` is all of it."""
        self.failing = ""
        """The call that fails with EIO, the next time."""
        self.steps = 0
        """Calls that change something, so far."""
        self.crash_at = -1
        """The step before which the program ends."""
        self.torn = False
        """Whether a write at which it ends leaves its first half."""
        self.is_sure = True
        """Whether a crash is a program's and not a machine's: then what was not synced is there all the same."""
        self.rng: random.Random | None = None
        """Decides what of the rest survives a power cut; without it nothing does."""
        self.listing: random.Random | None = None
        """Decides in which order folders are listed, those of the log files, too; without it that is by name."""
        self.left: Image | None = None
        """What was there when the program ended at a step."""
        self._contents: dict[int, bytes] = {}
        self._entries: dict[int, dict[str, int]] = {}
        self._is_dead = self._is_being_restored = False

    # ---- what the engine calls

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Have the system's calls pass through here."""
        real = {name: getattr(os, name) for name in _HOOKED}
        self._note_folder(self.folder)
        for name in _HOOKED:
            setattr(os, name, getattr(self, f"_{name}")(real[name]))
        try:
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)

    def _open(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
            if not flags & os.O_CREAT or not self._is_ours(path):
                return real(path, flags, mode, **more)
            if not os.path.lexists(path):
                self._step("open", path)
            is_new = not os.path.lexists(path)
            descriptor = real(path, flags, mode, **more)
            if is_new:
                now = self._timeline.now()
                os.utime(descriptor, ns=(now, now))
            return descriptor

        return call

    def _writev(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(descriptor: int, pieces: Any) -> int:
            return self._write_some(descriptor, b"".join(pieces), lambda data: real(descriptor, [data]))

        return call

    def _write(self, real: Callable[..., int]) -> Callable[..., int]:
        return lambda descriptor, data: self._write_some(descriptor, bytes(data), lambda some: real(descriptor, some))

    def _write_some(self, descriptor: int, data: bytes, write: Callable[[bytes], int]) -> int:
        path = self._path(descriptor)
        if path is None:
            return write(data)
        try:
            self._step("write", path)
        except Crash:
            if self.torn:
                write(data[: len(data) // 2])
                self.left = self.image()
            raise
        except OSError:
            if self._is_full(path):
                write(data[: len(data) // 2])  # what was free is used up
            raise
        return write(data)

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        del real

        def call(descriptor: int) -> None:
            path = self._path(descriptor)
            if path is None:
                return
            self._step("fsync", path)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                self._note_folder(Path(path))
                return
            now = self._timeline.now()
            os.utime(descriptor, ns=(now, now))
            self._contents[os.fstat(descriptor).st_ino] = _content(path)

        return call

    _fdatasync = _fsync

    def _rename(self, real: Callable[..., None]) -> Callable[..., None]:
        def call(source: Any, target: Any, **more: Any) -> None:
            if self._is_ours(target):
                self._step("rename", target)
            real(source, target, **more)

        return call

    _replace = _rename

    def _unlink(self, real: Callable[..., None]) -> Callable[..., None]:
        def call(path: Any, **more: Any) -> None:
            if self._is_ours(path) and os.path.lexists(path):
                self._step("unlink", path)
            real(path, **more)

        return call

    def _mkdir(self, real: Callable[..., None]) -> Callable[..., None]:
        def call(path: Any, *args: Any, **more: Any) -> None:
            if self._is_ours(path) and not os.path.lexists(path):
                self._step("mkdir", path)
            real(path, *args, **more)

        return call

    def _ftruncate(self, real: Callable[..., None]) -> Callable[..., None]:
        def call(descriptor: int, length: int) -> None:
            if (path := self._path(descriptor)) is not None:
                self._step("ftruncate", path)
            real(descriptor, length)

        return call

    def _scandir(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".") -> Any:
            if not self._is_around(path):
                return real(path)
            with real(path) as entries:
                return _Entries(self._in_some_order(entries, key=lambda entry: entry.name))

        return call

    def _listdir(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".") -> Any:
            found = real(path)
            return self._in_some_order(found, key=str) if self._is_around(path) else found

        return call

    def _in_some_order(self, found: Iterable[T], key: Callable[[T], str]) -> list[T]:
        some = sorted(found, key=key)
        if self.listing is not None:
            self.listing.shuffle(some)
        return some

    def _is_around(self, path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and f"{os.fspath(path)}/".startswith(self._around)

    def _step(self, call: str, path: Any) -> None:
        if self._is_being_restored:
            return
        if self._is_dead:
            raise Crash
        self.steps += 1
        if self.steps == self.crash_at:
            self.left = self.image()
            self._is_dead = True
            raise Crash
        if call == self.failing:
            self.failing = ""
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
        if call in {"open", "write", "mkdir"} and self._is_full(os.fspath(path)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))

    def _is_full(self, path: str) -> bool:
        return bool(self.full) and path.removeprefix(self._prefix).startswith(self.full)

    def _is_ours(self, path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self._prefix)

    def _path(self, descriptor: int) -> str | None:
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return None
        return path if f"{path}/".startswith(self._prefix) else None

    # ---- crashes

    def end_program(self) -> None:
        """Let nothing be changed any more: the program has ended."""
        if self.left is None:
            self.left = self.image()
        self._is_dead = True

    def restore(self) -> None:
        """Have the folder as it was when the program ended, or as the power cut has left it."""
        image = self.left
        self.left, self._is_dead, self.crash_at, self.torn = None, False, -1, False
        assert image is not None
        self._is_being_restored = True
        try:
            self._fill(image)
        finally:
            self._is_being_restored = False

    def _fill(self, image: Image) -> None:
        for entry in os.scandir(self.folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        now = self._timeline.now()
        for name, content in image.items():
            path = self.folder / name
            if content is None:
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(content)
                os.utime(path, ns=(now, now))
        self._entries.clear()
        self._contents.clear()
        for path in (self.folder, *self.folder.rglob("*")):
            if path.is_dir():
                self._note_folder(path)
            else:
                self._contents[path.stat().st_ino] = path.read_bytes()

    def image(self) -> Image:
        """Return what a crash now leaves."""
        if self.is_sure:
            found = sorted(self.folder.rglob("*"))
            return {str(path.relative_to(self.folder)): None if path.is_dir() else path.read_bytes() for path in found}
        image: Image = {}
        self._survive(self.folder, image)
        return image

    def _survive(self, folder: Path, image: Image) -> None:
        """Add what survives of a folder whose own entry has: entries and contents as synced, and some of the rest."""
        there = {entry.name: entry.inode() for entry in os.scandir(folder)}
        entries = dict(self._entries.get(folder.stat().st_ino, {}))
        if self.rng is not None:
            for name in sorted(entries.keys() | there.keys()):
                if entries.get(name) != there.get(name) and self.rng.random() < 0.5:
                    if name in there:
                        entries[name] = there[name]
                    else:
                        del entries[name]
        by_inode = {inode: name for name, inode in there.items()}
        for name, inode in entries.items():
            at = folder / by_inode.get(inode, name)
            relative = str((folder / name).relative_to(self.folder))
            if inode in by_inode and at.is_dir():
                image[relative] = None
                self._survive(at, image)
            else:
                image[relative] = self._content(inode, at if inode in by_inode else None)

    def _content(self, inode: int, at: Path | None) -> bytes:
        synced = self._contents.get(inode, b"")
        if at is None or self.rng is None:
            return synced
        there = at.read_bytes()
        if there == synced or not there.startswith(synced):
            return self.rng.choice([synced, there])
        rest = there[len(synced) :]
        return synced + self.rng.choice([b"", rest, rest[: self.rng.randrange(len(rest))], bytes(len(rest))])

    def _note_folder(self, folder: Path) -> None:
        self._entries[folder.stat().st_ino] = {entry.name: entry.inode() for entry in os.scandir(folder)}


class _Entries(list[T]):
    """What `os.scandir` returns."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()
