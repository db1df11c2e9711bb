"""From fluentd to logpipe and back, in the middle of a log that is rotated, with full buffers.

With FLUENTD in the environment, the path of a real fluentd, the two take turns. Without it there are folders as fluentd
leaves them and as it reads them, by the rules of its source (tests/fluentd_folder.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe.testing import wait_for
from tests.e2e.program import Logpipe
from tests.e2e.takeover import AT_ONCE, NEVER, Place, fluentd

LONG = pytest.mark.long(
    "20,000 lines three times for each buffer, each end and each direction; a shorter one runs always"
)
TURNS = [
    pytest.param(2_000, id="short", marks=pytest.mark.slow("the program is started")),
    *(pytest.param(20_000, id=f"turn-{turn}", marks=LONG) for turn in (1, 2, 3)),
]
KINDS = [pytest.param("file", id="file"), pytest.param("file_single", id="file_single", marks=LONG)]
needs_fluentd = pytest.mark.skipif(not fluentd(), reason="FLUENTD names no fluentd: recorded folders are used instead")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A folder with an empty log."""
    return Place(tmp_path, request.param)


def goes_on(program: Logpipe, is_done: bool) -> bool:  # noqa: FBT001 - what is waited for
    """Return what is waited for, as long as the program runs."""
    program.still_runs()
    return is_done


async def begin(place: Place, program: Logpipe, lines: int, end: str) -> None:
    """Have a program read over a rotation, and end it: in order when it has read all, or in the middle."""
    place.write(lines // 4)
    with program.start():
        await wait_for(lambda: goes_on(program, place.has_read_all), "the first lines")
        place.write(lines // 8)
        place.rotate()
        place.write(lines // 8)
        if end == "KILL":
            await wait_for(lambda: goes_on(program, place.has_chunks), "a chunk")
            program.kill()
            return
        await wait_for(lambda: goes_on(program, place.has_read_all), "all lines")
        assert program.stop() == 0, program.said


async def finish(place: Place, program: Logpipe, end: str) -> None:
    """Have a program deliver what there is, and judge: nothing is lost, nothing comes twice unless after a kill."""
    with program.start():
        await wait_for(lambda: goes_on(program, len(place.delivered) == place.written), "all lines in the output")
        assert program.stop() == 0, program.said
    judge(place.delivered, place, end)


def judge(found: dict[str, int], place: Place, end: str) -> None:
    """Compare lines with what was written."""
    assert place.expected() - found.keys() == set(), "lost"
    assert found.keys() - place.expected() == set(), "altered"
    repeated = sum(found.values()) - len(found)
    assert repeated == 0 or end == "KILL"


def while_nobody_runs(place: Place, lines: int) -> None:
    """Rotate, and write the rest."""
    place.write(lines // 4)
    place.rotate()
    place.write(lines - place.written)


@pytest.mark.parametrize("lines", TURNS)
@pytest.mark.parametrize("end", ["TERM", "KILL"])
async def test_logpipe_takes_over_a_recorded_folder(end: str, lines: int, place: Place) -> None:
    """Chunks with and without metadata, staged and queued, and positions of rotated files."""
    place.write(lines // 4)
    place.rotate()
    place.write(lines // 4)
    place.leave_as_fluentd(behind=100 if end == "KILL" else 0)
    while_nobody_runs(place, lines)
    await finish(place, place.program(AT_ONCE), end)
    assert not [path for path in place.buffer.iterdir() if path.name != "lock"]


@pytest.mark.parametrize("lines", TURNS)
@pytest.mark.parametrize("end", ["TERM", "KILL"])
async def test_fluentd_finds_all_that_logpipe_leaves(end: str, lines: int, place: Place) -> None:
    """Chunks by `buffer export`, positions as they are."""
    await begin(place, place.program(NEVER), lines, end)
    place.export()
    while_nobody_runs(place, lines)
    judge(place.delivered + place.found_by_fluentd(), place, end)


@needs_fluentd
@pytest.mark.parametrize("lines", TURNS[1:])
@pytest.mark.parametrize("end", ["TERM", "KILL"])
async def test_logpipe_takes_over_from_a_real_fluentd(end: str, lines: int, place: Place) -> None:
    """The same with what a real one leaves."""
    await begin(place, place.program(NEVER, fluentd()), lines, end)
    while_nobody_runs(place, lines)
    await finish(place, place.program(AT_ONCE), end)


@needs_fluentd
@pytest.mark.parametrize("lines", TURNS[1:])
@pytest.mark.parametrize("end", ["TERM", "KILL"])
async def test_a_real_fluentd_takes_over_from_logpipe(end: str, lines: int, place: Place) -> None:
    """The same with what a real one finds."""
    await begin(place, place.program(NEVER), lines, end)
    place.export()
    while_nobody_runs(place, lines)
    await finish(place, place.program(AT_ONCE, fluentd()), end)


@needs_fluentd
@LONG
async def test_back_and_forth(place: Place) -> None:
    """To fluentd and to logpipe again: what fluentd has read meanwhile is not read anew."""
    await begin(place, place.program(NEVER), 4_000, "TERM")
    place.export()
    await begin(place, place.program(NEVER, fluentd()), 4_000, "TERM")
    while_nobody_runs(place, 8_000)
    await finish(place, place.program(AT_ONCE), "TERM")
