"""logpipe is killed at every named point of the buffer's work, and again while it recovers: no line is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.builtin.buffers.stages import files
from tests.killing import Machine

POINTS = [
    "buffer.folder",
    "buffer.opened",
    "buffer.written",
    "buffer.created",
    "buffer.synced",
    "buffer.delete",
    "buffer.deleted",
]


@pytest.mark.parametrize(
    ("point", "number"), [*((point, 1) for point in POINTS), ("buffer.written", 4), ("buffer.delete", 3)]
)
def test_killed_at_a_point(point: str, number: int, tmp_path: Path) -> None:
    """At its first passing and at a later one."""
    machine = Machine(tmp_path, compress="gzip" if number == 4 else "text")
    machine.run_to(f"{point}:{number}")
    machine.run_to_the_end()


@pytest.mark.long("the program is killed and started again until it comes to its end")
@pytest.mark.parametrize("again", ["buffer.resumed", "buffer.delete", "buffer.deleted", "buffer.synced"])
def test_killed_again_while_it_recovers(again: str, tmp_path: Path) -> None:
    """Twice, after a first kill."""
    machine = Machine(tmp_path, memory="32m")
    machine.run_to("buffer.synced:3")
    machine.run_to(f"{again}:1")
    machine.run_to(f"{again}:1")
    machine.run_to_the_end()


@pytest.mark.long("the program is killed and started again until it comes to its end")
@pytest.mark.parametrize("point", ["buffer.damaged", "buffer.reported"])
def test_killed_while_it_salvages(point: str, tmp_path: Path) -> None:
    """A torn file, salvaged once more after the crash, with one report of it in the end."""
    machine = Machine(tmp_path)
    machine.run_to("buffer.synced:2")
    *_, torn = files(tmp_path / "b")  # the two syncs were those of one chunk or of two, as the time went
    with torn.open("ab") as file:
        file.write(torn.read_bytes()[:100])
    machine.run_to(f"{point}:1")
    machine.run_to(f"{point}:1")
    machine.run_to_the_end()
    # a kill may tear the chunk that is written at that moment too, which then has a report of its own
    reports = [path.name for path in (tmp_path / "b" / "corrupt").iterdir() if path.suffix == ".json"]
    assert reports.count(f"{torn.name}.json") == 1


@pytest.mark.long("the program is killed and started again until it comes to its end")
def test_killed_anywhere_again_and_again(tmp_path: Path) -> None:
    """At moments of no choice."""
    machine = Machine(tmp_path, memory="1k")
    for _ in range(3):
        with machine.running() as process:
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                machine.write()
                time.sleep(0.01)
            assert process.poll() is None, machine.said()
    machine.run_to_the_end()
