"""`make fuzz ARGS="--decoders"`: any bytes through the decoders of what comes from the network.

Where atheris is installed (`.venv/bin/pip install atheris`) it leads the bytes by what of the code they reach; without
it they are seeds with damage.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Final

NAMES: Final = ("forward", "msgpack", "syslog", "http")
JOBS: Final = 2
"""Decoders at a time."""
INPUT_SECONDS: Final = 30
"""How long one input may take."""
MEGABYTES: Final = 1024
LONGEST: Final = 8192
"""Bytes of an input."""


def fuzz(names: Sequence[str], seconds: float, seed: int) -> int:
    """Fuzz decoders, each for so long in a process of its own; returns the exit status."""
    how = "atheris" if find_spec("atheris") else "damaged seeds, since atheris is not installed"
    print(f"fuzz: {', '.join(names)} for {seconds:g} s each, by {how}", flush=True)  # noqa: T201
    with ThreadPoolExecutor(JOBS) as pool:
        return 1 if any(list(pool.map(lambda name: _fuzzed(name, seconds, seed), names))) else 0


def _fuzzed(name: str, seconds: float, seed: int) -> bool:
    """Fuzz one, and say what came of it; returns whether anything was found."""
    command = [sys.executable, "-m", "tests.fuzz.decoding", name, str(seconds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    said = done.stdout + done.stderr
    runs = re.findall(r"^Done (\d+) ", said, re.MULTILINE)
    reached = re.findall(r" cov: (\d+) ", said)
    if done.returncode or not runs:
        print(f"== {name}: status {done.returncode}\n{said[-8000:]}", flush=True)  # noqa: T201
        return True
    places = f", {int(reached[-1]):,} places in the code reached" if reached else ""
    print(f"fuzz: {name}: {int(runs[-1]):,} inputs{places}, no finding", flush=True)  # noqa: T201
    return False


def again(name: str, path: Path) -> int:
    """Run one input once more."""
    from tests.fuzz.decoders import DECODERS  # noqa: PLC0415 - after atheris, see `_with_atheris`

    DECODERS[name].check(path.read_bytes())
    return 0


def damaged(seeds: Sequence[bytes], random: Random) -> Iterator[bytes]:
    """Yield seeds with bytes changed, taken out, put in, doubled, or from another seed; without end."""
    while True:
        data = bytearray(random.choice(seeds))
        for _ in range(random.randrange(1, 6)):
            place = random.randrange(len(data) + 1)
            stop = place + random.choice((0, 1, 1, 4, 30))
            other = random.choice(seeds)
            start = random.randrange(len(other) + 1)
            data[place:stop] = random.choice(
                (
                    random.randbytes(random.choice((0, 1, 1, 2, 4))),
                    random.choice((b"\0", b"\xff", b"\x80", b"\n", b"9", b"<", b'"', b"["))
                    * random.choice((1, 1, 300)),
                    data[place:stop] * 2,
                    other[start : start + 40],
                )
            )
        yield bytes(data[:LONGEST])


def _with_atheris(name: str, seconds: float, seed: int, folder: Path) -> None:
    import atheris  # type: ignore[import-not-found] # noqa: PLC0415 - where it is installed

    with atheris.instrument_imports(include=["logpipe"]):
        from tests.fuzz.decoders import DECODERS  # noqa: PLC0415

    decoder = DECODERS[name]
    for each in decoder.seeds:
        (folder / sha1(each, usedforsecurity=False).hexdigest()).write_bytes(each)
    findings = Path(tempfile.gettempdir()) / f"logpipe-fuzz-{name}-"
    options = (
        f"-max_total_time={seconds:g}",
        f"-seed={seed}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={findings}",
        "-print_final_stats=1",
    )
    atheris.Setup([sys.argv[0], str(folder), *options], decoder.check)
    atheris.Fuzz()


def _without_atheris(name: str, seconds: float, seed: int) -> None:
    from tests.fuzz.decoders import DECODERS  # noqa: PLC0415

    decoder = DECODERS[name]
    end, count = time.monotonic() + seconds, 0
    for data in damaged(decoder.seeds, Random(seed)):
        try:
            decoder.check(data)
        except BaseException:  # noqa: BLE001 - whatever it is, it is what we look for
            path = Path(tempfile.gettempdir()) / f"logpipe-fuzz-{name}-{sha1(data, usedforsecurity=False).hexdigest()}"
            path.write_bytes(data)
            traceback.print_exc()
            print(f"the input is in {path}")  # noqa: T201
            raise SystemExit(1) from None
        count += 1
        if time.monotonic() > end:
            break
    print(f"Done {count} runs")  # noqa: T201


if __name__ == "__main__":
    logging.disable()
    _name, _seconds, _seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    if find_spec("atheris"):
        with tempfile.TemporaryDirectory(prefix="logpipe-fuzz-") as _folder:
            _with_atheris(_name, _seconds, _seed, Path(_folder))
    else:
        _without_atheris(_name, _seconds, _seed)
