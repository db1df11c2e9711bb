"""How costs grow with what there is: part of `make bench`, and alone `python -m tests.benchmarks.growth`.

Each figure is CPU seconds of a whole process, less what the same takes with one of the things. What grows linearly
takes ten times as long for ten times as many.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from tests.benchmarks.idle import cpu_seconds
from tests.benchmarks.measure import PATIENCE, PAUSE, FailedError, run

STEPS: Final = (100, 1_000, 10_000)
MOST: Final = 1.3
"""How much more than linear a step may be: shared machines are not steadier than that."""
LEAST: Final = 0.1
"""CPU seconds; less is too little to be compared, and counts as so much."""
TURNS: Final = 20
REPEATS: Final = 3
"""How often each is measured, in turns; the least counts, since what else the machine does only adds to it."""

TAIL: Final = """
<source>
  @type tail
  path {folder}/logs/*.log
  pos_file {folder}/tail.pos
  tag {tag}
  read_from_head true
  <parse>
    @type json
  </parse>
</source>
"""


@dataclass(frozen=True)
class Growth:
    """The costs of one thing."""

    name: str
    costs: dict[int, float]

    def row(self) -> str:
        """Return them as a line: each beside how many times the step before it is."""
        parts = []
        before: tuple[int, float] | None = None
        worst = 0.0
        for count, seconds in self.costs.items():
            part = f"{count:,}: {seconds:.2f} s"
            if before is not None and seconds >= LEAST:
                factor = seconds / max(before[1], LEAST)
                worst = max(worst, factor / (count / before[0]))
                part += f" ({factor:.1f} times)"
            parts.append(part)
            before = count, seconds
        verdict = "met" if worst <= MOST else "MISSED"
        return f"    {self.name}: {', '.join(parts)}, {verdict}: at most linear"


def rotated_at_once(folder: Path, count: int) -> float:
    """Return what it takes to follow so many files through their rotation, all of them at once."""
    (folder / "logs").mkdir()
    names = [folder / "logs" / f"{number}.log" for number in range(count)]
    for name in names:
        name.write_text('{"a": 1}\n')
    with _Running(folder, TAIL.format(folder=folder, tag="t") + _NULL) as running:
        running.wait_for_positions(count, 9)
        before = running.cpu_seconds()
        for name in names:
            name.rename(name.with_suffix(".old"))
            name.write_text('{"a": 22}\n')
        running.wait_for_positions(count, 10)
        return running.cpu_seconds() - before


def beside_others(folder: Path, count: int) -> float:
    """Return what some rotations of one file take, so many others being in its folder."""
    (folder / "logs").mkdir()
    for number in range(count):
        (folder / "logs" / f"{number}.txt").touch()
    name = folder / "logs" / "a.log"
    name.write_text('{"a": 1}\n')
    with _Running(folder, TAIL.format(folder=folder, tag="t") + _NULL) as running:
        running.wait_for_positions(1, 9)
        before = running.cpu_seconds()
        for turn in range(TURNS):
            name.rename(name.with_suffix(f".{turn}"))
            content = json.dumps({"a": "x" * turn}) + "\n"
            name.write_text(content)
            running.wait_for_positions(1, len(content))
        return running.cpu_seconds() - before


def tags(folder: Path, count: int) -> float:
    """Return what as many events take, each with a tag of its own."""
    lines = "".join(f'{{"a": "x{number}"}}\n' for number in range(count))
    rules = "<match t>\n@type rewrite_tag_filter\n<rule>\nkey a\npattern /(.+)/\ntag tag.$1\n</rule>\n</match>\n"
    match = "<match tag.**>\n@type null\n<buffer tag>\n@type memory\nflush_interval 1s\n</buffer>\n</match>\n"
    return _reading(folder, lines, rules + match)


def rules(folder: Path, count: int) -> float:
    """Return what checking as many `<match>` takes."""
    return _checking(folder, "".join(f"<match t{number}.**>\n@type null\n</match>\n" for number in range(count)))


def labels(folder: Path, count: int) -> float:
    """Return what checking as many labels takes, each sending on to the next."""
    text = "".join(
        f"<label @L{number}>\n<match **>\n@type relabel\n@label @L{number + 1}\n</match>\n</label>\n"
        for number in range(count)
    )
    last = f"<label @L{count}>\n<match **>\n@type null\n</match>\n</label>\n"
    return _checking(folder, f"<match **>\n@type relabel\n@label @L0\n</match>\n{text}{last}")


def fields(folder: Path, count: int) -> float:
    """Return what twenty records of so many fields take, through a filter and to a file."""
    line = json.dumps({f"field{number}": number for number in range(count)}) + "\n"
    change = '<filter t>\n@type record_transformer\n<record>\nnew ${record["field0"]}\n</record>\n</filter>\n'
    output = f"<match t>\n@type file\npath {folder}/out\n<buffer>\nflush_interval 1s\n</buffer>\n</match>\n"
    return _reading(folder, line * TURNS, change + output)


def lines(folder: Path, count: int) -> float:
    """Return what checking a configuration of so many lines takes."""
    entries = "".join(f"  key{number} value{number}\n" for number in range(count))
    return _checking(folder, f"<filter t>\n@type record_transformer\n<record>\n{entries}</record>\n</filter>\n{_NULL}")


_NULL: Final = "<match **>\n  @type null\n</match>\n"

THINGS: Final[dict[str, Callable[[Path, int], float]]] = {
    "files rotated at once": rotated_at_once,
    f"{TURNS} rotations of a file with others in its folder": beside_others,
    "events with a tag each": tags,
    "<match>, checked": rules,
    "labels in a row, checked": labels,
    f"fields in each of {TURNS} records": fields,
    "lines of a configuration, checked": lines,
}


def _reading(folder: Path, content: str, rest: str) -> float:
    (folder / "logs").mkdir()
    (folder / "logs" / "a.log").write_text(content)
    with _Running(folder, TAIL.format(folder=folder, tag="t") + rest) as running:
        running.wait_for_positions(1, len(content))
        return running.cpu_seconds()


def _checking(folder: Path, text: str) -> float:
    path = folder / "logpipe.conf"
    path.write_text(text)
    program = str(Path(sys.executable).with_name("logpipe"))
    return run([program, "check", str(path)], output=folder / "said").cpu_seconds


class _Running:
    """The program on a configuration, ended at the end of the block."""

    def __init__(self, folder: Path, text: str) -> None:
        (folder / "logpipe.conf").write_text(text)
        self._folder = folder
        command = [sys.executable, "-m", "logpipe", "-c", str(folder / "logpipe.conf")]
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def cpu_seconds(self) -> float:
        """Return what it has taken so far."""
        return cpu_seconds(self._process)

    def wait_for_positions(self, files: int, position: int) -> None:
        """Wait until so many files are delivered up to a position."""
        wanted = f"\t{position:016x}\t".encode()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            path = self._folder / "tail.pos"
            if path.exists() and path.read_bytes().count(wanted) >= files:
                return
            time.sleep(PAUSE)
        said = (self._folder / "said").read_text(errors="replace")
        raise FailedError(f"logpipe did not get to {position} of {files:,} files:\n{said[-2000:]}")


def measure(name: str, *, steps: tuple[int, ...] = STEPS) -> Growth:
    """Return how the cost of one of `THINGS` grows."""
    rounds = [{count: _cost(name, count) for count in (1, *steps)} for _ in range(REPEATS)]
    least = {count: min(each[count] for each in rounds) for count in rounds[0]}
    return Growth(name, {count: max(0.0, least[count] - least[1]) for count in steps})


def _cost(name: str, count: int) -> float:
    with TemporaryDirectory(prefix="logpipe-growth-") as folder:
        return THINGS[name](Path(folder), count)


def report(*, steps: tuple[int, ...] = STEPS) -> list[str]:
    """Return the figures as lines of text."""
    return ["how costs grow, CPU seconds", *(measure(name, steps=steps).row() for name in THINGS)]


if __name__ == "__main__":
    for thing in THINGS:
        sys.stdout.write(measure(thing).row() + "\n")
        sys.stdout.flush()
