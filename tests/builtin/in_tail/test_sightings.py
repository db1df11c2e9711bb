"""Files that are renamed all the time while they are looked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.difference import Place
from logpipe.builtin.in_tail.look import Ask, Looker

ROTATIONS = 25


async def test_a_rotation_in_every_look(tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that have another name whenever one looks are found when that ends, each once."""
    log = tmp_path / "a.log"
    names = iter(f"generation {number}" for number in range(ROTATIONS + 2))
    left = ROTATIONS
    places = Looker.places

    def rotate() -> None:
        for old in sorted(tmp_path.glob("a.log.*"), key=lambda path: -int(path.suffix[1:])):
            old.rename(tmp_path / f"a.log.{int(old.suffix[1:]) + 1}")
        log.rename(tmp_path / "a.log.1")
        log.write_text(f"{next(names)}\n")

    def rotated(looker: Looker, asks: Iterable[Ask], held: int = 0) -> list[Place]:
        nonlocal left
        if left:
            left -= 1
            rotate()
        return places(looker, asks, held)

    log.write_text(f"{next(names)}\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        monkeypatch.setattr(Looker, "places", rotated)
        rotate()
        await run.tick_until(lambda: not left and len(run.host.lines) >= ROTATIONS + 2)
        await run.idle()
        assert len(set(run.host.lines)) == len(run.host.lines) == ROTATIONS + 2
