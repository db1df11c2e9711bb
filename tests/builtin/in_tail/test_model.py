"""Random writes, rotations, refusals, stops and crashes: every line that was written is delivered."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from logpipe.builtin.in_tail.logfile import HEAD_BYTES
from logpipe.builtin.position_file import PositionFile
from tests.builtin.in_tail.harness import Running, ScriptedHost, append, follow


def number_of(path: Path) -> int:
    """Return the number of a rotated file."""
    return int(path.name.split(".")[2])


class TailModel(RuleBasedStateMachine):
    """A writer and its rotations, compressed or not; an input, stopped and killed; outputs that refuse or are late."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "a.log"
        self.written: list[str] = []
        self.delivered: set[str] = set()
        self.half = ""
        self.rotations = 0
        self.runs = 0
        self.runner = asyncio.Runner()
        self.host = ScriptedHost()
        self.context: AbstractAsyncContextManager[Running] | None = None
        self.run: Running | None = None
        self.write(1)
        self.start()
        self.do(self.remembered())

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def write(self, count: int) -> None:
        lines = [f"line number {len(self.written) + number:05}, with some text" for number in range(count)]
        append(self.log, lines[0][len(self.half) :] + "\n" + "".join(f"{line}\n" for line in lines[1:]))
        self.half = ""
        self.written += lines

    def start(self) -> None:
        self.runs += 1
        self.host = ScriptedHost()
        self.context = follow(self.folder, "rotate_wait 1\nread_compressed_rotated true", host=self.host)
        self.run = self.do(self.context.__aenter__())

    async def remembered(self) -> None:
        """Wait until the position file knows the file: before that no file that is gone is known to have been ours."""
        assert self.run is not None
        pos_file = PositionFile(str(self.folder / "state" / "tail.pos"))
        await self.run.tick_until(lambda: any(row.fingerprint for row in pos_file.load().positions))

    async def work(self, turns: int) -> None:
        assert self.run is not None
        for _ in range(turns):
            await self.run.advance(0.3)
            await asyncio.sleep(0.002)

    def take(self) -> None:
        """Count what was delivered: its receipt is released."""
        self.host.settle()
        self.delivered.update(self.host.lines)
        self.host.emitted.clear()

    @rule(count=st.integers(1, 40))
    def append_lines(self, count: int) -> None:
        self.write(count)

    @precondition(lambda self: not self.half)
    @rule(length=st.integers(1, 20))
    def append_half_a_line(self, length: int) -> None:
        self.half = f"line number {len(self.written):05}, with some text"[:length]
        append(self.log, self.half)

    @precondition(lambda self: not self.half)
    @rule()
    def rename(self) -> None:
        self.rotations += 1
        self.shift()
        self.log.rename(self.folder / "a.log.1")
        self.log.touch()

    @precondition(lambda self: not self.half and self.log.stat().st_size > 0)
    @rule()
    def copy_and_truncate(self) -> None:
        if self.run is not None:
            self.do(self.seen())
        self.rotations += 1
        self.shift()
        shutil.copyfile(self.log, self.folder / "a.log.1")
        os.truncate(self.log, 0)

    async def seen(self) -> None:
        """Let the input see more than nothing of the file: one that is cut before that looks as if it only grew."""
        assert self.run is not None
        inode, beginning = self.log.stat().st_ino, self.log.read_bytes()[:HEAD_BYTES]

        def known() -> bool:
            trail = next(iter(self.run.tail.registry.table.by_path.values()), None) if self.run is not None else None
            return (
                trail is not None
                and trail.live is not None
                and trail.live.identity.inode == inode
                and trail.live.head.length > len("line number 0000")
                and trail.live.head.begins(beginning)
            )

        await self.run.tick_until(known, "a look at the file")

    def shift(self) -> None:
        for old in sorted(self.folder.glob("a.log.*"), key=lambda path: -number_of(path)):
            old.rename(self.folder / f"a.log.{number_of(old) + 1}{'.gz' if old.suffix == '.gz' else ''}")

    @precondition(lambda self: self.plain())
    @rule(youngest=st.booleans())
    def compress(self, *, youngest: bool) -> None:
        """As gzip(1) does, which leaves the time as it was."""
        path = min(self.plain(), key=number_of) if youngest else max(self.plain(), key=number_of)
        times = path.stat()
        packed = path.with_name(path.name + ".gz")
        with gzip.open(packed, "wb", compresslevel=1) as file:
            file.write(path.read_bytes())
        os.utime(packed, ns=(times.st_atime_ns, times.st_mtime_ns))
        path.unlink()

    def plain(self) -> list[Path]:
        return [path for path in self.folder.glob("a.log.*") if path.suffix != ".gz"]

    @precondition(lambda self: self.run is not None)
    @rule(turns=st.integers(1, 8))
    def let_it_work(self, turns: int) -> None:
        self.do(self.work(turns))

    @precondition(lambda self: self.run is not None)
    @rule(count=st.integers(1, 3))
    def refuse(self, count: int) -> None:
        self.host.refusals = count

    @precondition(lambda self: self.run is not None)
    @rule(late=st.booleans())
    def deliver(self, *, late: bool) -> None:
        if self.host.keep_receipts:
            self.take()
        self.host.keep_receipts = late

    @precondition(lambda self: self.run is not None)
    @rule()
    def stop(self) -> None:
        assert self.context is not None
        self.do(self.context.__aexit__(None, None, None))
        self.take_settled()
        self.run = None

    @precondition(lambda self: self.run is not None)
    @rule()
    def crash(self) -> None:
        assert self.run is not None
        assert self.context is not None
        self.do(self.run.kill())
        self.do(self.context.__aexit__(None, None, None))
        self.take_settled()
        self.run = None

    def take_settled(self) -> None:
        """Of what was accepted only what is settled counts: the rest is in an output's memory, and lost with it."""
        kept = {id(receipt) for receipt in self.host.kept}
        settled = [batch for batch in self.host.emitted if id(batch.receipt) not in kept]
        self.delivered.update(record["message"] for batch in settled for record in batch.records)

    @precondition(lambda self: self.run is None)
    @rule()
    def start_again(self) -> None:
        self.start()

    @invariant()
    def the_books_balance(self) -> None:
        """Every byte of every file is accounted for at any time, and what was read is what was accepted."""
        if self.run is None:
            return
        assert self.run.balanced()
        accounts = self.run.accounts().values()
        assert sum(each.read for each in accounts) == self.host.accepted_bytes
        assert not any(each.abandoned for each in accounts)
        assert {reason for each in accounts for reason in each.skipped} <= {"elsewhere"}

    @invariant()
    def reads_no_more_than_there_is(self) -> None:
        assert self.delivered <= {*self.written, self.half}

    def teardown(self) -> None:
        try:
            if self.run is None:
                self.start()
            assert self.run is not None
            if self.half:
                self.write(1)
            self.host.refusals = 0
            self.host.keep_receipts = False
            self.take()
            missing = set(self.written) - self.delivered

            def complete() -> bool:
                return missing <= set(self.host.lines)

            self.do(self.run.tick_until(complete, f"delivery of {sorted(missing)}"))
            self.do(self.run.tick_until(self.run.is_idle, "everything to be read"))
            self.the_books_balance()
            assert sum(each.waiting for each in self.run.accounts().values()) == 0
            if self.runs == 1:
                assert self.host.accepted_bytes == sum(len(line) + 1 for line in self.written)
            assert self.context is not None
            self.do(self.context.__aexit__(None, None, None))
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)


TestTailModel = TailModel.TestCase
TestTailModel.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
