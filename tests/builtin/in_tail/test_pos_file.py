"""What a source does with its `pos_file`: who may have it, and when it is written."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logpipe import LogpipeError
from logpipe.builtin.position_file import PositionFile
from tests.builtin.in_tail.harness import rows


def make_device(path: Path, number: int) -> None:
    """Make a device like /dev/null (3) or /dev/zero (5): the machine's own is not put at risk."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, number))
    except PermissionError:
        pytest.skip("needs root")


async def test_a_second_process_is_refused(tmp_path: Path, follow: Any) -> None:
    """Two processes on one position file would undo each other's work."""
    (tmp_path / "a.log").write_text("one\n")
    async with follow(tmp_path) as run:
        await run.tick_until(lambda: rows(tmp_path))
        with pytest.raises(LogpipeError, match="in use by another process"):
            async with follow(tmp_path):
                pass
        code = (
            "import sys\nfrom logpipe.builtin.position_file import PositionFile\n"
            "try:\n    PositionFile(sys.argv[1]).open()\nexcept Exception as error:\n    print(error)\n"
        )
        said = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "state" / "tail.pos"], capture_output=True, text=True, check=True
        )
        assert "in use by another process" in said.stdout
    async with follow(tmp_path):
        pass


async def test_one_position_file_for_two_sources_is_refused(tmp_path: Path, follow: Any) -> None:
    """The claim is made when the source is built."""
    async with follow(tmp_path) as run:
        assert ("pos_file", f"{tmp_path}/state/tail.pos") in run.host.claims


async def test_positions_that_cannot_be_written_stay_in_memory(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk stops no event; it is said once each time, and written when there is room again."""
    full = True
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if full:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        await run.tick_until(lambda: run.host.metric("position_write_errors") > 1)
        run.append(log, "two\n")
        await run.lines(2)
        said = [text for text in run.host.capture.texts("warning") if "cannot be written" in text]
        assert len(said) == 1
        assert rows(tmp_path) == []
        full = False
        await run.tick_until(lambda: any("can be written again" in text for text in run.host.capture.texts("info")))
        assert [row[1] for row in rows(tmp_path)] == [8]
        run.append(log, "three\n")
        await run.tick_until(lambda: [row[1] for row in rows(tmp_path)] == [14])
        assert sum("can be written again" in text for text in run.host.capture.texts("info")) == 1
        full = True
        run.append(log, "four\n")
        await run.tick_until(
            lambda: sum("cannot be written" in text for text in run.host.capture.texts("warning")) == 2
        )
        full = False


async def test_without_a_position_file_it_warns_as_fluentd_does(tmp_path: Path, follow: Any, scripted: Any) -> None:
    """Both lines of the warning, and events all the same."""
    (tmp_path / "a.log").write_text("one\n")
    host = scripted()
    async with follow(tmp_path, host=host, keep_positions=False) as run:
        await run.lines(1)
    assert host.capture.texts("warning") == [
        "'pos_file PATH' parameter is not set to a 'tail' source.",
        "this parameter is highly recommended to save the position to resume tailing.",
    ]


async def test_a_name_that_no_row_can_hold_is_followed_all_the_same(tmp_path: Path, follow: Any) -> None:
    """A tab or a line feed in a name would be read as something else, so it is not remembered."""
    log = tmp_path / "a\tb\n.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        assert any("cannot stand in pos_file" in text for text in run.host.capture.texts("warning"))
    assert rows(tmp_path) == []


async def test_writes_are_few(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions are written at most twice a second however often they move, and at once at the stop."""
    log = tmp_path / "a.log"
    log.touch()
    writes = 0
    replace = PositionFile._replace_rows

    def count(self: PositionFile, content: bytes) -> None:
        nonlocal writes
        writes += 1
        replace(self, content)

    monkeypatch.setattr(PositionFile, "_replace_rows", count)
    async with follow(tmp_path) as run:
        await run.until(lambda: writes == 1)
        for number in range(1, 21):
            run.append(log, f"{number}\n")
            await run.lines(number)
        assert writes == 1
        await run.tick_until(lambda: writes == 2)
        run.append(log, "last\n")
        await run.lines(21)
    assert rows(tmp_path)[0][1] == log.stat().st_size


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "circle"])
async def test_a_position_file_that_is_no_file_is_refused(kind: str, tmp_path: Path, follow: Any) -> None:
    """With a message that says what it is, and it stays what it is."""
    (tmp_path / "a.log").write_text("one\n")
    (tmp_path / "state").mkdir()
    pos_file = tmp_path / "state" / "tail.pos"
    if kind == "fifo":
        os.mkfifo(pos_file)
    elif kind == "device":
        make_device(pos_file, 5)
    elif kind == "folder":
        pos_file.mkdir()
    else:
        pos_file.symlink_to(pos_file)
    before = os.lstat(pos_file)
    with pytest.raises(LogpipeError, match=r"pos_file .*tail\.pos is a"):
        async with asyncio.timeout(20), follow(tmp_path):
            pass
    assert stat.S_IFMT(os.lstat(pos_file).st_mode) == stat.S_IFMT(before.st_mode)


async def test_positions_in_the_null_device_are_not_kept(tmp_path: Path, follow: Any) -> None:
    """It stays the null device, and everything is read as at a first start."""
    (tmp_path / "a.log").write_text("one\n")
    (tmp_path / "state").mkdir()
    pos_file = tmp_path / "state" / "tail.pos"
    make_device(tmp_path / "null", 3)
    pos_file.symlink_to(tmp_path / "null")
    for _ in range(2):
        async with follow(tmp_path) as run:
            assert await run.lines(1) == ["one"]
            await run.advance(2)
    assert pos_file.is_symlink()
    assert (tmp_path / "null").is_char_device()
