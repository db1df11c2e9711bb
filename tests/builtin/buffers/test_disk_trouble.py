"""A disk that is full, fails or is slow: nothing that was accepted is lost, nothing is dropped, nothing ends."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from logpipe import BufferFull, LogpipeError, Receipt, Record
from logpipe.testing import DEADLINE, ManualClock, Pipeline, settle, wait_for
from tests.builtin.buffers.stages import conf, file_buffer, files, running, sink

LONG = "flush_interval 1h"


class BrokenSync:
    """An fdatasync that fails for the calls it is told to, after the bytes were written."""

    def __init__(self, *numbers: int, error: int = errno.EIO) -> None:
        self.calls = 0
        self._numbers = numbers
        self._error = error

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        if self.calls in self._numbers:
            raise OSError(self._error, os.strerror(self._error))
        os.fdatasync(descriptor)


async def test_a_failed_sync_refuses_what_it_was_for(tmp_path: Path) -> None:
    """The file is not synced again: its safe part is delivered, new events go to a new file."""
    broken = BrokenSync(2)
    async with running(conf(tmp_path, f"{LONG}\nmemory_limit_size 0"), buffer=file_buffer(fdatasync=broken)) as pipe:
        out = sink(pipe)
        out.always = OSError("down")
        await pipe.feed("a", {"n": 1})
        (first,) = files(tmp_path)
        with pytest.raises(LogpipeError, match=r"buffer file .* cannot be written: Input/output error"):
            await pipe.feed("a", {"n": 2})
        assert broken.calls == 2
        await pipe.feed("a", {"n": 3})
        assert broken.calls == 3
        assert len(files(tmp_path)) == 2
        assert b'"n":2' not in first.read_bytes()
        assert sum("It takes no more events; 1 that were not synced" in said for said in pipe.log.texts("error")) == 1
        assert pipe.metric("buffer_refused_records") == 1
        out.always = None
        await pipe.flush()
        assert [record["n"] for record in out.records] == [1, 3]


async def test_with_a_receipt_what_was_refused_goes_to_another_file(tmp_path: Path) -> None:
    """The input has gone on, and its receipt settles when the second file is safe."""
    clock = ManualClock()
    settled: list[int] = []
    async with running(conf(tmp_path, LONG), buffer=file_buffer(fdatasync=BrokenSync(1, 2)), clock=clock) as pipe:
        receipt = Receipt(lambda: settled.append(1))
        await pipe.feed("a", {"n": 1}, {"n": 2}, receipt=receipt)
        receipt.release()
        await wait_for(lambda: pipe.metric("buffer_refused_records") == 2)
        await settle()
        assert settled == []
        await clock.advance(0.6)
        await wait_for(lambda: pipe.metric("buffer_refused_records") == 4)
        await settle()
        assert settled == []
        await clock.advance(1.1)
        await wait_for(lambda: settled == [1])
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == [1, 2]


async def test_a_failed_sync_of_a_group_refuses_the_group(tmp_path: Path) -> None:
    """Each of those who share it hears of it, and so does who came meanwhile."""
    async with running(conf(tmp_path, LONG), buffer=file_buffer(fdatasync=BrokenSync(1))) as pipe:
        outcomes = await asyncio.gather(*(pipe.feed("a", {"n": n}) for n in range(5)), return_exceptions=True)
        assert all(isinstance(outcome, LogpipeError) for outcome in outcomes)
        assert files(tmp_path) == []
        for n in range(5):
            await pipe.feed("a", {"n": n})
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == list(range(5))


async def test_a_batch_for_several_chunks_is_refused_if_one_fails(tmp_path: Path) -> None:
    """Then it is made again: the part that was stored comes twice, none is missing."""
    async with running(conf(tmp_path, LONG, arg="n"), buffer=file_buffer(fdatasync=BrokenSync(2))) as pipe:
        with pytest.raises(LogpipeError):
            await pipe.feed("a", {"n": 1}, {"n": 2}, {"n": 3})
        await pipe.feed("a", {"n": 1}, {"n": 2}, {"n": 3})
        await pipe.flush()
        assert sorted(record["n"] for record in sink(pipe).records) in (
            [1, 1, 2, 3, 3],
            [1, 1, 2, 2, 3],
            [1, 2, 2, 3, 3],
        )


class Room:
    """A statvfs of a disk with so much room."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, path: Path) -> os.statvfs_result:
        assert path.is_dir()
        return os.statvfs_result((4096, 1, 1 << 30, self.free, self.free, 1000, 500, 500, 0, 255))


async def test_below_the_mark_inputs_wait_and_nothing_is_dropped(tmp_path: Path) -> None:
    """Said once, however often it is tried; taken up again when there is room."""
    clock, room = ManualClock(), Room(2000)
    text = conf(tmp_path, f"{LONG}\nfree_space_reserve 1000")
    async with running(text, buffer=file_buffer(statvfs=room), clock=clock) as pipe:
        await pipe.feed("a", {"n": 1})
        room.free = 999
        await _later(clock, lambda: any("takes no more events" in said for said in pipe.log.texts("warning")))
        for _ in range(3):
            with pytest.raises(BufferFull, match="only 999 bytes are free"):
                await pipe.feed("a", {"n": 2})
        assert len([said for said in pipe.log.texts("warning") if "takes no more" in said]) == 1
        room.free = 2000
        await _later(clock, lambda: any("takes events again" in said for said in pipe.log.texts("info")))
        await pipe.feed("a", {"n": 3})
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == [1, 3]


