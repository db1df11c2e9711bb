"""Random work, failing disks, crashes and power cuts: what a receipt said is safe is delivered."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import shutil
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from logpipe import BufferFull, LogpipeError, Receipt
from logpipe.testing import Pipeline
from tests.builtin.buffers.stages import conf, file_buffer, running, sink

SETTINGS = (
    "flush_interval 1h\nretry_wait 0.01s\nretry_max_interval 0.02s\nretry_randomize false\nchunk_limit_size 2k\n"
    "free_space_reserve 0"
)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the chunk files as they are at this moment, while threads are at work on them."""
    found: dict[str, bytes] = {}
    for path in folder.glob("*.c*.log"):
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = path.read_bytes()
    return found


class Disk:
    """Knows what of a folder would be there after a power cut."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.synced: dict[str, bytes] = {}
        """What of each file is safe, once its name is."""
        self.named: dict[str, bytes] = {}
        self.failures = 0

    def fdatasync(self, descriptor: int) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "Input/output error")
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        content = path.read_bytes()
        self.synced[path.name] = content
        if path.name in self.named:
            self.named[path.name] = content

    def fsync(self, descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == self.folder:
            for path in self.folder.glob("*.c*.log"):
                if path.name in self.synced:
                    self.named[path.name] = self.synced[path.name]

    def after_power_cut(self, target: Path, rng: random.Random) -> None:
        """Make the folder as it may be found: with whatever part of what was not safe, and deleted files back."""
        target.mkdir()
        there, named = contents(self.folder), dict(self.named)
        for name in sorted({*there, *named}):
            safe, content = named.get(name, b""), there.get(name, b"")
            if name not in named and rng.random() < 0.5:
                continue  # the name was not safe
            if name not in there and rng.random() < 0.5:
                continue  # its deletion was
            rest = content[len(safe) :]
            torn = rest[: rng.randrange(len(rest) + 1)]
            torn = rng.choice([b"", torn, bytes(len(torn)), torn + bytes(rng.randrange(600))])
            (target / name).write_bytes(safe + torn)


class BufferModel(RuleBasedStateMachine):
    """Inputs with and without receipts, an output that is up or down, and a machine that may fail at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.folders = 0
        self.fed = 0
        self.safe: set[int] = set()
        self.delivered: set[int] = set()
        self.runner = asyncio.Runner()
        self.context: AbstractAsyncContextManager[Pipeline] | None = None
        self.pipe: Pipeline | None = None
        self.memory = "0"
        self.down = True
        self.disk = Disk(self.base / "0")
        self.start()

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def start(self) -> None:
        text = conf(self.disk.folder, f"{SETTINGS}\nmemory_limit_size {self.memory}", arg="tag")
        buffer = file_buffer(fdatasync=self.disk.fdatasync, fsync=self.disk.fsync)
        self.context = running(text, buffer=buffer)
        self.pipe = self.do(self.context.__aenter__())
        self.set_down(down=self.down)

    def stop(self) -> None:
        assert self.context is not None
        self.do(self.context.__aexit__(None, None, None))
        self.collect()

    def collect(self) -> None:
        assert self.pipe is not None
        self.delivered.update(record["n"] for record in sink(self.pipe).records)

    def set_down(self, *, down: bool) -> None:
        assert self.pipe is not None
        self.down = down
        sink(self.pipe).always = OSError("down") if down else None

    @rule(count=st.integers(1, 30), tag=st.sampled_from("ab"), pad=st.integers(0, 200))
    def feed_and_wait(self, count: int, tag: str, pad: int) -> None:
        """Without a receipt: accepted is safe."""
        assert self.pipe is not None
        numbers = range(self.fed, self.fed + count)
        self.fed += count
        try:
            self.do(self.pipe.feed(tag, *({"n": n, "pad": "x" * pad} for n in numbers)))
        except BufferFull:
            raise
        except LogpipeError:
            return
        self.safe.update(numbers)

    @rule(batches=st.lists(st.integers(1, 12), min_size=1, max_size=6), tag=st.sampled_from("ab"))
    def feed_with_receipts(self, batches: list[int], tag: str) -> None:
        """Accepted at once; the receipts tell."""
        self.do(self._feed_with_receipts(batches, tag))

    async def _feed_with_receipts(self, batches: list[int], tag: str) -> None:
        assert self.pipe is not None
        for count in batches:
            numbers = range(self.fed, self.fed + count)
            self.fed += count
            receipt = Receipt(lambda numbers=numbers: self.safe.update(numbers))  # type: ignore[misc] # bound now
            await self.pipe.feed(tag, *({"n": n} for n in numbers), receipt=receipt)
            receipt.release()

    @rule(turns=st.integers(0, 20))
    def let_it_work(self, turns: int) -> None:
        self.do(asyncio.sleep(turns / 1000))

    @rule(down=st.booleans())
    def peer_goes_or_comes(self, down: bool) -> None:  # noqa: FBT001 - drawn
        self.set_down(down=down)

    @rule()
    def queue_all(self) -> None:
        assert self.pipe is not None
        self.pipe.graph.flush()

    @rule(times=st.integers(1, 2))
    def disk_fails(self, times: int) -> None:
        self.disk.failures = times

    @rule(memory=st.sampled_from(["0", "1k", "1m"]))
    def restart(self, memory: str) -> None:
        self.memory = memory
        self.disk.failures = 0
        self.stop()
        self.start()

    @rule(seed=st.integers(0, 1 << 20), power=st.booleans())
    def crash(self, seed: int, power: bool) -> None:  # noqa: FBT001 - drawn
        """The process or the machine ends; the next one finds what such an end leaves."""
        self.collect()
        self.folders += 1
        target = self.base / str(self.folders)
        safe = set(self.safe)
        if power:
            self.disk.after_power_cut(target, random.Random(seed))
        else:
            target.mkdir()
            for name, content in contents(self.disk.folder).items():
                (target / name).write_bytes(content)
        self.disk.failures = 0
        old = self.disk
        self.set_down(down=True)  # what the run that is over still does, nobody gets
        assert self.context is not None
        self.do(self.context.__aexit__(None, None, None))
        shutil.rmtree(old.folder)
        self.safe = safe
        self.disk = Disk(target)
        for path in target.glob("*.c*.log"):
            self.disk.synced[path.name] = self.disk.named[path.name] = path.read_bytes()
        self.start()

    def teardown(self) -> None:
        try:
            self._finish()
        finally:
            self.runner.close()
            shutil.rmtree(self.base)

    def _finish(self) -> None:
        self.disk.failures = 0
        self.set_down(down=False)
        self.do(self._all_delivered())
        self.stop()
        missing = self.safe - self.delivered
        assert not missing, f"{sorted(missing)[:5]} of {self.fed} were safe and are not delivered"
        assert self.delivered <= set(range(self.fed))

    async def _all_delivered(self) -> None:
        assert self.pipe is not None
        staging = self.pipe.graph.outlets[0].staging
        await staging.settled()
        while staging.size:
            staging.enqueue_all()
            await asyncio.sleep(0.005)


BufferModel.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBuffer = BufferModel.TestCase
