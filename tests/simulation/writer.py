"""Who writes the logs, and what is to be expected of each line.

What may be expected is said when something happens, by what the operator of the machine knows then: `must` arrive,
`may` arrive (the documentation says when a line can be lost), or `never`: nobody asked for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.simulation.timeline import Timeline

Wanted = Literal["must", "may", "never"]

ROTATE_WAIT: Final = 2.0
"""Seconds after which a rotated file may be let go."""

PADDING: Final = "." * 64
"""Behind the text of every line: by so much tail knows a copy from another file."""


@dataclass(eq=False)
class Line:
    """One line that was written."""

    number: int
    at: float
    text: str
    file: File
    end: int
    """The offset behind it."""
    wanted: Wanted
    while_up: bool = False
    """Whether it is expected only from the program that runs now: nothing but its open file has it."""
    sealed: bool = False
    """Whether it was delivered for good: no crash from now on may repeat it."""
    was_cut: bool = False
    """Whether its file was cut since: what is written down of that says nothing of it."""
    part: int = 0
    """Of its file: lines of two parts may come in any order."""


@dataclass(eq=False)
class File:
    """One file, whatever it is called."""

    inode: int
    name: str
    """Its name now; empty where it has none."""
    names: set[str]
    origins: set[str]
    """Names whose lines it holds: its own, and those of the file that it is a copy of."""
    lines: list[Line] = field(default_factory=list)
    known: bool = False
    """Whether the program is bound to have noticed it under a name that it follows."""
    settled: bool = False
    """Whether there was time to write that down."""
    never: bool = False
    """Whether nobody asked for it."""
    left_at: float | None = None
    """When it lost such a name, or was written to after that."""
    over: bool = False
    """Whether it may have been let go after that."""
    cut: bool = False
    """Whether it was ever cut."""
    cut_unseen: bool = False
    """Whether the program had no time to see the last cut."""
    part: int = 0
    """Grows when it is renamed after such a cut: nothing tells then whether it is older than its copy."""
    half: str = ""
    """An unended line at its end."""
    size: int = 0


class Writer:
    """The files of one folder.

    Args:
        folder: it exists, and is empty.
        follows: says whether the configuration means a name.
        excludes: says whether it leaves it out.
        timeline: what the files' times are by.
    """

    def __init__(
        self, folder: Path, follows: Callable[[str], bool], excludes: Callable[[str], bool], timeline: Timeline
    ) -> None:
        self.folder = folder
        self.at = folder
        """Where the folder is."""
        self.files: list[File] = []
        self.by_name: dict[str, File] = {}
        self.lines: dict[str, Line] = {}
        self.fragments: set[str] = set()
        """What may arrive as a line though it was never ended."""
        self.births: dict[int, int] = {}
        self.changes: dict[int, int] = {}
        """Births and last changes by inode, nanoseconds: the kernel's own are those of the real clock."""
        self.is_up = False
        """Whether the program runs, and had the time to look at everything since it started."""
        self.runs = False
        """Whether it runs."""
        self.has_started = False
        """Whether it ever did."""
        self.ever_settled = False
        self.from_end = False
        """Whether what is there before the first start is not wanted."""
        self._follows = follows
        self._excludes = excludes
        self._timeline = timeline

    # ---- what happens to files

    def append(self, name: str = "app.log", count: int = 1, suffix: str = "", form: Callable[[str], str] = str) -> None:
        """Add whole lines, and end one that was begun; `form` makes the line of its text."""
        file = self._file(name)
        for _ in range(count):
            text = f"{file.half or name} {len(self.lines):03}{suffix} {PADDING}"
            rest = text.removeprefix(file.half)
            self._write(file, f"{form(rest)}\n")
            if file.half in self.fragments:
                self.fragments.add(rest)
            file.half = ""
            number, now = len(self.lines), self._timeline.elapsed
            line = Line(number, now, text, file, file.size, self._wanted(file), part=file.part)
            file.lines.append(line)
            self.lines[text] = line

    def say(self, count: int) -> list[str]:
        """Return new lines that are in no file, and must arrive."""
        said = File(0, "", set(), set())
        texts = [f"sent {len(self.lines) + number:03} {PADDING}" for number in range(count)]
        for text in texts:
            self.lines[text] = Line(len(self.lines), self._timeline.elapsed, text, said, 0, "must")
        return texts

    def half(self, name: str = "app.log") -> None:
        """Begin a line."""
        file = self._file(name)
        more = f"{len(self.lines):03} half" if not file.half else " and"
        file.half += more
        self._write(file, more)

    def rotate(self, name: str = "app.log", *, create: bool = True) -> None:
        """Rename a file to its first rotated name, after those that have one; make a new one."""
        if name not in self.by_name:
            return
        number = 1
        while f"{name}.{number}" in self.by_name:
            number += 1
        for each in range(number, 1, -1):
            self.rename(f"{name}.{each - 1}", f"{name}.{each}")
        self.rename(name, f"{name}.1")
        if create:
            self.create(name)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        file = self.by_name.pop(old)
        if (lost := self.by_name.pop(new, None)) is not None:
            self._lose(lost)
        (self.at / old).rename(self.at / new)
        self.by_name[new] = file
        file.name = new
        file.names.add(new)
        file.origins.add(new)
        if file.cut_unseen:
            file.part += 1
            for line in file.lines:
                line.part = file.part
        if self._follows(old) and not self._follows(new):
            file.left_at = self._timeline.elapsed
            if file.half:
                self.fragments.add(file.half)
            if not file.known or (self.at != self.folder and not file.settled):  # nobody saw it go
                file.known = False
                self._doubt(file)
        elif self._follows(new):
            file.never = False
        self._touch(file, written=False)

    def create(self, name: str = "app.log") -> None:
        """Make a file where there is none."""
        if name not in self.by_name:
            self._file(name)

    def delete(self, name: str = "app.log") -> None:
        """Remove a file."""
        if (file := self.by_name.pop(name, None)) is not None:
            (self.at / name).unlink()
            self._touch_folder()
            self._lose(file)

    def copytruncate(self, name: str = "app.log") -> None:
        """Copy a file to its first rotated name and cut it, as logrotate does."""
        file = self.by_name.get(name)
        if file is None:
            return
        number = 1
        while f"{name}.{number}" in self.by_name:
            number += 1
        for each in range(number, 1, -1):
            self.rename(f"{name}.{each - 1}", f"{name}.{each}")
        shutil.copyfile(self.at / name, self.at / f"{name}.1")
        copy = self._adopt(f"{name}.1")
        copy.never = False
        copy.origins |= file.origins
        copy.half = file.half
        os.truncate(self.at / name, 0)
        self._touch(file)
        if file.half:
            self.fragments.add(file.half)
        self._forget_rest(file)
        for line in file.lines:
            line.was_cut = True
        file.lines, file.size, file.half, file.cut = [], 0, "", True
        file.cut_unseen = not self.is_up
        file.known = file.settled = False  # until the program has seen the new content

    def leave(self) -> None:
        """Take the folder away: its disk is not mounted."""
        if self.at == self.folder:
            self.at = self.folder.rename(self.folder.with_name(f"{self.folder.name}.away"))

    def come_back(self) -> None:
        """Bring it back."""
        if self.at != self.folder:
            self.at = self.at.rename(self.folder)

    def set_clock(self) -> None:
        """Note that the wall clock was set: names with a date in them may not be followed any more."""
        for file in self.files:
            if not file.settled and not (file.name and self._follows(file.name)):
                file.known = False
                self._doubt(file)

    # ---- what happens to the program

    def started(self) -> None:
        """Note that the program starts."""
        if not self.has_started and self.from_end:
            for file in self.files:
                for line in file.lines:
                    line.wanted = "never"
        self.has_started = self.runs = True

    def settled(self) -> None:
        """Note that it ran, undisturbed, for long enough to see everything and to write that down."""
        self.is_up = self.ever_settled = True
        now = self._timeline.elapsed
        for file in self.files:
            file.cut_unseen = False
            if file.name and self._follows(file.name) and self.at == self.folder:
                file.known = file.settled = True
                file.never = False
                file.left_at, file.over = None, False
            elif file.known:
                file.settled = True
                file.left_at = now if file.left_at is None else file.left_at
            else:
                self._doubt(file)
            if file.left_at is not None and now - file.left_at >= ROTATE_WAIT:
                file.over = True

    def went_down(self, *, crashed: bool) -> None:
        """Note that it ended."""
        self.is_up = self.runs = False
        for file in self.files:
            if crashed and not file.settled:
                file.known = False
                if not (file.name and self._follows(file.name)):
                    self._doubt(file)
        for line in self.lines.values():
            if line.while_up:
                line.wanted, line.while_up = "may", False

    # ---- inside

    def _wanted(self, file: File) -> Wanted:
        if file.never:
            return "never"
        if file.name and self._follows(file.name):
            return "must"
        if self.runs and file.left_at is not None and self._timeline.elapsed - file.left_at >= ROTATE_WAIT:
            file.over = True
        if file.over or not file.known:
            return "may"
        file.left_at = self._timeline.elapsed
        return "must"

    def _doubt(self, file: File) -> None:
        for line in file.lines:
            if line.wanted == "must":
                line.wanted = "may"

    def _lose(self, file: File) -> None:
        """Note that a file has no name any more: it is read to its end if it is open."""
        file.name = ""
        if file.half:
            self.fragments.add(file.half)
        self._forget_rest(file)

    def _forget_rest(self, file: File) -> None:
        for line in file.lines:
            if line.wanted == "must":
                if self.is_up and file.settled:
                    line.while_up = True
                elif not line.sealed:
                    line.wanted = "may"

    def _file(self, name: str) -> File:
        file = self.by_name.get(name)
        if file is None:
            descriptor = os.open(self.at / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.close(descriptor)
            file = self._adopt(name)
        return file

    def _adopt(self, name: str) -> File:
        inode = (self.at / name).stat().st_ino
        file = File(inode, name, {name}, {name}, never=not self._follows(name))
        file.known = self.is_up and self._follows(name)
        if file.never and self.has_started and not self._excludes(name):
            file.never = False  # it may be a copy of what is followed, or have been that for a moment
            file.origins |= {each for other in self.files for each in other.names}
        self.births[inode] = self._timeline.now()
        self.files.append(file)
        self.by_name[name] = file
        file.size = (self.at / name).stat().st_size
        self._touch(file)
        return file

    def _write(self, file: File, text: str) -> None:
        data = text.encode()
        with (self.at / file.name).open("ab", buffering=0) as opened:
            opened.write(data)
        file.size += len(data)
        self._touch(file)

    def _touch(self, file: File, *, written: bool = True) -> None:
        now = self._timeline.now()
        self.changes[file.inode] = now
        if file.name and written:
            os.utime(self.at / file.name, ns=(now, now))
        self._touch_folder()

    def _touch_folder(self) -> None:
        now = self._timeline.now()
        os.utime(self.at, ns=(now, now))

    def expected(self) -> Iterator[Line]:
        """Yield the lines that must arrive."""
        return (line for line in self.lines.values() if line.wanted == "must")
