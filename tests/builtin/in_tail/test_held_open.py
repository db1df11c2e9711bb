"""How many files are held open, for how long, and that each gets its turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import reader


async def test_files_are_closed_between_reads_on_request(tmp_path: Path, follow: Any) -> None:
    """With open_on_every_update nothing is held open, and rotation is still read to its end."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path, "open_on_every_update true") as run:
        await run.lines(1)
        await run.until(lambda: run.host.metric("open_file_count") == 0)
        run.append(log, "two\n")
        log.rename(tmp_path / "a.log.1")
        log.write_text("three\n")
        await run.lines(3)
        assert sorted(run.host.lines) == ["one", "three", "two"]


async def test_only_so_many_files_are_held_open(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that have nothing to read are closed for others, and opened again when they have."""
    monkeypatch.setattr("logpipe.builtin.in_tail.open_files._limit", lambda: 3)
    logs = [tmp_path / f"{number}.log" for number in range(8)]
    for log in logs:
        log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(8)
        for log in logs:
            run.append(log, "two\n")
        await run.lines(16)
        await run.idle()
        run.append(logs[0], "three\n")
        await run.lines(17)
        assert run.host.metric("open_file_count") <= 3


@pytest.mark.parametrize("taken", [True, False])
async def test_a_rotated_file_is_closed_for_others_while_it_has_a_name(
    taken: bool,  # noqa: FBT001 - a parameter of the table
    tmp_path: Path,
    follow: Any,
    scripted: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outputs refuse what it holds and others want files: it is closed, unless the next one took its name."""
    monkeypatch.setattr("logpipe.builtin.in_tail.open_files._limit", lambda: 4)
    log, old, others = tmp_path / "a.log", tmp_path / "a.log.1", tmp_path / "others"
    lines = ["one", "two", "three"] if taken else ["one", "two"]
    log.write_text("one\n")
    others.mkdir()
    for number in range(4):
        (others / f"{number}.log").write_text("other\n")
    host = scripted()
    host.refusals = 1_000_000
    async with follow(tmp_path, host=host) as run:
        await run.until(lambda: host.attempts == 1)
        for count, line in enumerate(lines[1:], 1):
            log.rename(old)
            log.write_text(f"{line}\n")
            rotations = (count, 1)
            await run.until(
                lambda: (host.metric("rotated_file_count"), host.metric("tracked_file_count")) == rotations  # noqa: B023 - it is used at once
            )
        monkeypatch.undo()
        async with follow(others) as other:
            await other.lines(4)
            tried = host.attempts
            await run.tick_until(lambda: host.attempts > tried)
            assert host.metric("open_file_count") == (3 if taken else 1)
        host.refusals = 0
        await run.tick_until(lambda: len(host.lines) == len(lines))
        assert host.lines == lines


async def test_a_hot_file_does_not_starve_the_others(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files take turns, a block each."""
    monkeypatch.setattr(reader, "BLOCK", 64)
    monkeypatch.setattr(reader, "SMALLEST_BLOCK", 64)
    (tmp_path / "hot.log").write_text("hot\n" * 2000)
    (tmp_path / "zold.log").write_text("cold\n")
    async with follow(tmp_path) as run:
        await run.lines(2001)
        assert run.host.lines.index("cold") < 500
