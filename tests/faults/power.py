"""Power cuts: the calls of a run are written down and replayed up to a moment, without what was not synced by then.

What a disk may hold after a cut is not known for what was not synced. Three of the possible states are built for each
moment: nothing of it is there, all of it is there but the last write is torn, and the names are there but the bytes are
not (a file of zeros).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults import strace, texts
from tests.faults.trial import Lab, Trial

CALLS: Final = (
    "openat",
    "close",
    "write",
    "writev",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "ftruncate",
    "mkdir",
)
STATES: Final = ("lost", "torn", "zeros")
_LINE: Final = re.compile(r"^(\d+) (\w+)\((.*)\) += (-?\d+)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class Inode:
    """A file as the kernel sees it, and as the disk does."""

    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    last_write: int = 0
    """How many bytes at its end the last write has added."""


@dataclass
class Machine:
    """The files below one folder."""

    folder: str
    names: dict[str, Inode] = field(default_factory=dict)
    synced_names: dict[str, Inode] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    open: dict[int, tuple[str, Inode | None, int]] = field(default_factory=dict)
    """Path, file (None for a folder) and offset of each descriptor; every thread has the same ones."""

    def do(self, call: str, text: str, result: int) -> bool:
        """Do what a call did; returns whether it changed anything on the disk."""
        if result < 0:
            return False
        strings = [bytes.fromhex(found.replace("\\x", "")) for found in _STRING.findall(text)]
        if call in {"openat", "mkdir", "rename", "unlink"}:
            return self._names(call, [string.decode() for string in strings], text, result)
        descriptor = int(text.split(",", maxsplit=1)[0])
        path, inode, offset = self.open.get(descriptor, ("", None, 0))
        if call == "close":
            self.open.pop(descriptor, None)
            return False
        if call in {"fsync", "fdatasync"}:
            return self._sync(path, inode)
        if inode is None:
            return False
        if call == "ftruncate":
            del inode.data[int(text.split(",")[1]) :]
            return True
        data = b"".join(strings)[:result]
        at = int(text.rpartition(",")[2]) if call == "pwrite64" else offset
        inode.data[at : at + len(data)] = data
        inode.last_write = len(data)
        if call != "pwrite64":
            self.open[descriptor] = path, inode, at + len(data)
        return True

    def _names(self, call: str, paths: Sequence[str], text: str, result: int) -> bool:
        if call == "openat":
            self.open.pop(result, None)
        if not paths[0].startswith(self.folder):
            return False
        path = paths[0]
        if call == "mkdir":
            self.folders.add(path)  # taken for durable: a folder without its files loses the same as none
        elif call == "unlink":
            self.names.pop(path, None)
        elif call == "rename":
            self.names[paths[1]] = self.names.pop(path)
        elif "O_DIRECTORY" in text:
            self.open[result] = path, None, 0
            return False
        else:
            inode = self.names.get(path)
            created = inode is None and "O_CREAT" in text
            if inode is None and not created:
                return False  # the trial's own files, which are only read
            inode = self.names.setdefault(path, Inode())
            if "O_TRUNC" in text:
                inode.data.clear()
            self.open[result] = path, inode, len(inode.data) if "O_APPEND" in text else 0
            return created
        return True

    def _sync(self, path: str, inode: Inode | None) -> bool:
        if inode is not None:
            inode.synced, inode.last_write = bytes(inode.data), 0
            # ext4 makes the name of a new file durable with its data: that is not counted on here.
        else:
            for name in {*self.names, *self.synced_names}:
                if str(Path(name).parent) == path:
                    if name in self.names:
                        self.synced_names[name] = self.names[name]
                    else:
                        self.synced_names.pop(name, None)
        return True

    def after_cut(self, state: str) -> Iterator[tuple[str, bytes]]:
        """Yield the path and the content of each file that is there after the power went."""
        for name, inode in (self.synced_names if state == "lost" else self.names).items():
            if state == "lost":
                yield name, inode.synced
            elif state == "torn":
                yield name, bytes(inode.data[: len(inode.data) - inode.last_write // 2])
            else:
                yield name, inode.synced + bytes(max(0, len(inode.data) - len(inode.synced)))


def cut_power_everywhere(lab: Lab, *, most: int) -> None:
    """Play a scenario once, then go on from what the disk may hold after a cut at many moments of it."""
    calls, logs = _record(lab)
    changing = list(_changes(calls, logs.folder))
    every = [(number, state) for number in changing for state in STATES]
    for number, state in sorted(random.Random(3).sample(every, min(most, len(every)))):
        with lab.trial(f"power cut after call {number} of {len(calls)}, state {state}") as trial:
            trial.may_repeat = trial.may_tear = True
            machine = Machine(logs.folder)
            for call in calls[: number + 1]:
                machine.do(*call)
            logs.restore(trial)
            for path, content in machine.after_cut(state):
                file = Path(path.replace(logs.folder, str(trial.folder), 1))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(logs.moved(content, trial) if file.parent.name == "state" else content)
            trial.fired(f"cut after call {number}")
            logpipe = trial.start(_text(trial))
            trial.wait_for_all()
            trial.end(logpipe)


@dataclass
class Logs:
    """The log that the scenario read, as it was at its end, and the inode that positions name it by."""

    folder: str
    inode: int
    content: bytes
    written: int

    def moved(self, positions: bytes, trial: Trial) -> bytes:
        """Return positions that are as true of a trial's log as they were of this one."""
        inode = (trial.folder / "logs/app.log").stat().st_ino
        moved = positions.replace(self.folder.encode(), str(trial.folder).encode())
        return moved.replace(b"%016x" % self.inode, b"%016x" % inode)

    def restore(self, trial: Trial) -> None:
        """Put the log into a trial's folder, with the account of its lines."""
        series = trial.account.open("app")
        for _ in range(self.written):
            series.next_line()
        (trial.folder / "logs/app.log").write_bytes(self.content)


def _record(lab: Lab) -> tuple[list[tuple[str, str, int]], Logs]:
    """Play the scenario under strace; returns its calls in order."""
    with lab.trial("writing down calls") as trial:
        file = trial.folder / "strace"
        tracing = [*strace.counting(*CALLS, log=file), "-xx", "-s", "10000000"]
        log = trial.log()
        logpipe = trial.start(_text(trial), through=tracing, arguments=("-q", "-r", "tests.faults.one_thread"))
        for _ in range(4):
            log.write(40)
            trial.wait_for_all()
        trial.fired("written down")
        trial.end(logpipe)
        logs = Logs(str(trial.folder), log.path.stat().st_ino, log.path.read_bytes(), log.series.written)
        calls = [
            (found[2], found[3], int(found[4]))
            for line in _whole_lines(file.read_text(errors="replace"))
            if (found := _LINE.match(line))
        ]
    return calls, logs


def _whole_lines(text: str) -> Iterator[str]:
    """Yield strace's lines, with those put together that a switch between threads has parted."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        if rest.endswith(" <unfinished ...>"):
            begun[thread] = rest.removesuffix(" <unfinished ...>")
        elif (found := re.match(r" *<\.\.\. \w+ resumed>(.*)", rest)) is not None:
            yield f"{thread} {begun.pop(thread, '').lstrip()}{found[1]}"
        else:
            yield f"{thread} {rest.lstrip()}"


def _changes(calls: Sequence[tuple[str, str, int]], folder: str) -> Iterator[int]:
    machine = Machine(folder)
    for number, call in enumerate(calls):
        if machine.do(*call):
            yield number


def _text(trial: Trial) -> str:
    return texts.tail(trial.folder) + texts.to_file(trial.folder)
