"""The example of a filter that holds events back: it loses no line, however its program ends."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from examples.plugin_dir.filter_join import Join
from logpipe import BufferFull
from logpipe.testing import ManualClock, check_plugin, drive, pipeline
from tests.e2e.program import Logpipe
from tests.services.waiting import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE = 60
CONF = "start /^at /\n"

CONFIG = """
<source>
  @type tail
  path {folder}/in.log
  pos_file {folder}/in.pos
  tag t
  read_from_head true
  refresh_interval 1
  <parse>
    @type none
  </parse>
</source>
<filter t>
  @type join
  start /^at /
  separator +
  flush_interval 1h
</filter>
<match t>
  @type file
  path {folder}/out
  append true
  <format>
    @type single_value
  </format>
  <buffer []>
    @type file
    path {folder}/b
    flush_mode immediate
    flush_at_shutdown true
  </buffer>
</match>
"""


async def test_lines_become_events() -> None:
    """An event is complete when the next begins, tag by tag; the last one is complete at the end."""
    async with drive(Join, CONF) as stage:
        await stage.feed("a", *({"message": text} for text in ("at 1", "a", "at 2", "b")))
        await stage.feed("b", {"message": "at 9"})
        await stage.feed("a", {"message": "c"}, {"message": "at 3"})
        assert stage.records("a") == [{"message": "at 1\na"}, {"message": "at 2\nb\nc"}]
        assert stage.records("b") == []
    assert stage.records("a")[2:] == [{"message": "at 3"}]
    assert stage.records("b") == [{"message": "at 9"}]
    (line,) = [line for line in stage.graph.ledger().routes if line.name == "@ROOT"]
    assert (line.emitted, line.passed, dict(line.held)) == (7, 4, {})


async def test_what_nothing_follows_is_flushed() -> None:
    """The interval counts from an event's last line; a tag whose output takes nothing holds up no other."""
    clock = ManualClock()
    text = f"<filter *>\n@type join\n{CONF}flush_interval 4s\n</filter>\n" + "".join(
        f"<match {tag}>\n@type test\nname {tag}\n</match>\n" for tag in "ab"
    )
    async with pipeline(text, Join, clock=clock) as running:
        await running.feed("a", {"message": "at 1"})
        await clock.advance(3.0)
        await running.feed("a", {"message": "more"})
        await clock.advance(3.0)
        assert running.records(name="a") == []
        await clock.advance(2.0)
        assert running.records(name="a") == [{"message": "at 1\nmore"}]
        running.collector("a").refuse = BufferFull("no room")
        await running.feed("a", {"message": "at 2"})
        await running.feed("b", {"message": "at 9"})
        await clock.advance(6.0)
        assert running.records(name="b") == [{"message": "at 9"}]
        running.collector("a").refuse = None
        await clock.advance(10.0)
        assert running.records(name="a")[1:] == [{"message": "at 2"}]


async def test_it_keeps_the_contract_of_plugins() -> None:
    """What every plugin promises."""
    await check_plugin(Join, CONF, records=[{"message": text} for text in ("x", "at 1", "y", "z", "at 2", "w")])


def lines(folder: Path) -> list[str]:
    """Return the lines that have come, each by itself."""
    text = "".join(path.read_text() for path in folder.glob("out*.log"))
    return [line for event in text.splitlines() for line in event.split("+")]


@pytest.fixture
def logpipe(tmp_path: Path) -> Logpipe:
    """The program with the filter, between a log and a file."""
    config = tmp_path / "test.conf"
    config.write_text(CONFIG.format(folder=tmp_path))
    return Logpipe(config, tmp_path / "said", arguments=["-p", str(ROOT / "examples/plugin_dir")])


def write(folder: Path, *texts: str) -> None:
    """Append to the log."""
    with (folder / "in.log").open("a") as log:
        log.writelines(f"{text}\n" for text in texts)


def wait_for(folder: Path, *texts: str) -> None:
    """Wait until these lines have come."""
    wait_until(lambda: set(texts) <= set(lines(folder)), seconds=PATIENCE, what=f"{texts} among {lines(folder)}")


@pytest.mark.slow("the program is killed and started again")
def test_lines_that_are_held_survive_kill_9(tmp_path: Path, logpipe: Logpipe) -> None:
    """Their receipts have not settled, so that they are read again, the first line of their event included."""
    write(tmp_path, "at 1", "a", "at 2", "b")
    with logpipe.start():
        wait_for(tmp_path, "at 1", "a")
        write(tmp_path, "c")
        logpipe.kill()
    write(tmp_path, "d", "at 3")
    with logpipe.start():
        wait_for(tmp_path, "d")
        assert logpipe.stop() == 0
    assert Counter(lines(tmp_path)) >= Counter(["at 1", "a", "at 2", "b", "c", "d", "at 3"])
    assert "at 2+b+c+d" in "".join(path.read_text() for path in tmp_path.glob("out*.log"))


@pytest.mark.slow("the program reads its configuration again, and is started twice")
def test_lines_that_are_held_survive_all_else(tmp_path: Path, logpipe: Logpipe) -> None:
    """Over a rotation, a reload and a stop each line comes, and comes once; an event goes on in the next file."""
    write(tmp_path, "at 1", "a")
    with logpipe.start():
        wait_until(lambda: "following tail of" in logpipe.said, seconds=PATIENCE, what="the file to be followed")
        (tmp_path / "in.log").rename(tmp_path / "in.log.1")
        write(tmp_path, "b", "at 2", "c")
        wait_for(tmp_path, "at 1", "a", "b")
        assert "at 1+a+b\n" in "".join(path.read_text() for path in tmp_path.glob("out*.log"))
        logpipe.signal(signal.SIGHUP)
        wait_until(lambda: logpipe.said.count("starting by the configuration") == 1, seconds=PATIENCE, what="a reload")
        write(tmp_path, "d", "at 3", "e")
        wait_for(tmp_path, "at 2", "c", "d")
        assert logpipe.stop() == 0
    wait_for(tmp_path, "at 3", "e")
    write(tmp_path, "at 4", "f", "at 5")
    with logpipe.start():
        wait_for(tmp_path, "at 4", "f")
        assert logpipe.stop() == 0
    assert Counter(lines(tmp_path)) == Counter(["at 1", "a", "b", "at 2", "c", "d", "at 3", "e", "at 4", "f", "at 5"])
