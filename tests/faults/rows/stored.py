"""Rows 7 to 9: what is on disk is damaged, or somebody else's."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.e2e.program import Logpipe
from tests.faults import texts
from tests.faults.row import row
from tests.faults.trial import Lab, Trial

Damage = Callable[[Path, random.Random], None]
LINES: Final = 60
WRITES: Final = 6
FRAME: Final = 1500
"""Bytes around the lines of one write that belong to it: what frames them, and the last line itself."""


def _flip(file: Path, rnd: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[rnd.randrange(len(data))] ^= 1 << rnd.randrange(8)
    file.write_bytes(data)


def _cut(file: Path, rnd: random.Random) -> None:
    os.truncate(file, rnd.randrange(1, file.stat().st_size))


def _zero_tail(file: Path, rnd: random.Random) -> None:
    data = file.read_bytes()
    keep = rnd.randrange(1, len(data))
    file.write_bytes(data[:keep] + bytes(len(data) - keep))


def _garbage_at_end(file: Path, rnd: random.Random) -> None:
    with file.open("ab") as added:
        added.write(rnd.randbytes(100))


def _empty_beside(file: Path, _: random.Random) -> None:
    (file.parent / "buffer.b0123456789abcdef0123456789abcdef.log").touch()


def _alien_beside(file: Path, _: random.Random) -> None:
    (file.parent / "README.txt").write_text("nothing of logpipe's")
    (file.parent / "buffer.q61a0.log").write_bytes(b"\x00\x01\x02")


DAMAGES: Final[dict[str, Damage]] = {
    "a flipped bit": _flip,
    "a cut tail": _cut,
    "a tail of zeros": _zero_tail,
    "garbage at the end": _garbage_at_end,
    "an empty file": _empty_beside,
    "alien files": _alien_beside,
}


@row(7, "buffer files damaged: flipped bit, cut, zeros, empty, alien")
def damaged_buffer(lab: Lab) -> None:
    """Every intact record is delivered, and what is damaged is moved aside with a report."""
    for seed in range(lab.repeat(6, few=1)):
        for name, damage in DAMAGES.items():
            with lab.trial(f"{name} {seed}") as trial:
                _damage_chunks(trial, damage, random.Random(seed))


def _damage_chunks(trial: Trial, damage: Damage, rnd: random.Random) -> None:
    # Where lines are to go there is a folder, so that they stay in the buffer.
    in_the_way = trial.folder / "out/out.log"
    in_the_way.mkdir(parents=True)
    trial.start(_text(trial, flush="interval", more="flush_interval 2"))
    log = trial.log()
    for _ in range(WRITES):
        log.write(LINES)
        trial.wait(lambda: _stored(trial) == log.series.written, "all lines to be in the buffer")
    buffer = trial.folder / "buffer"
    trial.wait(lambda: _position(trial) == log.path.stat().st_size, "the position to move")
    trial.last.kill()
    chunk = max(buffer.glob("buffer.*.log"), key=lambda file: file.stat().st_size)
    whole = chunk.read_bytes()
    damage(chunk, rnd)
    damaged = chunk.read_bytes()
    trial.fired("damage", when=damaged != whole or len(list(buffer.glob("*.log"))) > 1)
    in_the_way.rmdir()
    logpipe = trial.start()
    log.write(LINES)
    harmed = _harmed(whole, damaged)
    trial.wait(lambda: trial.arrived() and _missing(trial) <= harmed, "all lines but the damaged ones")
    trial.wait(lambda: not list(buffer.glob("buffer.b*.log")), "the buffer to be empty")
    trial.end(logpipe)
    if missing := _missing(trial):
        reports = [path.name for path in (buffer / "corrupt").iterdir() if path.suffix == ".json"]
        assert any(name.startswith(chunk.name.partition(".log")[0]) for name in reports), f"no report: {reports}"
        trial.set_aside = len(missing)


def _harmed(whole: bytes, damaged: bytes) -> set[int]:
    """Return the lines that damage may cost: of each write, all or none, and those only that it touches."""
    if whole == damaged[: len(whole)]:
        return set()
    longest = max(len(whole), len(damaged))
    differing = [at for at in range(longest) if whole[at : at + 1] != damaged[at : at + 1]]
    places = {int(found[1]): found.start() for found in re.finditer(rb"app (\d{8}) ", whole)}
    harmed: set[int] = set()
    for first in range(0, max(places) + 1, LINES):
        numbers = [number for number in range(first, first + LINES) if number in places]
        if not numbers:
            continue
        begin, end = places[numbers[0]] - FRAME, places[numbers[-1]] + FRAME
        if any(begin <= at <= end for at in (differing[0], differing[-1])) or differing[0] < begin <= differing[-1]:
            harmed.update(numbers)
    return harmed


@row(8, "position file damaged: cut, empty, garbage, not UTF-8, unwatched rows")
def damaged_positions(lab: Lab) -> None:
    """Bad rows are left out, others kept; a file whose row is bad is read again from its beginning."""
    damages: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda _: b"",
        "cut": lambda content: content[: len(content) - 20],
        "zeros": lambda content: bytes(len(content)),
        "garbage and bytes that are no UTF-8": lambda content: b"\xff\xfe\tnonsense\n" + content,
        "a row of an unwatched file": lambda content: b"/gone.log\t" + b"f" * 16 + b"\t" + b"0" * 16 + b"\n" + content,
        "a row without its end": lambda content: content + b"/somewhere.log\t0000",
        "no heads": lambda content: content,
    }
    for name, damage in damages.items():
        with lab.trial(f"positions: {name}") as trial:
            trial.may_repeat = True
            logs = [trial.log("a"), trial.log("b")]
            logpipe = trial.start(_text(trial))
            for log in logs:
                log.write(LINES)
            trial.wait_for_all()
            trial.end(logpipe)
            file = trial.folder / "state/pos"
            content = file.read_bytes()
            assert content.count(b"\n") == len(logs)
            file.write_bytes(damage(content))
            if name == "no heads":
                (trial.folder / "state/pos.heads").unlink()
            trial.fired(name)
            for log in logs:
                log.write(LINES)
            logpipe = trial.start()
            trial.wait_for_all()
            trial.end(logpipe)
            if name in {"garbage and bytes that are no UTF-8", "a row of an unwatched file", "a row without its end"}:
                assert not trial.account.duplicates, "good rows were not kept"


@row(9, "two instances on one buffer or position file")
def two_instances(lab: Lab) -> None:
    """The second one refuses to start and says why; the first goes on."""
    for shared in ("buffer", "pos"):
        with lab.trial(f"two on one {shared}") as trial:
            log = trial.log()
            logpipe = trial.start(_text(trial))
            log.write(LINES)
            trial.wait_for_all()
            # The second one has the other thing for itself.
            own = trial.folder / "own"
            text = _text(trial)
            text = (
                text.replace("state/pos", "own/pos")
                if shared == "buffer"
                else text.replace(f"{trial.folder}/buffer", f"{own}/buffer")
            )
            own.mkdir()
            (trial.folder / "conf").write_text(text)
            second = trial.start()
            trial.wait(partial(_ended, second), "the second one to refuse")
            said = trial.said
            trial.fired("refused", when=re.search(r"cannot run: .*(use|lock|process)", said))
            logpipe.still_runs()
            log.write(LINES)
            trial.wait(partial(_complete, trial), "the first one to go on")
            trial.end(logpipe)


def _ended(program: Logpipe) -> bool:
    return not program.runs


def _complete(trial: Trial) -> bool:
    return trial.arrived() == trial.account.written


def _text(trial: Trial, *, flush: str = "immediate", more: str = "") -> str:
    return texts.tail(trial.folder) + texts.to_file(trial.folder, flush=flush, more=more)


def _position(trial: Trial) -> int:
    rows = (trial.folder / "state/pos").read_text().splitlines()
    return sum(int(row.split("\t")[1], 16) for row in rows)


def _lines_in(content: bytes) -> set[int]:
    return {int(number) for number in re.findall(rb"app (\d{8}) ", content)}


def _missing(trial: Trial) -> set[int]:
    trial.arrived()
    return set(trial.account.open("app").missing())


def _stored(trial: Trial) -> int:
    """Return how many lines are in the buffer's files."""
    return len(_lines_in(b"".join(file.read_bytes() for file in (trial.folder / "buffer").glob("buffer.*"))))
