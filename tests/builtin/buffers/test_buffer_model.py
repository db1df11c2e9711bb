"""Random work, failing and refusing peers, failing disks, damage, crashes and power cuts, against a model.

What a receipt said is safe is delivered, unless its own bytes were damaged; nothing comes twice but after a crash; each
tag's events come in their order, but after a power cut or a failing disk; sizes in the books are those of the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import shutil
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from logpipe import BufferFull, Chunk, EventBatch, LogpipeError, PermanentError, Receipt
from logpipe.builtin.buffers.file.chunk_files import Found
from logpipe.builtin.buffers.file.inspection import read
from logpipe.testing import Pipeline, pipeline
from tests.builtin.buffers.stages import Sink, conf, file_buffer, files

SETTINGS = (
    "flush_interval 1h\nretry_wait 0.01\nretry_max_interval 0.02\nretry_randomize false\nchunk_limit_size 2k\n"
    "free_space_reserve 0"
)
SECONDARY = "\n<secondary>\n@type sink\nname second\n</secondary>\n</match>"


class Witness(Sink, type="sink"):
    """Writes down, for both outputs together, what came when."""

    journal: ClassVar[list[tuple[str, int]]] = []

    async def write(self, chunk: Chunk) -> None:
        await super().write(chunk)
        self.journal.extend((tag, event.record["n"]) for tag, event in self.chunks[-1][1])


def contents(folder: Path) -> dict[str, bytes]:
    """Return the chunk files as they are at this moment, while threads are at work on them."""
    found: dict[str, bytes] = {}
    for path in folder.glob("buffer.c????????????????*.log"):
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
            for path in self.folder.glob("buffer.c*.log"):
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
    """Inputs with and without receipts, an output that takes, fails or refuses, a machine that fails at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.folders = 0
        self.fed = 0
        self.safe: set[int] = set()
        self.damaged: set[int] = set()
        self.delivered: set[int] = set()
        """In this life or another; lives end with crashes."""
        self.foreign: dict[str, bytes] = {}
        self.is_in_order = True
        self.hurt: set[str] = set()
        self.runner = asyncio.Runner()
        self.context: AbstractAsyncContextManager[Pipeline] | None = None
        self.pipe: Pipeline | None = None
        self.memory = "0"
        self.compress = "text"
        self.error: Exception | None = OSError("down")
        self.disk = Disk(self.base / "0")
        Witness.journal.clear()
        self.start()

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def start(self) -> None:
        more = f"{SETTINGS}\nmemory_limit_size {self.memory}\ncompress {self.compress}"
        text = conf(self.disk.folder, more, arg="tag").replace("\n</match>", SECONDARY, 1)
        buffer = file_buffer(fdatasync=self.disk.fdatasync, fsync=self.disk.fsync)
        self.context = pipeline(text, Witness, buffer)
        self.pipe = self.do(self.context.__aenter__())
        self.answer(self.error)

    def stop(self) -> None:
        assert self.context is not None
        self.do(self.context.__aexit__(None, None, None))

    def end_life(self) -> None:
        """Judge what was delivered since the last crash."""
        numbers = [n for _, n in Witness.journal]
        assert len(numbers) == len(set(numbers)), "delivered twice, without a crash between"
        if self.is_in_order:
            for tag in "ab":
                own = [n for name, n in Witness.journal if name == tag]
                assert own == sorted(own), f"events of {tag} came in another order"
        self.delivered.update(numbers)
        Witness.journal.clear()

    def answer(self, error: Exception | None) -> None:
        """Let the first output raise that; the second takes what it gets."""
        assert self.pipe is not None
        self.error = error
        self.outlet.output.always = error

    def own_files(self) -> list[Path]:
        return [file for file in files(self.disk.folder) if file.name not in self.foreign]

    @property
    def outlet(self) -> Any:
        assert self.pipe is not None
        return self.pipe.graph.outlets[0]

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

    @rule(error=st.sampled_from([None, OSError("down"), PermanentError("never")]))
    def peer_changes_its_mind(self, error: Exception | None) -> None:
        """It takes chunks, fails, or refuses them for ever: then the secondary gets them."""
        self.answer(error)

    @rule()
    def queue_all(self) -> None:
        assert self.pipe is not None
        self.pipe.graph.flush()

    @rule(times=st.integers(1, 2))
    def disk_fails(self, times: int) -> None:
        self.disk.failures = times
        self.is_in_order = False  # what it refuses goes behind what came meanwhile

    @rule()
    def books_balance(self) -> None:
        """When nothing is on its way, the sizes of the chunks are those of the files."""
        assert self.pipe is not None
        self.disk.failures = 0
        self.do(self.outlet.staging.settled())
        staged = self.outlet.staging
        self.do(self.pipe.wait_for(lambda: staged.size == sum(map(len, contents(self.disk.folder).values()))))

    @rule(memory=st.sampled_from(["0", "1k", "1m"]), compress=st.sampled_from(["text", "gzip", "zstd"]))
    def restart(self, memory: str, compress: str) -> None:
        self.memory, self.compress = memory, compress
        self.disk.failures = 0
        self.stop()
        self.start()

    @rule(where=st.floats(0, 1, exclude_max=True), pick=st.integers(0, 99), bits=st.integers(1, 255))
    def damage_a_file(self, where: float, pick: int, bits: int) -> None:
        """One byte changes while logpipe is stopped: it costs what the byte was of, and no more."""
        self.disk.failures = 0
        self.stop()
        found = self.own_files()
        if found:
            file = found[pick % len(found)]
            # with both its ends damaged, a file no longer tells its tag at the start, and is queued as it comes
            self.is_in_order = self.is_in_order and file.name not in self.hurt
            self.hurt.add(file.name)
            before, content = numbers_in(file), bytearray(file.read_bytes())
            content[int(where * len(content))] ^= bits
            file.write_bytes(content)
            lost = before - numbers_in(file)
            self.damaged |= lost
        self.start()

    @rule(name=st.sampled_from(["buffer.cnothing.log", "buffer.b12.log", "notes.txt", "other.c" + "0" * 32 + ".log"]))
    def foreign_file(self, name: str) -> None:
        """Somebody puts a file there, which is none of ours."""
        self.foreign[name] = b"somebody's"
        (self.disk.folder / name).write_bytes(self.foreign[name])

    @rule(seed=st.integers(0, 1 << 20), power=st.booleans())
    def crash(self, seed: int, power: bool) -> None:  # noqa: FBT001 - drawn
        """The process or the machine ends; the next one finds what such an end leaves."""
        self.folders += 1
        target = self.base / str(self.folders)
        safe = set(self.safe)
        delivered = list(Witness.journal)
        if power:
            self.disk.after_power_cut(target, random.Random(seed))
        else:
            target.mkdir()
            for name, content in contents(self.disk.folder).items():
                (target / name).write_bytes(content)
        self.disk.failures = 0
        old = self.disk
        self.answer(OSError("down"))  # what the run that is over still does, nobody gets
        assert self.context is not None
        self.do(self.context.__aexit__(None, None, None))
        Witness.journal[:] = delivered
        self.end_life()
        shutil.rmtree(old.folder)
        self.safe = safe
        self.foreign = {}
        if not list(target.glob("buffer.c*.log")):  # else the files hold what came in which order
            self.is_in_order = True
        self.is_in_order = self.is_in_order and not power
        self.disk = Disk(target)
        for path in target.glob("buffer.c*.log"):
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
        self.answer(None)
        self.do(self._all_delivered())
        self.stop()
        self.end_life()
        missing = self.safe - self.delivered - self.damaged
        assert not missing, f"{sorted(missing)[:5]} of {self.fed} were safe and are not delivered"
        assert self.delivered <= set(range(self.fed))
        for name, content in self.foreign.items():
            assert (self.disk.folder / name).read_bytes() == content
        assert self.own_files() == []

    async def _all_delivered(self) -> None:
        assert self.pipe is not None
        staging = self.outlet.staging
        await staging.settled()
        while staging.size:
            staging.enqueue_all()
            await asyncio.sleep(0.005)


def numbers_in(file: Path) -> set[int]:
    """Return the numbers of the events that can be had of a chunk's file."""
    found = Found(file.name.split(".")[1][1:], file, file.stat().st_size, None)
    return {record["n"] for batch in read(found) if isinstance(batch, EventBatch) for record in batch.records}


BufferModel.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBuffer = pytest.mark.slow("hundreds of runs of a buffer, each with what a kill left")(BufferModel.TestCase)
