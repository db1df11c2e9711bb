"""Buffer files to look at, and what a command says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from logpipe.testing import ManualClock
from tests.builtin.buffers.stages import conf, running

LONG = "flush_interval 1h"
SECOND = 1_000_000_000


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


async def fill(folder: Path, *, more: str = LONG, arg: str = "tag", kind: str = "sink", buffer: str = "file") -> Path:
    """Leave two chunks of two events each, tags a and b; returns the folder."""
    text = conf(folder, more, arg=arg, kind=kind, buffer=buffer)
    async with running(text, clock=ManualClock(start=1_700_000_000 * SECOND)) as pipe:
        for n, tag in enumerate("abab"):
            await pipe.feed(tag, {"n": n}, times=[1_700_000_000 * SECOND + n])
    return folder


def damage(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    file.write_bytes(content)