async def _later(clock: ManualClock, condition: Callable[[], object]) -> None:
    """Let seconds pass until something is so: the disk is asked in a thread, in its own time."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await clock.advance(1)
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("action", ["block", "drop_oldest_chunk"])
async def test_a_full_disk_lets_inputs_wait_where_they_are_not_refused(action: str, tmp_path: Path) -> None:
    """Also where a full buffer would drop its oldest chunk: that one is safe, and room is not its fault."""
    clock, room = ManualClock(), Room(10)
    text = conf(tmp_path, f"{LONG}\nfree_space_reserve 1000\noverflow_action {action}")
    async with running(text, buffer=file_buffer(statvfs=room), clock=clock) as pipe:
        await wait_for(lambda: pipe.log.texts("warning"))
        feeding = asyncio.ensure_future(pipe.feed("a", {"n": 1}))  # noqa: TID251 - a test has no host
        await settle()
        assert not feeding.done()
        room.free = 2000
        await _later(clock, feeding.done)
        await feeding
        assert pipe.metric("drop_oldest_chunk_count") == 0


async def test_no_room_for_a_write_counts_as_full(tmp_path: Path) -> None:
    """ENOSPC: nothing of the group is accepted or left behind; a quota, which does not show, is tried again later."""
    clock = ManualClock()
    broken = BrokenSync(2, error=errno.EDQUOT)
    async with running(conf(tmp_path, LONG), buffer=file_buffer(fdatasync=broken), clock=clock) as pipe:
        await pipe.feed("a", {"n": 1})
        (file,) = files(tmp_path)
        before = file.read_bytes()
        with pytest.raises(BufferFull, match="is full"):
            await pipe.feed("a", {"n": 2})
        assert file.read_bytes() == before
        with pytest.raises(BufferFull, match="is full"):
            await pipe.feed("a", {"n": 2})
        await _feed_when_there_is_room(pipe, clock, {"n": 2})
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == [1, 2]


async def _feed_when_there_is_room(pipe: Pipeline, clock: ManualClock, record: Record) -> None:
    for _ in range(1000):
        await clock.advance(1)
        with suppress(BufferFull):
            await pipe.feed("a", record)
            return
        await asyncio.sleep(0.01)
    pytest.fail("no room is ever found again")


async def test_without_descriptors_it_waits(tmp_path: Path) -> None:
    """EMFILE refuses nothing; it is said once."""
    clock = ManualClock()
    async with running(conf(tmp_path, LONG), clock=clock) as pipe:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.open("/dev/null", os.O_RDONLY)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        taken: list[int] = []
        try:
            gc.collect()  # what other tests left open must not be closed later: leave nothing to open
            with suppress(OSError):
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            feeding = asyncio.ensure_future(pipe.feed("a", {"n": 1}))  # noqa: TID251 - a test has no host
            await wait_for(lambda: any("the buffer waits" in said for said in pipe.log.texts("warning")))
            for _ in range(3):
                await wait_for(lambda: clock.sleepers >= 2)
                await clock.advance(0.5)
            assert not feeding.done()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in taken:
                os.close(descriptor)
        while not feeding.done():
            await clock.advance(0.5)
            await asyncio.sleep(0.01)
        await feeding
        assert len([said for said in pipe.log.texts("warning") if "the buffer waits" in said]) == 1
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]


async def test_a_folder_that_cannot_be_made_stops_the_start_with_advice(tmp_path: Path) -> None:
    """In the way of whom may do what."""
    (tmp_path / "file").touch()
    with pytest.raises(ExceptionGroup) as caught:
        async with running(conf(tmp_path / "file" / "b", LONG)):
            pass
    (problem,) = caught.value.exceptions
    while isinstance(problem, ExceptionGroup):
        (problem,) = problem.exceptions
    assert isinstance(problem, LogpipeError)
    assert "cannot be used" in str(problem)
    assert "make it writable" in str(problem)


ON_A_SMALL_DISK = """
    import asyncio, sys
    from pathlib import Path
    from logpipe import BufferFull
    from tests.builtin.buffers.stages import conf, files, running, sink

    async def main(folder):
        text = conf(folder / "b", "flush_interval 1h\\nchunk_limit_size 100k\\nfree_space_reserve RESERVE")
        accepted = refused = 0
        async with running(text) as pipe:
            out = sink(pipe)
            out.always = OSError("down")
            filler = folder / "filler"
            filler.write_bytes(b"x" * 200_000)
            while refused < 3:
                try:
                    await pipe.feed("a", *({"n": accepted + n, "pad": "x" * 1000} for n in range(20)))
                    accepted += 20
                except BufferFull:
                    refused += 1
                    await asyncio.sleep(0.3)
            filler.unlink()
            while accepted % 40 or accepted < 40 or refused:
                try:
                    await pipe.feed("a", *({"n": accepted + n, "pad": "x" * 1000} for n in range(20)))
                    accepted += 20
                    refused = 0
                except BufferFull:
                    await asyncio.sleep(0.1)
        async with running(text) as pipe:
            await pipe.flush()
            numbers = [record["n"] for record in sink(pipe).records]
            assert sorted(set(numbers)) == list(range(accepted)), (accepted, len(numbers))
            assert len(numbers) == accepted, "nothing half-written counts twice"
            assert not list(folder.rglob("corrupt"))
            warnings = [said for said in pipe.log.texts("warning")]
            print("accepted", accepted)

    asyncio.run(main(Path(sys.argv[1])))
