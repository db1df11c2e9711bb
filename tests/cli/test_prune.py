"""`logpipe buffer prune`: dead letters that nobody will replay any more are deleted, and nothing else."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from tests.builtin.buffers.test_fluentd_chunks import chunk_id, event, leave
from tests.cli.site import OUTPUT, Site

DAY = 86_400


def aged(path: Path, days: int) -> Path:
    """Let a file be as old."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def three(site: Site) -> list[Path]:
    """Leave two files of dead letters and a backup of fluentd's, oldest first."""
    backup = site.letters / "out" / f"{chunk_id(1)}.log"
    newest = aged(site.leave(OUTPUT, {"n": 1}, name="new"), 1)
    older = aged(site.leave(OUTPUT, {"n": 2}, {"n": 3}, name="old"), 40)
    backup.write_bytes(event(1))
    return [older, aged(backup, 35), newest]


def test_by_age(site: Site) -> None:
    """Only said at first, then done; with the number of events."""
    older, backup, newest = three(site)
    said = site.run("prune", *site.named, "--older-than", "30d")
    assert said.status == 0
    assert said.out.splitlines()[-1] == "2 files, 3 records would be deleted: give --apply"
    assert all(path.exists() for path in (older, backup, newest))
    done = site.run("prune", *site.named, "--older-than", "30d", "--apply")
    assert done.status == 0
    assert f"{older}: 2 records" in done.out
    assert done.out.splitlines()[-1] == "2 files, 3 records deleted"
    assert list(newest.parent.iterdir()) == [newest]


def test_by_size_and_by_name(site: Site) -> None:
    """The oldest go first, from all folders together."""
    older, backup, newest = three(site)
    assert site.run("prune", site.letters, "--keep", newest.stat().st_size, "--apply").status == 0
    assert [path.exists() for path in (older, backup, newest)] == [False, False, True]
    assert site.run("prune", site.letters, "--chunk", "new", "--apply").status == 0
    assert not newest.exists()


def test_chunks_of_buffers_stay(site: Site) -> None:
    """Whatever their age: they are still to be delivered."""
    chunk = aged(leave(site.folder / "root/buffer/out", 1, event(1), state="q", meta={"tag": "t"}), 99)
    done = site.run("prune", site.folder / "root", "--older-than", "0", "--apply")
    assert (done.status, done.out) == (0, "0 files, 0 records deleted\n")
    assert chunk.exists()


def test_one_that_is_being_replayed_stays(site: Site) -> None:
    """Whoever replays it has locked it."""
    claimed = site.leave(OUTPUT, {"n": 1}).rename(site.letters / "out/one.jsonl.replaying")
    descriptor = os.open(claimed, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        done = site.run("prune", site.letters, "--keep", "0", "--apply")
    finally:
        os.close(descriptor)
    assert done.status == 1
    assert "is being replayed by another process" in done.out
    assert claimed.exists()


def test_which_ones_is_asked_for(site: Site) -> None:
    """Nothing is deleted that nobody has named, and no size or age is guessed at."""
    (kept, *_) = three(site)
    assert "say which dead letters" in site.run("prune", site.letters, "--apply").err
    for wrong in (["--older-than", "soon"], ["--keep", "1x"]):
        with pytest.raises(SystemExit):
            site.run("prune", site.letters, *wrong)
    assert kept.exists()
