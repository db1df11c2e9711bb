"""Dead letters take no more of the disk, and for no longer, than the configuration says."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

import pytest

from logpipe import Filter, Options, Record, Time
from logpipe.engine.dead_letters.letters import Culprit, Letter, encode
from logpipe.engine.dead_letters.limits import MOST_BYTES, Keeper, Limits
from logpipe.testing import ManualClock, Pipeline, pipeline

SECOND = 1_000_000_000
TEXT = "x" * 300
"""Of a record: its letter takes about a kilobyte."""


LETTER = encode(Letter(1, Culprit("filter", "bad", "f"), "why", "E", "t", 1, {"n": 1}))


class Bad(Filter[Options], type="bad"):
    """Handles nothing."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        raise ValueError(f"{tag} at {time} is bad: {record}")


def text(folder: Path, limits: str) -> str:
    """Return a configuration whose events are all dead letters."""
    system = f"<system>\nroot_dir {folder}\n{limits}\n</system>\n"
    return system + "<filter **>\n@type bad\n@id f\n</filter>\n<match **>\n@type test\n</match>\n"


def kept(folder: Path) -> list[int]:
    """Return the numbers of the events in files, sorted."""
    lines = [line for path in folder.glob("backup/worker0/f/*.jsonl*") for line in path.read_text().splitlines()]
    return sorted(int(line.rpartition('"n": ')[2].partition(",")[0]) for line in lines)


def number(running: Pipeline, name: str) -> float:
    """Return what the monitor shows under a name."""
    found = running.graph.world.monitor.measurements()
    return next(each.value for each in found if each.name == name)


async def feed(running: Pipeline, *numbers: int) -> None:
    """Emit events one after another, each on the disk before the next."""
    for n in numbers:
        before = number(running, "dead_letter_records")
        await running.feed("t", {"n": n, "x": TEXT})
        await running.wait_for(lambda before=before: number(running, "dead_letter_records") > before)


async def test_the_oldest_files_go_when_there_are_too_many(tmp_path: Path) -> None:
    """With their number in the log and in the metrics; what is written is always kept."""
    async with pipeline(text(tmp_path, "dead_letter_limit_size 4k"), Bad) as running:
        await feed(running, *range(20))
        left = kept(tmp_path)
        assert left == list(range(20 - len(left), 20))
        assert 2 < len(left) < 15
        deleted = int(number(running, "deleted_dead_letter_records"))
        assert deleted == 20 - len(left)
        said = [said for said in running.log.texts("error") if "dead letters are deleted" in said]
        assert sum(int(line.split()[0]) for line in said) == deleted
        assert "dead_letter_limit_size, 4096 bytes" in said[0]
        size = sum(path.stat().st_size for path in tmp_path.glob("backup/worker0/f/*"))
        assert number(running, "dead_letter_bytes") == size
        assert size <= number(running, "dead_letter_limit_bytes") == 4096


async def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """At the next look, whatever its size; there is one at each start, and every ten minutes."""
    folder = tmp_path / "backup/worker0/f"
    folder.mkdir(parents=True)
    clock = ManualClock()
    for age, name in ((7200, "old"), (60, "young")):
        file = folder / f"{name}.jsonl"
        file.write_bytes(LETTER * 2)
        os.utime(file, ns=(0, clock.now() - age * SECOND))
    async with pipeline(text(tmp_path, "dead_letter_limit_age 1h"), Bad, clock=clock) as running:
        await clock.advance(600)
        await running.wait_for(lambda: not (folder / "old.jsonl").exists())
        assert number(running, "deleted_dead_letter_records") == 2
        assert "older than dead_letter_limit_age, 3600 seconds" in " ".join(running.log.texts("error"))
        assert (folder / "young.jsonl").exists()
        await clock.advance(3600)
        await running.wait_for(lambda: not (folder / "young.jsonl").exists())


async def test_what_somebody_uses_and_what_fluentd_left_stays(tmp_path: Path) -> None:
    """A replay has renamed its file, another process has locked the one that it writes to."""
    folder = tmp_path / "backup/worker0/f"
    folder.mkdir(parents=True)
    names = ("a.jsonl.replaying", "locked.jsonl", "53551b93da0010000000000000000001.log", "free.jsonl")
    for place, name in enumerate(names):
        (folder / name).write_bytes(LETTER * 500)
        os.utime(folder / name, ns=(0, place))
    descriptor = os.open(folder / "locked.jsonl", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        async with pipeline(text(tmp_path, "dead_letter_limit_size 1k"), Bad) as running:
            await feed(running, 1)
            assert {path.name for path in folder.iterdir()} >= set(names[:3])
            assert not (folder / "free.jsonl").exists()
            assert number(running, "deleted_dead_letter_records") == 500
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(("disk", "limit"), [(1 << 30, 1 << 28), (1 << 50, MOST_BYTES)])
def test_a_share_of_the_disk_where_nothing_is_said(disk: int, limit: int, tmp_path: Path) -> None:
    """A quarter, and no more than a whole buffer in files may have."""
    found = os.statvfs_result((4096, 4096, disk // 4096, 0, 0, 0, 0, 0, 0, 255))
    keeper = Keeper(tmp_path / "not/there", Limits(), ManualClock(), logging.getLogger("test"), lambda _: found)
    assert keeper.limit == limit