"""


def output_of(command: list[str]) -> str:
    """Run a program of ours to its good end, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("reserve", [0, 100_000])
def test_a_disk_that_is_really_full(reserve: int, tmp_path: Path) -> None:
    """A tmpfs of one megabyte: refused while it is full, taken again when there is room, nothing lost."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("unshare -rm is not permitted here")
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(ON_A_SMALL_DISK).replace("RESERVE", str(reserve)))
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=1m tmpfs {disk} && exec {sys.executable} {program} {disk}"
    assert "accepted" in output_of(["unshare", "-rm", "sh", "-c", script])


THROUGH_A_FAULT = """
    import asyncio, subprocess, sys
    from pathlib import Path
    from logpipe import Receipt
    from logpipe.testing import wait_for
    from tests.builtin.buffers.stages import conf, running, sink
    import tests.faults.one_thread  # strace counts the calls of each thread by themselves

    folder, fault = Path(sys.argv[1]), sys.argv[2]
    buffer = folder / "b"

    def mount(*arguments):
        subprocess.run([*arguments, str(buffer)], check=True)

    def read_only():  # above what is open for writing, which no file system lets be remounted
        mount("mount", "--bind", str(buffer))
        mount("mount", "-o", "remount,bind,ro")

    begin, end = {
        "read-only": (read_only, lambda: mount("umount")),
        "denied": (lambda: buffer.chmod(0), lambda: buffer.chmod(0o700)),
        "injected": (lambda: None, lambda: None),  # from outside
    }[fault]

    async def main():
        safe = set()
        text = conf(buffer, "flush_interval 1h", arg="tag")

        async def feed(pipe, numbers):
            for n in numbers:
                receipt = Receipt(lambda n=n: safe.add(n))
                await pipe.feed("abc"[n % 3], {"n": n}, receipt=receipt)
                receipt.release()
                if fault == "injected":  # one at a time, so that there are many syncs
                    await wait_for(lambda: n in safe)

        async with running(text) as pipe:
            sink(pipe).always = OSError("down")
            if fault != "injected":
                await feed(pipe, range(20))
                await wait_for(lambda: len(safe) == 20)
            begin()
            await feed(pipe, range(20, 40))
            await wait_for(lambda: any("cannot be written" in said for said in pipe.log.texts("error")))
            if fault != "injected":
                assert safe == set(range(20)), "what cannot be written is not safe"
            end()
            await feed(pipe, range(40, 60))
            everything = set(range(60)) if fault != "injected" else set(range(20, 60))
            await wait_for(lambda: safe == everything)
            assert len([said for said in pipe.log.texts("error") if "cannot be written" in said]) <= 3
        async with running(text) as pipe:
            await pipe.flush()
            numbers = [record["n"] for record in sink(pipe).records]
        assert sorted(numbers) == sorted(everything), numbers
        print("delivered", len(numbers))

    asyncio.run(main())
"""


@pytest.mark.parametrize("fault", ["read-only", "denied", "injected"])
def test_the_buffer_goes_on_by_itself_after_a_fault(fault: str, tmp_path: Path) -> None:
    """A read-only remount, permissions taken away, EIO on a sync: nothing is lost, nothing twice, said few times."""
    buffer = tmp_path / "b"
    buffer.mkdir()
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(THROUGH_A_FAULT))
    run = [sys.executable, str(program), str(tmp_path), fault]
    calls = tmp_path / "calls"
    commands = {
        "read-only": ["unshare", "-rm", *run],
        "denied": ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *run],
        "injected": ["strace", "-f", "-o", str(calls), "-e", "inject=fdatasync:error=EIO:when=2..3", *run],
    }
    allowed = {"read-only": ["unshare", "-rm", "true"], "denied": ["setpriv", "-d"], "injected": ["strace", "true"]}
    if (
        shutil.which(commands[fault][0]) is None
        or subprocess.run(allowed[fault], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"{commands[fault][0]} cannot be used here")
    assert "delivered" in output_of(commands[fault])
    if fault == "injected":
        assert "INJECTED" in calls.read_text()


def test_the_helpers_here_fail_when_told() -> None:
    """A disk that never fails would prove nothing."""
    broken: Callable[[int], None] = BrokenSync(1)
    with pytest.raises(OSError, match="Input/output"):
        broken(0)
