"""The frame of the trials itself: what it must not let pass."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.faults import power, strace
from tests.faults.account import Account
from tests.faults.ledger import ledgers
from tests.faults.logs import Log
from tests.faults.matrix import run, show
from tests.faults.outcome import Impossible, NotFired, Outcome
from tests.faults.process import catches, sample, trend
from tests.faults.row import Row, rows
from tests.faults.trial import Lab, Trial


def deliver(trial: Trial, *, lines: int, how: str = "") -> None:
    """Write lines and have them arrive without a program: as they are, or one of them lost, altered or twice."""
    log = trial.log()
    log.write(lines)
    *whole, last = log.path.read_text().splitlines()
    ends = {"": [last], "lost": [], "altered": [last.replace("app", "apq")], "twice": [last, last], "torn": [last[:-4]]}
    out = trial.folder / "out/out.log"
    out.parent.mkdir()
    out.write_text("".join(f"{line}\n" for line in [*whole, *ends[how]]))


def deliver_badly(lab: Lab, how: str) -> None:
    """Have a trial end with a line that is not as it should be."""
    with lab.trial(how) as trial:
        trial.fired("something")
        deliver(trial, lines=20, how=how)


@pytest.mark.parametrize("how", ["lost", "altered", "twice", "torn"])
def test_a_trial_fails_for(how: str) -> None:
    """A line that is missing, changed, cut, or there twice without leave."""
    with pytest.raises(AssertionError, match=r"\d+ (of \d+ )?lines (lost|altered|twice)"):
        deliver_badly(Lab(), how)


def test_a_trial_without_its_fault_fails() -> None:
    """Nothing was shown, although every line came."""
    with pytest.raises(NotFired), Lab().trial("quiet") as trial:
        deliver(trial, lines=20)
    with pytest.raises(NotFired, match="did not happen: the fault"), Lab().trial("quiet") as trial:
        trial.fired("the fault", when=False)


def test_a_trial_adds_up() -> None:
    """Its figures are in the lab's, and its folder is gone."""
    lab = Lab()
    with lab.trial("good") as trial:
        trial.fired("something")
        trial.may_repeat = True
        deliver(trial, lines=20, how="twice")
    assert lab.outcome == Outcome(events_in=20, events_out=20, duplicates=1, fired=1)
    assert not trial.folder.exists()


def test_failed_trials_are_kept(tmp_path: Path) -> None:
    """Where asked for, with all that they left."""
    with pytest.raises(AssertionError):
        deliver_badly(Lab(keep=tmp_path), "lost")
    assert len(list(tmp_path.glob("*/logs/app.log"))) == 1


def test_account_counts_across_rotations(tmp_path: Path) -> None:
    """Numbers go on; the copy of a log that was cut is nobody's."""
    account = Account()
    log = Log(tmp_path / "app.log", account.open("app"), rnd=random.Random(1))
    log.write(10)
    old = log.rename(late=5)
    log.write(5)
    for file in (old, log.path):
        for line in file.read_text().splitlines():
            account.arrived(line)
    assert account.complete
    assert log.series.without_gap == account.written == account.distinct == 20
    account.arrived("app 00000020 00000000")
    assert len(account.altered) == 1
    account.forget_arrivals()
    assert account.missing == 20
    assert account.first_missing() == "app 00000000, app 00000001, app 00000002"
    log.close()


def test_reads_ledgers() -> None:
    """One for each run that ended in order; the lines that explain it are none."""
    said = "[info]: ledger of route @ROOT: in=5\n[info]: ledger: in=5 unexplained=0\n[info]: ledger: unexplained=-2\n"
    assert [ledger.unexplained for ledger in ledgers(said)] == [0, -2]


def _impossible(_lab: Lab) -> None:
    raise Impossible("no such thing here")


def _failing(_lab: Lab) -> None:
    raise ZeroDivisionError("oh")


def test_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """A row that can't be shown is skipped, one that raises has failed, one that waits says for what."""
    assert run(Row(1, "a", _impossible), short=True).verdict == "skipped"
    failed = run(Row(2, "b", _failing), short=True)
    assert (failed.verdict, failed.why) == ("FAILED", ": ZeroDivisionError: oh")
    assert run(Row(3, "c", waits_for="d"), short=True).line().split()[:3] == ["3", "c", "waiting"]
    assert show([9999], short=True, jobs=1) == 2
    assert "no row 9999" in capsys.readouterr().err


def test_every_row_is_there_once() -> None:
    """Of the matrix none is forgotten: it is shown, or it waits for something."""
    every = rows()
    assert [row.number for row in every] == list(range(1, 57))
    assert all(row.show is not None or row.waits_for for row in every)


def test_looks_at_a_process() -> None:
    """This one, which has memory, descriptors and a handler for a signal."""
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        seen = sample(os.getpid(), age=1.0)
        assert seen is not None
        assert seen.megabytes > 5
        assert seen.descriptors > 2
        assert catches(os.getpid(), signal.SIGUSR1)
        assert not catches(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert sample(2**22 + 1, age=0) is None


def test_tells_growth_from_noise() -> None:
    """By the medians of thirds, and by the slope."""
    flat = trend([(second, 50 + second % 3) for second in range(60)])
    rising = trend([(second, 50 + second) for second in range(60)])
    assert abs(flat.growth) < 2
    assert rising.growth == 40
    assert round(rising.per_hour) == 3600


def test_counts_calls_by_thread(tmp_path: Path) -> None:
    """Strace counts for each thread, so the thread with most of a call says how many points there are."""
    log = tmp_path / "strace"
    log.write_text('1 write(1, "a") = 1\n2 write(1, "b") = 1\n2 write(1, "c" <unfinished ...>\n1 fsync(3) = 0\n')
    assert strace.most_calls(log) == {"write": 2, "fsync": 1}


def hexed(text: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


def test_power_cut_keeps_what_was_synced() -> None:
    """Bytes by their own sync, names by their folder's."""
    machine = power.Machine("/d")
    calls = [
        ("openat", f"AT_FDCWD, {hexed('/d/a')}, O_WRONLY|O_CREAT|O_APPEND, 0600", 3),
        ("write", f"3, {hexed('one ')}, 4", 4),
        ("fdatasync", "3", 0),
        ("openat", f"AT_FDCWD, {hexed('/d')}, O_RDONLY|O_DIRECTORY", 4),
        ("fsync", "4", 0),
        ("write", f"3, {hexed('two ')}, 4", 4),
        ("rename", f"{hexed('/d/a')}, {hexed('/d/b')}", 0),
    ]
    for call in calls:
        machine.do(*call)
    assert dict(machine.after_cut("lost")) == {"/d/a": b"one "}
    assert dict(machine.after_cut("torn")) == {"/d/b": b"one tw"}
    assert dict(machine.after_cut("zeros")) == {"/d/b": b"one \0\0\0\0"}


def test_the_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows rows by their numbers; what waits is no failure."""
    from tests.faults import matrix  # noqa: PLC0415 - beside the program
    from tests.faults.__main__ import main  # noqa: PLC0415 - a program

    waiting = [Row(number, "a fault", waits_for="what comes later") for number in (101, 102)]
    monkeypatch.setattr(matrix, "rows", lambda: [*rows(), *waiting])
    monkeypatch.setattr(sys, "argv", ["faults", "matrix", "101", "102"])
    assert main() == 0
    assert "2 rows: 0 survived, 0 FAILED, 0 skipped, 2 waiting" in capsys.readouterr().out
