"""Files that are renamed when a start watches their folder and has not listed it yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail import disk
from tests.builtin.in_tail.harness import rotate, settled


def rotate_before_list(monkeypatch: pytest.MonkeyPatch, log: Path, text: str) -> None:
    """Rotate a log once more, with this text in the new one, right before its folder is listed next."""
    rotations, listed = iter([text]), disk.survey

    def late(base: str) -> disk.Survey:
        if base == f"{log.parent}/" and (text := next(rotations, "")):
            rotate(log, "app.log.1", "app.log.2", "app.log.3")
            log.write_text(text)
        return listed(base)

    monkeypatch.setattr(disk, "survey", late)


async def test_renames_that_are_told_after_a_list_and_came_before_it(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are about the names before the list: a stranger's file in it is not taken for a new one."""
    log, old = tmp_path / "app.log", tmp_path / "app.log.1"
    old.write_text("last week\n")
    log.write_text("before\n")
    async with follow(tmp_path, path="app.log") as run:
        await run.lines(1)
    rotate_before_list(monkeypatch, log, "after\n")
    async with follow(tmp_path, path="app.log") as run:
        await run.tick_until(lambda: "after" in run.host.lines)
        await settled(run)
        assert run.host.lines == ["after"]


async def test_what_a_start_sees_renamed_is_no_copy_of_what_is_cut_next(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there before: only what has come since may be what copytruncate made."""
    log, old = tmp_path / "app.log", tmp_path / "app.log.1"
    old.write_text("last week\n")
    (tmp_path / "app.log.2").write_text("the week before\n")
    log.write_text("before\n")
    async with follow(tmp_path, path="app.log") as run:
        await run.lines(1)
    rotate_before_list(monkeypatch, log, "after\n")
    async with follow(tmp_path, path="app.log") as run:
        await run.tick_until(lambda: "after" in run.host.lines)
        rotate(old, "app.log.2", "app.log.3", "app.log.4")
        old.write_bytes(log.read_bytes())
        os.truncate(log, 0)
        await run.tick_until(lambda: any("detected rotation" in text for text in run.host.capture.texts("info")))
        run.append(log, "later\n")
        await run.tick_until(lambda: "later" in run.host.lines)
        assert run.host.lines == ["after", "later"]
