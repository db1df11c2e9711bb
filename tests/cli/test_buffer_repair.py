"""`logpipe buffer repair`: damage goes aside, what is intact stays."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builtin.buffers.stages import conf, files, lines, running, sink
from tests.builtin.buffers.test_fluentd_chunks import event, leave
from tests.cli.chunk_files import LONG, SECOND, Done, Run, damage, fill
from tests.cli.test_command_line import environment


@pytest.mark.parametrize("kind", ["sink", "lines"])
@pytest.mark.parametrize("more", ["", "\ncompress gzip"])
async def test_repair_keeps_what_is_intact(buffer: Run, kind: str, more: str, tmp_path: Path) -> None:
    """Nothing without --apply; afterwards all is intact, the engine delivers it, and a report tells."""
    await fill(tmp_path, kind=kind, more=LONG + more)
    broken, other = files(tmp_path)
    with broken.open("ab") as file:
        file.write(broken.read_bytes()[:50])  # the next frame was torn off
    before, mode = broken.read_bytes(), stat.S_IMODE(broken.stat().st_mode)

    dry = buffer("repair", tmp_path)
    assert dry.status == 1
    assert "would keep 2 records" in dry.out
    assert "--apply" in dry.out
    assert (broken.read_bytes(), sorted(tmp_path.iterdir())) == (before, sorted([broken, other]))

    done = buffer("repair", tmp_path, "--apply")
    assert done.status == 0
    assert done.out.startswith(f"{broken}: 2 records kept")
    assert "nothing" not in done.out
    assert (tmp_path / "corrupt" / f"{broken.name}.damaged").read_bytes() == before[-50:]
    report = json.loads((tmp_path / "corrupt" / f"{broken.name}.json").read_text())
    assert report["records_saved"] == 2
    assert buffer("verify", tmp_path).status == 0
    assert "1 reports of damage" in buffer("ls", tmp_path).out
    assert stat.S_IMODE(broken.stat().st_mode) == mode

    async with running(conf(tmp_path, LONG, arg="tag", kind=kind)) as pipe:
        await pipe.flush()
        delivered = lines(pipe) if kind == "lines" else sink(pipe)
        assert len(delivered.records) == 4
        assert pipe.log.texts("warning") == []
    assert files(tmp_path) == []


async def test_repair_of_the_middle_counts_anew(buffer: Run, tmp_path: Path) -> None:
    """One record of a frame is gone; the others have their times, in order."""
    async with running(conf(tmp_path, LONG)) as pipe:
        for start in (0, 100, 200):
            numbers = range(start, start + 100)
            await pipe.feed("x", *({"n": n} for n in numbers), times=[n * SECOND for n in numbers])
    (file,) = files(tmp_path)
    damage(file, file.read_bytes().index(b'{"n":150}') + 2)
    assert buffer("repair", tmp_path, "--apply").status == 0
    rows = json.loads(buffer("ls", tmp_path, "--format", "json").out)
    assert (rows["records"], rows["damage"]) == (299, "")
    async with running(conf(tmp_path, LONG)) as pipe:
        await pipe.flush()
        ((_, events),) = sink(pipe).chunks
    expected = [n for n in range(300) if n != 150]
    assert [(event.record["n"], event.time) for _, event in events] == [(n, n * SECOND) for n in expected]


@pytest.mark.parametrize("point", ["buffer.damaged", "buffer.reported", "buffer.replacing", "buffer.replaced"])
async def test_repair_may_be_killed(buffer: Run, point: str, tmp_path: Path) -> None:
    """At any moment the file is as it was, or repaired; doing it again ends it."""
    await fill(tmp_path)
    broken, _ = files(tmp_path)
    with broken.open("ab") as file:
        file.write(broken.read_bytes()[:50])
    command = [sys.executable, "-m", "logpipe", "buffer", "repair", "--apply", str(tmp_path)]
    # the two replacements before are those of what is put aside
    number = 3 if point.startswith("buffer.repl") else 1
    dead = subprocess.run(command, check=False, env={**environment(), "LOGPIPE_FAULT": f"{point}:{number}"})
    assert dead.returncode == -signal.SIGKILL
    assert len(buffer("cat", tmp_path).out.splitlines()) == 4
    assert buffer("repair", tmp_path, "--apply").status == 0
    assert buffer("verify", tmp_path).out.endswith("2 chunks, 4 records intact, 0 chunks damaged\n")
    assert len(list((tmp_path / "corrupt").glob("*.damaged"))) == 1


async def test_repair_of_what_has_nothing_intact_moves_it(buffer: Run, tmp_path: Path) -> None:
    """A chunk of nonsense is no chunk any more."""
    await fill(tmp_path)
    broken, other = files(tmp_path)
    broken.write_bytes(b"nonsense" * 100)
    assert buffer("repair", tmp_path, "--apply").status == 0
    assert files(tmp_path) == [other]
    assert (tmp_path / "corrupt" / f"{broken.name}.damaged").read_bytes() == b"nonsense" * 100
    assert buffer("repair", tmp_path, "--apply") == Done(0, "nothing is damaged\n", "")


def test_damage_in_chunks_of_fluentd_is_left_to_the_engine(buffer: Run, tmp_path: Path) -> None:
    """Which delivers what is intact, and keeps the file."""
    file = leave(tmp_path, 1, event(1) + event(2)[:-3], meta={"tag": "a"})
    assert buffer("verify", tmp_path).status == 1
    done = buffer("repair", tmp_path, "--apply")
    assert done.status == 1
    assert "when it is started" in done.out
    assert file.exists()
