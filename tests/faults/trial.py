"""The frame of every trial: run the program on a configuration, make the fault happen, audit what arrived."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.e2e.program import Logpipe
from tests.faults.account import Account
from tests.faults.ledger import ledgers
from tests.faults.logs import Entry, Log, plain
from tests.faults.outcome import Impossible, NotFired, Outcome
from tests.faults.process import bytes_read, catches, sample
from tests.faults.sinks import FileSink
from tests.services.waiting import wait_until

PATIENCE: Final = 60.0
MOST_MEGABYTES: Final = 150
MOST_DESCRIPTORS: Final = 100
_SAID: Final = 2500


class Trial:
    """One pipeline under one fault, in a folder of its own: its logs, and what arrived of them.

    A trial says what its fault permits: `may_repeat`, that lines come twice; `may_tear`, that a piece of a line stands
    by itself, beside the whole line; and `set_aside`, how many did not come and are accounted for elsewhere.
    """

    def __init__(self, folder: Path, *, short: bool) -> None:
        self.folder = folder
        self.short = short
        self.account = Account()
        self.read: Callable[[], object] = FileSink(folder / "out/out.log", self.account).read
        """Enters what has arrived since it was called last."""
        self.may_repeat = False
        self.may_tear = False
        self.set_aside = 0
        self.evidence: list[str] = []
        self.most_megabytes = MOST_MEGABYTES
        self.most_descriptors = MOST_DESCRIPTORS
        self._logs: list[Log] = []
        self._running = contextlib.ExitStack()
        self._programs: list[Logpipe] = []
        for name in ("logs", "state"):
            (folder / name).mkdir()

    @property
    def said(self) -> str:
        """What all runs of the program have said."""
        file = self.folder / "said"
        return file.read_text(errors="replace") if file.exists() else ""

    def log(self, name: str = "app", *, path: Path | None = None, append: bool = True, entry: Entry = plain) -> Log:
        """Begin a log; in the folder that is followed, unless another place is given."""
        made = Log(path or self.folder / f"logs/{name}.log", self.account.open(name), append=append, entry=entry)
        self._logs.append(made)
        return made

    def start(
        self,
        text: str = "",
        *,
        through: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> Logpipe:
        """Start the program; without a text on the configuration that is there already."""
        config = self.folder / "conf"
        if text:
            config.write_text(text)
        # Bytecode is written, whatever the tests are started with: programs are started often.
        every = {"PYTHONDONTWRITEBYTECODE": "", **(environment or {})}
        logpipe = Logpipe(config, self.folder / "said", through=through, environment=every, arguments=arguments)
        self._programs.append(logpipe)
        self._running.enter_context(logpipe.start())
        return logpipe

    @property
    def last(self) -> Logpipe:
        """The program that was started last."""
        return self._programs[-1]

    def fired(self, what: str, *, when: object = True) -> None:
        """Note that the fault has really happened.

        Raises:
            NotFired: it has not.
        """
        if not when:
            raise NotFired(f"did not happen: {what}")
        self.evidence.append(what)

    def wait(self, condition: Callable[[], object], what: str, *, seconds: float = PATIENCE) -> None:
        """Wait until something is so."""
        wait_until(condition, seconds=seconds, what=lambda: f"{what}; logpipe said:\n{self.said[-_SAID:]}")

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until the program has said something."""

        def is_said() -> bool:
            said = self.said.count(text) >= times
            if not said:
                self.last.still_runs()
            return said

        self.wait(is_said, f"{text!r} in the log")

    def wait_for_some(self, count: int = 1) -> None:
        """Wait until more lines have arrived than until now."""
        self.read()
        goal = self.account.distinct + count
        self.wait(lambda: self.arrived() >= goal, f"{goal} lines to have arrived")

    def wait_for_all(self, *, except_for: int = 0, seconds: float = PATIENCE) -> None:
        """Wait until every line has arrived, but for so many, while the program that was started last runs."""

        def all_there() -> bool:
            self.last.still_runs()
            self.arrived()
            return self.account.missing <= except_for

        def what() -> str:
            first = self.account.first_missing()
            return f"{self.account.missing} of {self.account.written} lines, the first {first}"

        wait_until(all_there, seconds=seconds, what=lambda: f"{what()}; logpipe said:\n{self.said[-_SAID:]}")

    def wait_until_read(self, *, quiet: int = 4096) -> None:
        """Wait until the program has read what is there: when it reads less than so many bytes in half a second."""
        seen = [bytes_read(self.last.pid)]

        def is_quiet() -> bool:
            time.sleep(0.5)
            seen.append(bytes_read(self.last.pid))
            return seen[-1] - seen[-2] < quiet

        self.wait(is_quiet, "the program to read no more")

    def end(self, logpipe: Logpipe) -> None:
        """Ask the program to end, after a look at what it holds: it must do so in order, with its books balanced."""
        # Before, it would end as any program does that is starting.
        self.wait(lambda: catches(logpipe.pid, signal.SIGTERM) or not logpipe.runs, "the program to take signals")
        seen = sample(logpipe.pid, age=0)
        if seen is not None:
            assert seen.megabytes < self.most_megabytes, f"{seen.megabytes:.0f} MB of memory"
            assert seen.descriptors < self.most_descriptors, f"{seen.descriptors} descriptors"
        before = len(ledgers(self.said))
        status = logpipe.stop()
        assert status == 0, f"logpipe ended with status {status}; it said:\n{self.said[-_SAID:]}"
        # On a disk that takes seconds for a sync, what is closed may pass its deadline, which is said with a traceback.
        failed = "Traceback" in self.said and "unexpected error while stopping" not in self.said
        assert not failed, f"a traceback:\n{self.said[self.said.index('Traceback') :][:_SAID]}"
        for ledger in ledgers(self.said)[before:]:
            assert not ledger.unexplained, f"the ledger does not add up: {ledger.text}"

    def outcome(self) -> Outcome:
        """Return what came of it.

        Raises:
            AssertionError: it is not what is required.
        """
        self.arrived()
        account = self.account
        lost = account.missing - self.set_aside
        assert lost == 0, f"{lost} of {account.written} lines lost, the first {account.first_missing()}"
        torn = 1 if self.may_tear else 0
        assert len(account.altered) <= torn, f"{len(account.altered)} lines altered, the first {account.altered[:2]}"
        assert self.may_repeat or not account.duplicates, f"{account.duplicates} lines twice, which may not be here"
        assert account.written, "nothing was written"
        if not self.evidence:
            raise NotFired("no fault happened")
        found = ledgers(self.said)
        unexplained = sum(ledger.unexplained for ledger in found)
        return Outcome(
            events_in=account.written,
            events_out=account.distinct,
            duplicates=account.duplicates,
            set_aside=self.set_aside,
            ledgers=len(found),
            unexplained=unexplained,
            fired=len(self.evidence),
        )

    def close(self) -> None:
        """Kill what still runs."""
        self._running.close()
        for log in self._logs:
            log.close()

    def arrived(self) -> int:
        """Return how many different lines have arrived."""
        while self.read():
            pass
        return self.account.distinct


