"""Paths that lead nowhere for a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any


async def searched(run: Any) -> None:
    """Return when files were searched for twice more: what is over by then is let go."""
    wanted = run.tail.discovery.searches + 3  # the third begins after the second has ended
    await run.tick_until(lambda: run.tail.discovery.searches >= wanted, step=0.02)


async def test_generations_that_come_and_go_while_the_path_leads_nowhere(tmp_path: Path, follow: Any) -> None:
    """A path that is free for longer than its last file is waited for is still known, with what came after that."""
    log = tmp_path / "a.log"
    log.write_text("1\n")
    async with follow(tmp_path, "enable_stat_watcher false\nrefresh_interval 1\nrotate_wait 1") as run:
        await run.lines(1)
        run.host.settle()
        log.rename(tmp_path / "a.log.1")
        (generation,) = run.tail.registry.by_path[str(log)].generations
        await run.tick_until(lambda: generation.finished, step=0.1)
        await searched(run)
        for number in range(2, 5):
            (tmp_path / f"a.log.{number}").write_text(f"{number}\n")
        await searched(run)
        log.write_text("5\n")
        await run.tick_until(lambda: len(run.host.lines) == 5)
        assert run.host.lines == ["1", "2", "3", "4", "5"]
