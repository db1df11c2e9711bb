"""Rows 29 to 31: which files there are."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Final

from tests.faults import texts
from tests.faults.row import row
from tests.faults.trial import Lab, Trial

LINES: Final = 100


@row(29, "10,000 files, hundreds made and deleted a second")
def many_files(lab: Lab) -> None:
    """All are read, those that come too, with memory and descriptors bounded."""
    with lab.trial("many files") as trial:
        count = lab.repeat(10_000, few=600)
        trial.most_megabytes = 250
        trial.most_descriptors = 5000
        for number in range(count):
            series = trial.account.open(f"f{number}")
            (trial.folder / f"logs/f{number}.log").write_text(f"{series.next_line()}\n{series.next_line()}\n")
        logpipe = trial.start(_text(trial))
        trial.wait_for_all(seconds=120)
        deadline = time.monotonic() + lab.repeat(10, few=1)
        made = 0
        while time.monotonic() < deadline or made <= 100:
            made += 1
            series = trial.account.open(f"new{made}")
            file = trial.folder / f"logs/new{made}.log"
            file.write_text("".join(f"{series.next_line()}\n" for _ in range(5)))
            if (old := made - 200) > 0 and trial.account.open(f"new{old}").complete:
                (trial.folder / f"logs/new{old}.log").unlink()
            if made % 20 == 0:
                trial.arrived()
                time.sleep(0.02)
        trial.fired("many files")
        trial.wait_for_all(seconds=120)
        trial.end(logpipe)


@row(30, "empty and sparse files, pipes, sockets, folders, files of the future")
def odd_files(lab: Lab) -> None:
    """It is neither stuck nor does it spin."""
    with lab.trial("odd files") as trial:
        logs = trial.folder / "logs"
        (logs / "empty.log").touch()
        (logs / "folder.log").mkdir()
        os.mkfifo(logs / "pipe.log")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(logs / "socket.log"))
            with (logs / "sparse.log").open("wb") as sparse:
                sparse.truncate(64 << 20)
            log = trial.log()
            log.write(LINES)
            tomorrow = time.time() + 86_400
            os.utime(log.path, (tomorrow, tomorrow))
            logpipe = trial.start(_text(trial))
            trial.wait_for_all()
            trial.fired("odd files")
            before = _cpu_seconds(logpipe.pid)
            time.sleep(3)  # the time in which it must do next to nothing
            used = _cpu_seconds(logpipe.pid) - before
            assert used < 1.5, f"{used:.1f} CPU seconds in 3 s with nothing to do"
            log.write(LINES)
            trial.wait_for_all()
            trial.end(logpipe)


@row(31, "its own log among the files it follows")
def own_log(lab: Lab) -> None:
    """It does not feed on itself."""
    for how in ("-o", "standard output"):
        with lab.trial(f"own log: {how}") as trial:
            own = trial.folder / "logs/own.log"
            arguments = ("-o", str(own)) if how == "-o" else ()
            if not arguments:
                own.symlink_to(trial.folder / "said")
            log = trial.log()
            log.write(LINES)
            keep = "<filter t>\n@type grep\n<regexp>\nkey message\npattern /^app /\n</regexp>\n</filter>\n"
            logpipe = trial.start(
                texts.tail(trial.folder) + keep + texts.to_file(trial.folder), arguments=(*arguments, "-v")
            )
            trial.wait_for_all()
            trial.wait(own.exists, "its log")
            trial.fired("own log among the files")
            size = own.stat().st_size
            time.sleep(3)  # the time in which it could feed on itself
            grown = own.stat().st_size - size
            assert grown < 64 << 10, f"its own log grew by {grown} bytes in 3 s"
            log.write(LINES)
            trial.wait_for_all()
            assert logpipe.stop() == 0


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _text(trial: Trial) -> str:
    return texts.tail(trial.folder) + texts.to_file(trial.folder)
