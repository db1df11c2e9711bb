"""Files that were closed and have other names by now: found again, at the price of few listings."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.disk import Reopening
from logpipe.builtin.in_tail.logfile import Identity, LogFile

COUNT = 200


def reopened(reopening: Reopening, path: Path, status: os.stat_result, *, asked: int) -> str:
    """Open again what was at a path; returns what it holds."""
    file = reopening.open(LogFile, str(path), str(path), Identity.of(status), 0, asked=asked)
    try:
        return os.pread(file.fileno(), 100, 0).decode()
    finally:
        file.close()


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is listed from now on."""
    listed: list[str] = []
    scandir = os.scandir

    def counted(path: str) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    return listed


def test_one_listing_serves_all_that_were_asked_for(tmp_path: Path, listings: list[str]) -> None:
    """Thousands may be renamed in a moment of which inotify lost the events; those that are gone are told by it too."""
    paths = [tmp_path / f"{number}.log" for number in range(COUNT)]
    for path in paths:
        path.write_text(path.name)
    there = {path: path.stat() for path in paths}
    for path in paths[1:]:
        path.rename(path.with_suffix(".old"))
    paths[0].unlink()
    asked, reopening = time.monotonic_ns(), Reopening()
    for path in paths[1:]:
        assert reopened(reopening, path, there[path], asked=asked) == path.name
    with pytest.raises(FileNotFoundError):
        reopened(reopening, paths[0], there[paths[0]], asked=asked)
    assert len(listings) == 1


def test_what_moved_after_the_listing_is_found(tmp_path: Path, listings: list[str]) -> None:
    """A name that leads to it no longer is a reason to list again, and so is a question that came later."""
    paths = [tmp_path / f"{number}.log" for number in range(3)]
    for path in paths:
        path.write_text(path.name)
    first, second, third = paths
    there = {path: path.stat() for path in paths}
    first.rename(tmp_path / "first")
    second.rename(tmp_path / "second")
    asked, reopening = time.monotonic_ns(), Reopening()
    assert reopened(reopening, first, there[first], asked=asked) == first.name
    (tmp_path / "second").rename(tmp_path / "elsewhere")
    assert reopened(reopening, second, there[second], asked=asked) == second.name
    assert len(listings) == 2
    third.unlink()
    with pytest.raises(FileNotFoundError):
        reopened(reopening, third, there[third], asked=time.monotonic_ns())
    assert len(listings) == 3
    reopening.forget()
    assert reopened(reopening, first, there[first], asked=0) == first.name
    assert len(listings) == 4
