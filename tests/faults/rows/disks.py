"""Rows 4 to 6, 10 and 15: disks that are full, that fail, that may not be written to."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.faults import strace, texts
from tests.faults.logs import Log
from tests.faults.mounts import Mounts, bind, fill, tmpfs
from tests.faults.row import row
from tests.faults.trial import Lab, Trial, needs, needs_root

LINES: Final = 400


@row(4, "disk full in the buffer's folder")
def buffer_disk_full(lab: Lab) -> None:
    """It waits, does not end, takes up again when there is room, and repeats nothing."""
    with lab.trial("buffer's disk full") as trial:
        disk = _folder(trial, "buffer")
        with Mounts(tmpfs(disk, size="2m")) as mounts:
            log = trial.log()
            logpipe = trial.start(_text(trial, more="chunk_limit_size 64k"), through=mounts.through)
            log.write(LINES)
            trial.wait_for_all()
            filler = fill(mounts.inside(disk))
            log.write(LINES)
            trial.wait_for("takes no more events")
            trial.fired("disk full")
            _write_and_see_nothing(trial, log)
            filler.unlink()
            trial.wait_for_all()
            log.write(LINES)
            trial.wait_for_all()
            trial.end(logpipe)


@row(5, "disk full in the positions' folder")
def position_disk_full(lab: Lab) -> None:
    """It delivers on; after a kill meanwhile, what was delivered since comes twice."""
    with lab.trial("positions' disk full") as trial:
        trial.may_repeat = True
        disk = _folder(trial, "state")
        with Mounts(tmpfs(disk, size="64k")) as mounts:
            log = trial.log()
            logpipe = trial.start(_text(trial), through=mounts.through)
            log.write(LINES)
            trial.wait_for_all()
            filler = fill(mounts.inside(disk))
            log.write(LINES)
            trial.wait_for_all()
            trial.wait_for("pos_file")
            trial.fired("disk full", when=str(errno.ENOSPC) in trial.said or "space" in trial.said)
            log.write(LINES)
            trial.wait_for_all()
            logpipe.kill()
            logpipe.start()
            log.write(LINES)
            trial.wait_for_all()
            filler.unlink()
            trial.wait_for("can be written again")
            log.write(LINES)
            trial.wait_for_all()
            trial.end(logpipe)


@row(6, "EIO on fsync, write and read")
def input_output_error(lab: Lab) -> None:
    """What a failed sync has dropped is read again from its source; no sync is tried again and then trusted."""
    for call, times in (("fdatasync", "2..3"), ("writev", "2..3"), ("fsync", "4..6")):
        _failing_calls(lab, call, "EIO", times)
    _failing_calls(lab, "writev", "EIO", "2..4", paths=("out/out.log", "state/pos.tmp"))
    with lab.trial("EIO on reading a log") as trial:
        trial.may_repeat = True
        calls = trial.folder / "strace"
        log = trial.log()
        log.write(40)
        through = strace.strace(
            "pread64:error=EIO:when=2..4",
            "read:error=EIO:when=2..4",
            "preadv2:error=EIO:when=2..4",
            "preadv:error=EIO:when=2..4",
            log=calls,
            paths=[log.path],
        )
        logpipe = trial.start(_text(trial), through=through)
        for _ in range(10):
            log.write(40)
            trial.wait_for_all()
        trial.fired("read", when=strace.injected(calls))
        trial.end(logpipe)


@row(10, "permission denied, later restored")
def denied(lab: Lab) -> None:
    """For the log, the buffer and the positions: it goes on by itself when it may."""
    needs("setpriv")
    needs_root("to become a user whom modes hold up")
    through = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    for what in ("logs/app.log", "buffer", "state", "out"):
        with lab.trial(f"{what} denied") as trial:
            trial.may_repeat = True
            log = trial.log()
            logpipe = trial.start(_text(trial), through=through)
            log.write(LINES)
            trial.wait_for_all()
            target = trial.folder / what
            mode = target.stat().st_mode
            logpipe.kill()
            target.chmod(0)
            log.write(LINES)
            logpipe = trial.start(through=through)
            _still_starting(trial, target, mode, through)
            trial.fired(f"{what} denied", when="ermission denied" in trial.said)
            target.chmod(mode)
            trial.wait_for_all()
            trial.end(trial.last)


@row(15, "read-only remount, ESTALE")
def read_only(lab: Lab) -> None:
    """Both pass, and it goes on by itself."""
    _failing_calls(lab, "openat", "EROFS", "3..6", paths=("out/out.log", "state/pos.tmp"))
    _failing_calls(lab, "writev", "EROFS", "2..4")
    with lab.trial("read-only remount") as trial:
        trial.may_repeat = True
        out = _folder(trial, "out")
        with Mounts(bind(out, out)) as mounts:
            log = trial.log()
            logpipe = trial.start(_text(trial), through=mounts.through)
            log.write(LINES)
            trial.wait_for_all()
            # Refused while a file there is open to be written.
            trial.wait(lambda: mounts.tries("mount", "-o", "remount,bind,ro", str(out)), "the remount")
            log.write(LINES)
            trial.wait_for("Read-only file system")
            trial.fired("read-only")
            mounts.run("mount", "-o", "remount,bind,rw", str(out))
            trial.wait_for_all()
            trial.end(logpipe)
    with lab.trial("ESTALE") as trial:
        trial.may_repeat = True
        calls = trial.folder / "strace"
        log = trial.log()
        log.write(LINES)
        injections = [f"{call}:error=ESTALE:when=2..4" for call in ("read", "pread64", "preadv", "preadv2", "fstat")]
        logpipe = trial.start(_text(trial), through=strace.strace(*injections, log=calls, paths=[log.path]))
        for _ in range(10):
            log.write(40)
            trial.wait_for_all()
        trial.fired("ESTALE", when=strace.injected(calls))
        trial.end(logpipe)


def _failing_calls(lab: Lab, call: str, error: str, times: str, *, paths: Sequence[str] = ()) -> None:
    """Let some system calls fail while lines are written, then kill the program and start it without a fault."""
    with lab.trial(f"{error} on {call}") as trial:
        trial.may_repeat = True
        calls = trial.folder / "strace"
        files = [trial.folder / path for path in paths]
        through = strace.strace(f"{call}:error={error}:when={times}", log=calls, paths=files)
        log = trial.log()
        logpipe = trial.start(_text(trial), through=through, arguments=("-r", "tests.faults.one_thread"))
        for _ in range(12):
            log.write(40)
            trial.wait_for_all()
        trial.fired(call, when=strace.injected(calls))
        logpipe.kill()
        logpipe = trial.start()
        log.write(40)
        trial.wait_for_all()
        trial.end(logpipe)


def _text(trial: Trial, *, more: str = "") -> str:
    return texts.tail(trial.folder) + texts.to_file(trial.folder, more=more)


def _folder(trial: Trial, name: str) -> Path:
    folder = trial.folder / name
    folder.mkdir(exist_ok=True)
    return folder


def _write_and_see_nothing(trial: Trial, log: Log) -> None:
    """Write while the program can't take it: it must not end."""
    log.write(LINES)
    trial.last.still_runs()


def _still_starting(trial: Trial, target: Path, mode: int, through: list[str]) -> None:
    """Wait until the program complains; one that refuses to start says so, and is started again when it may."""
    trial.wait(lambda: "ermission denied" in trial.said or not trial.last.runs, "the complaint")
    if "[fatal]" in trial.said:
        trial.wait(lambda: not trial.last.runs, "the end")
    if not trial.last.runs:
        target.chmod(mode)
        trial.start(through=through)
