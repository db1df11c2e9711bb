"""Rows 16 to 24: logs that are rotated, cut, swapped, removed, and lines that are not whole yet."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Final

from tests.e2e.program import Logpipe
from tests.faults import texts
from tests.faults.logs import Log
from tests.faults.outcome import Impossible
from tests.faults.row import row
from tests.faults.trial import Lab, Trial

LINES: Final = 100


@row(16, "rename rotation, writer keeps the old file for a while")
def renamed(lab: Lab) -> None:
    """Late lines in the old file come, and so do those of the new one."""
    with lab.trial("renamed") as trial:
        log, logpipe = _begin(trial)
        for _ in range(lab.repeat(10, few=3)):
            old = log.path.with_name(f"{log.path.name}.{next(_numbers)}")
            log.path.rename(old)
            trial.fired("renamed")
            for _ in range(5):
                log.write(LINES // 5)
                time.sleep(0.1)  # the writer takes its time
            log.reopen()
            log.write(LINES)
        trial.wait_for_all()
        trial.end(logpipe)


@row(17, "rotations faster than reading")
def rotated_fast(lab: Lab) -> None:
    """Every generation is read, in order."""
    with lab.trial("rotated fast") as trial:
        log, logpipe = _begin(trial)
        for _ in range(lab.repeat(60, few=15)):
            log.write(20 * LINES)
            log.rename()  # what is written late, to a file that was read to its end, may come after the next one
            trial.fired("rotated")
        trial.wait_for_all(seconds=120)
        _in_order(trial)
        trial.end(logpipe)


@row(18, "rotations while it is down, also compressed")
def rotated_while_down(lab: Lab) -> None:
    """Once to many times: all generations are read to their ends, in order."""
    for times in (1, 2, 7):
        with lab.trial(f"rotated {times} times while down") as trial:
            log, logpipe = _begin(trial)
            trial.end(logpipe)
            for _ in range(times):
                log.write(LINES)
                log.rename(late=10)
                trial.fired("rotated")
            log.write(LINES)
            logpipe = trial.start()
            trial.wait_for_all()
            _in_order(trial)
            trial.end(logpipe)
    with lab.trial("rotated and compressed while down") as trial:
        log, logpipe = _begin(trial, more="read_compressed_rotated true")
        trial.end(logpipe)
        log.write(LINES)
        subprocess.run(["gzip", str(log.rename())], check=True)
        trial.fired("compressed")
        log.write(LINES)
        logpipe = trial.start()
        trial.wait_for_all()
        trial.end(logpipe)
    with lab.trial("rotated while killed and behind") as trial:
        trial.may_repeat = True
        log, logpipe = _begin(trial)
        log.write(200 * LINES)
        logpipe.kill()
        for _ in range(3):
            log.rename(late=10)
            log.write(LINES)
            trial.fired("rotated")
        logpipe = trial.start()
        trial.wait_for_all()
        trial.end(logpipe)


@row(19, "copytruncate, with and without a hole")
def copied_and_truncated(lab: Lab) -> None:
    """It goes on at the beginning; the NULs that a writer leaves who does not append are no lines."""
    for append in (True, False):
        with lab.trial("copytruncate" if append else "copytruncate with a hole") as trial:
            log = trial.log(append=append)
            log.write(LINES)
            logpipe = trial.start(_text(trial))
            trial.wait_for_all()
            for _ in range(lab.repeat(8, few=3)):
                log.copy()
                log.truncate()
                trial.fired("truncated")
                log.write(LINES if append else 2 * LINES)
                trial.wait_for_all()
            trial.end(logpipe)


@row(20, "truncated to smaller, to the same size, to larger with other content")
def rewritten(lab: Lab) -> None:
    """Other content is read from its beginning, whatever its size."""
    for name, count in (("smaller", LINES // 4), ("as large", LINES), ("larger", 4 * LINES)):
        with lab.trial(f"rewritten {name}") as trial:
            # Between the write and the cut the file begins with new lines and ends with old ones.
            trial.may_repeat = name == "smaller"
            log = trial.log()
            series = trial.account.open("fixed")
            log.write_bytes("".join(f"{series.next_line(padding=30)}\n" for _ in range(LINES)).encode())
            logpipe = trial.start(_text(trial))
            trial.wait_for_all()
            size = log.path.stat().st_size
            new = "".join(f"{series.next_line(padding=30)}\n" for _ in range(count)).encode()
            # In place, as a writer does who opens the file anew: same inode.
            with log.path.open("r+b") as file:
                file.write(new)
                file.truncate()
            trial.fired(name, when=(len(new) > size) - (len(new) < size) == (count > LINES) - (count < LINES))
            log.reopen()
            trial.wait_for_all()
            log.write(LINES)
            trial.wait_for_all()
            trial.end(logpipe)


@row(21, "kubelet's links: swapped, dangling, in a loop")
def links(lab: Lab) -> None:
    """The file behind a link is followed; one that leads nowhere is waited for."""
    with lab.trial("links") as trial:
        link = trial.folder / "logs/pod.log"
        pods = trial.folder / "pods"
        (trial.folder / "logs/loop.log").symlink_to(trial.folder / "logs/loop.log")
        link.symlink_to(pods / "0.log")  # dangles
        logpipe = trial.start(_text(trial))
        trial.wait((trial.folder / "state/pos").exists, "the start")
        trial.fired("dangling", when=not link.exists())
        log = trial.log("pod", path=pods / "0.log")
        log.write(LINES)
        trial.wait_for_all()
        for number in range(1, lab.repeat(6, few=3)):
            log.write(LINES)
            # The container starts again: another file behind the same name.
            log.path = pods / f"{number}.log"
            log.reopen()
            log.write(LINES)
            _swap(link, log.path)
            trial.fired("swapped")
            log.write(LINES)
            trial.wait_for_all()
        trial.end(logpipe)


@row(22, "inode used again by another file")
def inode_reused(lab: Lab) -> None:
    """Another file with the inode of one that is gone is read from its beginning, also after a restart."""
    for down in (False, True):
        with lab.trial(f"inode reused{' while down' if down else ''}") as trial:
            trial.may_repeat = True
            log, logpipe = _begin(trial)
            if down:
                trial.end(logpipe)
            inode = log.path.stat().st_ino
            log.close()
            log.path.unlink()
            if not down:
                trial.wait(partial(_not_open, logpipe.pid, inode), "the file to be let go")
            _make_with_inode(log, inode)
            trial.fired("reused", when=log.path.stat().st_ino == inode)
            log.write(3 * LINES)
            if down:
                logpipe = trial.start()
            trial.wait_for_all()
            trial.end(logpipe)


@row(23, "deleted while open and still being written")
def deleted(lab: Lab) -> None:
    """It is read to its end while it is open."""
    with lab.trial("deleted") as trial:
        log, logpipe = _begin(trial)
        log.path.unlink()
        trial.fired("deleted")
        for _ in range(5):
            log.write(LINES)
            time.sleep(0.2)  # the writer takes its time
        trial.wait_for_all()
        log.reopen()
        log.write(LINES)
        trial.wait_for_all()
        trial.end(logpipe)


@row(24, "a line that is not whole: at the end, across a restart and a rotation, never completed")
def partial_lines(lab: Lab) -> None:
    """It comes once, when it is whole; what stands in the position file is before it."""
    with lab.trial("partial lines") as trial:
        log, logpipe = _begin(trial)
        for how in ("waiting", "stopped", "killed", "renamed"):
            line = log.lines(1).encode()
            log.write_bytes(line[:7])
            time.sleep(0.5)  # it must have had the time to make the mistake
            trial.arrived()
            assert trial.account.missing == 1, "half a line was delivered"
            if how == "stopped":
                trial.end(logpipe)
            elif how == "killed":
                trial.may_repeat = True
                logpipe.kill()
            elif how == "renamed":
                log.path.rename(log.path.with_name("app.log.1"))
            trial.fired(how)
            log.write_bytes(line[7:])
            if not logpipe.runs:
                logpipe = trial.start()
            trial.wait_for_all()
        log.reopen()
        log.write(LINES)
        log.write_bytes(b"never comp")
        trial.wait_for_all()
        trial.end(logpipe)


_numbers = itertools.count(1)


def _text(trial: Trial, *, more: str = "") -> str:
    return texts.tail(trial.folder, more=f"rotate_wait 2\n  {more}") + texts.to_file(trial.folder)


def _begin(trial: Trial, *, more: str = "") -> tuple[Log, Logpipe]:
    """Start the program on a log whose first lines have arrived and whose position is written down."""
    log = trial.log()
    logpipe = trial.start(_text(trial, more=more))
    log.write(LINES)
    trial.wait_for_all()
    positions = trial.folder / "state/pos"
    trial.wait(lambda: positions.exists() and "app.log" in positions.read_text(), "the first position")
    return log, logpipe


def _in_order(trial: Trial) -> None:
    """Check that lines that came once came in the order they were written in."""
    lines = (trial.folder / "out/out.log").read_text().splitlines()
    assert lines == sorted(lines), "lines came in another order than they were written in"


def _swap(link: Path, target: Path) -> None:
    """Let a link lead to another file, in one step."""
    new = link.with_name(".new")
    new.symlink_to(target)
    new.rename(link)


def _not_open(pid: int, inode: int) -> bool:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if descriptor.stat().st_ino == inode:
                return False
    return True


def _make_with_inode(log: Log, inode: int) -> None:
    """Make the log's file anew with an inode that is free.

    Raises:
        Impossible: this file system does not use it again.
    """
    taken = []
    try:
        for number in range(2000):
            file = log.path.with_name(f"taken.{number}")  # under the log's name each would be a rotation
            file.touch()
            if file.stat().st_ino == inode:
                file.rename(log.path)
                log.reopen()
                return
            taken.append(file)
    finally:
        for path in taken:
            path.unlink()
    raise Impossible("this file system does not use inodes again: run it on ext4")
