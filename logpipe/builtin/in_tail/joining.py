"""Events of several lines: which lines of a file are one, and how long the last one waits for more.

Lines that may still go on stay unread: the offset stands at the first of them. So they are there again after a crash,
a rotation or a restart, and take no memory until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from logpipe import Clock
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.table import Trail
from logpipe.codec import Joined

LONGEST_EVENT: Final = 4 * 1024 * 1024
"""Bytes of lines that are joined; those of a longer event go as one when so many are there."""

MOST_LINES: Final = 65_536
"""Lines that are joined: four million empty ones would be few bytes."""

PACE: Final = 16 * 1024 * 1024
"""Bytes per second of lines that are read again since something was added: a long event may grow line by line."""

LARGE: Final = 256 * 1024
"""Bytes of an event from which on that matters."""

_JUST_NOW: Final = 1_000_000_000
"""Nanoseconds since the last write within which an event may not be whole."""


class Split(NamedTuple):
    """Lines as they belong together, each still as it stands in the file."""

    alone: list[bytes]
    """Those before the first event."""
    events: list[bytes]
    """The lines of each whole event, with their ends between them."""
    held: list[bytes]
    """Those that may go on."""


class Joining:
    """Joins the lines of one `<source>`, and tells which files hold lines for too long."""

    def __init__(self, join: Callable[[list[bytes]], Joined], interval: float | None, clock: Clock) -> None:
        """Join lines as `join` says; the last event of a file waits for `interval` seconds, or for the next one."""
        self._join = join
        self._interval = interval
        self._clock = clock
        self._waiting: dict[Generation, tuple[Trail, float]] = {}
        """Files that hold lines, and since when nothing was added: monotonic seconds."""

    def split(self, lines: list[bytes], cleaned: list[bytes], end: bytes, *, whole: bool, full: bool) -> Split:
        """Return the lines, which end with `end`, as they belong together; `cleaned` are the same for a parser.

        If `whole`, the last event goes on no more. If as many bytes were read as may be joined, `full`, it does not
        either, unless it begins behind the first line: then it is read from there.
        """
        alone, ends = self._join(cleaned)
        begin = ends[-1] if ends else alone
        if begin < len(lines) and (whole or (full and begin == 0) or len(lines) - begin >= MOST_LINES):
            ends = [*ends, len(lines)]
        starts = [alone, *ends]
        events = [end.join(lines[start:stop]) for start, stop in zip(starts, ends, strict=False)]
        return Split(lines[:alone], events, lines[starts[-1] :])

    def hold(self, trail: Trail, generation: Generation, size: int) -> None:
        """Note how many bytes of a file wait for more, 0 that none do."""
        if not size:
            self._waiting.pop(generation, None)
        elif size != generation.held:
            self._waiting[generation] = (trail, self._clock.monotonic())
        generation.held, generation.held_enough = size, False

    def overdue(self) -> Iterator[tuple[Trail, Generation]]:
        """Yield files whose last event has waited for long enough, marked so that the next read passes it on."""
        now = self._clock.monotonic()
        for generation, (trail, since) in list(self._waiting.items()):
            if generation.finished or generation not in trail.generations:
                del self._waiting[generation]
            elif self._interval is not None and now - since >= self._interval:
                generation.held_enough = True
                yield trail, generation

    def last(self, *, kept: bool) -> Iterator[tuple[Trail, Generation]]:
        """Yield files whose last event is to be passed on before everything ends, marked like those.

        Where positions are `kept`, that is none to which something was written just now: the next run reads it whole.
        """
        now = time.time_ns()
        for generation, (trail, _) in list(self._waiting.items()):
            is_alive = not generation.finished and generation in trail.generations
            if is_alive and not (kept and now - generation.modified < _JUST_NOW):
                generation.held_enough = True
                yield trail, generation