class Lab:
    """Gives each row its trials, and adds up what came of them.

    Args:
        short: whether rows are to do with less of everything.
        keep: folder that those of failed trials are moved to.
    """

    def __init__(self, *, short: bool = False, keep: Path | None = None) -> None:
        self.short = short
        self.outcome = Outcome()
        self._keep = keep

    def repeat(self, many: int, *, few: int) -> int:
        """Return how often to do a thing."""
        return few if self.short else many

    @contextlib.contextmanager
    def trial(self, name: str) -> Iterator[Trial]:
        """Give a trial, and judge it when the block ends."""
        folder = Path(tempfile.mkdtemp(prefix="logpipe-fault-"))
        folder.chmod(0o755)  # for programs of other users
        trial = Trial(folder, short=self.short)
        try:
            try:
                yield trial
            finally:
                trial.close()
            self.outcome.add(trial.outcome())
        except Impossible:
            raise
        except Exception as error:
            if self._keep is not None and not isinstance(error, NotFired):
                shutil.copytree(folder, self._keep / f"{folder.name}", symlinks=True, ignore=_only_files)
            error.add_note(f"trial: {name}")
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _only_files(folder: str, names: list[str]) -> list[str]:
    """Name what can't be copied: pipes and sockets."""
    paths = [(name, Path(folder, name)) for name in names]
    return [name for name, path in paths if not (path.is_symlink() or path.is_file() or path.is_dir())]


def needs(*programs: str) -> None:
    """Return if these programs are there.

    Raises:
        Impossible: one is not.
    """
    for program in programs:
        if shutil.which(program) is None:
            raise Impossible(f"no {program} here: install it")


def needs_root(why: str) -> None:
    """Return if this is root.

    Raises:
        Impossible: it is not.
    """
    if os.geteuid() != 0:
        raise Impossible(f"{why} needs root")
