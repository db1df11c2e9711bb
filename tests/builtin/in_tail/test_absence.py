"""Paths that lead nowhere for a while, and files that are gone before anybody looks."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.in_tail.disk import Looker
from logpipe.builtin.in_tail.watch import Inotify


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
        (generation,) = run.tail.registry.table.by_path[str(log)].generations
        await run.tick_until(lambda: generation.finished, step=0.1)
        await searched(run)
        for number in range(2, 5):
            (tmp_path / f"a.log.{number}").write_text(f"{number}\n")
        await searched(run)
        log.write_text("5\n")
        await run.tick_until(lambda: len(run.host.lines) == 5)
        assert run.host.lines == ["1", "2", "3", "4", "5"]


async def test_a_link_that_comes_back_to_a_folder_of_which_nobody_tells(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was rotated behind it meanwhile is read before what it leads to now."""
    add = Inotify.add

    def limited(inotify: Inotify, folder: str) -> int:
        if folder.endswith("pods/"):
            raise OSError(errno.ENOSPC, "No space left on device", folder)
        return add(inotify, folder)

    monkeypatch.setattr(Inotify, "add", limited)
    pods, links = tmp_path / "pods", tmp_path / "links"
    pods.mkdir()
    links.mkdir()
    log, link = pods / "0.log", links / "x.log"
    log.write_text("1\n")
    link.symlink_to(log)
    async with follow(links) as run:
        await run.lines(1)
        link.unlink()
        await run.until(lambda: run.tail.registry.table.by_path[str(link)].live is None)
        for number in (2, 3):
            for old in sorted(pods.glob("0.log.*"), reverse=True):
                old.rename(pods / f"0.log.{int(old.suffix[1:]) + 1}")
            log.rename(pods / "0.log.1")
            log.write_text(f"{number}\n")
        link.symlink_to(log)
        assert await run.lines(3) == ["1", "2", "3"]


async def let_go(run: Any) -> None:
    """Return when everything that was rotated, or is away, is read and let go."""
    table = run.tail.registry.table
    await run.tick_until(lambda: not table.replaced and all(each.finished for each in table.generations()), step=0.1)


async def test_a_file_that_is_written_to_and_renamed_while_its_folder_is_away(tmp_path: Path, follow: Any) -> None:
    """It is read on when the folder is there again, before what the path leads to then."""
    logs, away = tmp_path / "logs", tmp_path / "away"
    logs.mkdir()
    (logs / "app.log").write_text("1\n")
    async with follow(tmp_path, "refresh_interval 1\nrotate_wait 1", path="logs/app.log") as run:
        await run.lines(1)
        logs.rename(away)
        await let_go(run)
        run.append(away / "app.log", "2\n")
        (away / "app.log").rename(away / "app.log.1")
        (away / "app.log").write_text("3\n")
        away.rename(logs)
        await run.tick_until(lambda: len(run.host.lines) == 3)
        await let_go_of_rotated(run)
        assert run.host.lines == ["1", "2", "3"]


async def let_go_of_rotated(run: Any) -> None:
    await run.tick_until(lambda: not run.tail.registry.table.replaced, step=0.1)


async def test_rotated_files_are_known_again_when_their_folder_was_away(tmp_path: Path, follow: Any) -> None:
    """Under other names, too: nothing comes twice, and nothing is said of them."""
    logs, away = tmp_path / "logs", tmp_path / "away"
    logs.mkdir()
    (logs / "app.log").write_text("1\n")
    async with follow(
        tmp_path, "enable_stat_watcher false\nrefresh_interval 1\nrotate_wait 1", path="logs/app.log"
    ) as run:
        await run.lines(1)
        (logs / "app.log").rename(logs / "app.log.1")
        (logs / "app.log").write_text("2\n")
        await run.tick_until(lambda: len(run.host.lines) == 2)
        await let_go_of_rotated(run)
        await searched(run)
        logs.rename(away)
        await let_go(run)
        await searched(run)
        (away / "app.log.1").rename(away / "app.log.2")
        (away / "app.log").rename(away / "app.log.1")
        (away / "app.log").write_text("3\n")
        away.rename(logs)
        await run.tick_until(lambda: len(run.host.lines) >= 3)
        await let_go_of_rotated(run)
        assert run.host.lines == ["1", "2", "3"]
        assert run.host.capture.texts("warning") == []


def missed(run: Any) -> list[str]:
    return [text for text in run.host.capture.texts("error") if "gone before it could be opened" in text]


async def test_files_that_are_gone_before_they_are_opened(tmp_path: Path, follow: Any) -> None:
    """Each is counted, and a few are said; names that are not followed are nobody's concern."""
    log, other = tmp_path / "a.log", tmp_path / "b.log"
    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        log.rename(tmp_path / "a.log.1")
        log.write_text("nobody sees this\n")
        log.unlink()
        log.write_text("three\n")
        for _ in range(7):
            for path in (other, tmp_path / "b.tmp"):
                path.write_text("nor this\n")
                path.unlink()
        assert await run.lines(2) == ["one", "three"]
        await run.until(lambda: run.host.metric("missed_file_count") == 8)
        text = "a file that was {} was gone before it could be opened. What it held is lost"
        assert missed(run) == [text.format(log), *[text.format(other)] * 4]
    assert "gone before it could be opened: 3 more times in this source" in run.host.capture.texts("warning")


async def test_a_file_that_is_gone_while_it_is_looked_for(
    tmp_path: Path, follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened is read, though the next look finds its name no more."""
    log, places = tmp_path / "a.log", Looker.places

    def gone(looker: Looker, asks: Any, held: int = 0) -> Any:
        found = places(looker, asks, held)
        if log.exists() and log.read_text() == "two\n":
            log.unlink()
            log.write_text("three\n")
        return found

    log.write_text("one\n")
    async with follow(tmp_path) as run:
        await run.lines(1)
        monkeypatch.setattr(Looker, "places", gone)
        log.rename(tmp_path / "a.log.1")
        log.write_text("two\n")
        assert await run.lines(3) == ["one", "two", "three"]
        assert missed(run) == []
