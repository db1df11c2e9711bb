"""Reads one slice of one file: a block, its lines, their events, and on to the outputs.

What a slice costs is bounded, whatever the file holds: a block of bytes, a number of lines, one batch on its way. The
wait for the outputs is the back-pressure; the offset moves when they have accepted.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from logpipe import BufferFull, InputHost, Receipt
from logpipe.builtin.in_tail.accounting import Counts
from logpipe.builtin.in_tail.cuts import Cuts
from logpipe.builtin.in_tail.following import Following
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.joining import LARGE, LONGEST_EVENT, PACE, Joining
from logpipe.builtin.in_tail.lines import (
    HOLE,
    EventMaker,
    Lines,
    Made,
    last_character,
    line_format,
    whole_lines,
)
from logpipe.builtin.in_tail.logfile import Rewritten
from logpipe.builtin.in_tail.open_files import BLOCK, Reads
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.schedule import Throttle
from logpipe.builtin.in_tail.table import Trail

POOL: Final = 4 * 1024 * 1024
"""Bytes of blocks whose events wait for outputs at the same time, more or less: with many waiting, blocks get small."""

SMALLEST_BLOCK: Final = 16 * 1024

MOST_LINES: Final = 8192
"""Lines of one batch: a block of empty lines would make half a million events."""

LONGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes of a line that become its event where max_line_size is not given."""

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
LONGEST_ERROR_PAUSE: Final = 60.0
MOST_FAILURES: Final = 10

OFTEN: Final = 50
"""Times in a row that a file may be written anew at once before reading it is put off."""

AT_ONCE: Final = 0.5
"""Seconds from one such time to the next; who cuts a file every second is read every time."""

CALM: Final = 10.0
"""Seconds without that after which a file that was put off is read as any other one."""

_NEVER_STILL: Final = (
    "%s is written anew all the time: it is read once in a while until it stands still for %d seconds. "
    "Name it in exclude_path if it is no log"
)

Make: TypeAlias = Callable[[Trail, list[bytes], Receipt], Made]


@dataclass(slots=True)
class _Slice:
    """A block on its way through."""

    trail: Trail
    generation: Generation
    data: bytes
    place: int
    """The first byte of `data` that is not dealt with."""
    at_end: bool
    """Whether the file held nothing more when it was read."""


class Reader:
    """Reads the files of one `<source>`, for a Schedule to call."""

    def __init__(self, options: TailOptions, host: InputHost, following: Following, throttle: Throttle) -> None:
        """Raise InvalidSetting where there is no such encoding."""
        self._host = host
        self._files = following.registry.files
        self._messages = following.registry.messages
        self._rows_changed = following.registry.settled
        self._cuts = Cuts(host, following)
        self._maker = EventMaker(options, host, self._messages)
        self._format = line_format(options.encoding, options.from_encoding)
        self._throttle = throttle
        self._lines_limit = min(options.read_lines_limit or MOST_LINES, MOST_LINES)
        self._max_line_size = int(options.max_line_size) if options.max_line_size is not None else None
        self._longest = self._max_line_size or LONGEST_LINE
        self._close_after = options.open_on_every_update
        self._reads = Reads(host, self._files)
        self._counts = Counts(host)
        self._emitting = 0
        is_plain = type(self._format) is Lines and self._max_line_size is None and not throttle.active
        self._takes_whole = is_plain and self._maker.takes_whole
        interval, join = options.multiline_flush_interval, self._maker.join
        self.joining = None if join is None else Joining(join, interval, host.clock)

    async def serve(self, trail: Trail) -> float | None:
        """Read one slice of a trail's oldest unread generation.

        Returns 0.0 where there is more, the seconds to wait before the next try, or None at the end of the file.
        """
        generation = trail.next_pending()
        if generation is None:
            return None
        if wait := self._throttle.pause(trail):
            return wait
        modified = generation.modified
        try:
            try:
                data = await self._read(trail, generation)
            except Rewritten:
                await self._cuts.truncated(trail, generation)
                return self._rewritten(trail)
        except OSError as error:
            return await self._cannot_read(trail, generation, error)
        generation.failures = 0
        place = len(generation.expected_mark)
        at_end = generation.offset + generation.ahead + len(data) - place >= generation.size
        if len(data) == place and generation.modified != modified:
            await self._cuts.look_for_copies(trail, generation)
        pause = await self._deliver(_Slice(trail, generation, data, place, at_end))
        if pause is not None:
            return pause
        generation.pending = trail.woken
        self._files.rest(generation, close=self._close_after)
        return None if trail.next_pending() is None else 0.0

    async def _read(self, trail: Trail, generation: Generation) -> bytes:
        block = max(SMALLEST_BLOCK, min(BLOCK, POOL // (self._emitting + 1)))
        block, _ = self._throttle.left(trail, size=block, lines=0)
        size, head = generation.size, generation.head
        data = await self._reads.read(generation, trail.path, max(generation.want, block))
        if generation.size < size and generation.form.exact:
            self._cuts.books.shorten(trail, generation, size)
        if generation.head is not head:  # its row must tell it, should nothing of it be accepted before it is cut
            self._rows_changed(trail)
        self._throttle.spend(trail, size=len(data))
        return data

    def _rewritten(self, trail: Trail) -> float:
        """Return how long to wait before a file is read that was written anew: what never stands still is no log."""
        now = self._host.clock.monotonic()
        since, trail.rewritten_at = now - trail.rewritten_at, now
        pause = _pause(trail.rewritten - OFTEN)
        trail.rewritten = trail.rewritten + 1 if since < (pause + CALM if pause else AT_ONCE) else 1
        if trail.rewritten == OFTEN:
            self._host.log.warning(_NEVER_STILL, trail.name, int(CALM))
        return _pause(trail.rewritten - OFTEN)

    async def _deliver(self, block: _Slice) -> float | None:
        """Emit the whole lines of a block, and leave what follows them for the next read."""
        generation, first = block.generation, block.place
        if self._takes_whole and not generation.ahead and (pause := await self._emit_whole(block)) is not None:
            return pause
        some_whole = block.place > first
        lines = self._format.split(block.data, block.place)
        rest = lines.pop()
        if generation.ahead:
            if not lines and not (block.at_end and generation.closing):
                generation.ahead += len(rest)
                return None if block.at_end else 0.0
            taken = len(lines.pop(0)) + len(self._format.end) if lines else len(rest)
            if self._max_line_size is not None:
                self._skip_long_line(block, taken)
            elif (pause := await self._cut_long_line(block, taken)) is not None:
                return pause
            if block.place == len(block.data):
                return None if block.at_end else 0.0
        if self.joining is not None:
            return await self._deliver_joined(self.joining, block, lines, rest)
        if (pause := await self._emit_lines(block, lines, len(block.data) - len(rest))) is not None:
            return pause
        if rest:
            return await self._partial(block, rest, alone=not lines and not some_whole)
        generation.want = 0
        return None if block.at_end else 0.0

    async def _deliver_joined(self, joining: Joining, block: _Slice, lines: list[bytes], rest: bytes) -> float | None:
        """Emit the whole events of several lines, and leave the lines of the last one for the next read."""
        trail, generation = block.trail, block.generation
        first, total = block.place, len(block.data) - block.place
        is_ending = block.at_end and generation.closing
        if is_ending and rest.strip(b"\0"):
            lines, rest = [*lines, rest], b""
        stop = len(block.data) - len(rest)
        is_known = block.at_end and 0 < stop - first == generation.held
        is_whole, is_full = is_ending or (is_known and generation.held_enough), total >= LONGEST_EVENT
        if is_known and not is_whole and not is_full:
            return None
        after_cut = generation.after_cut and generation.offset == 0
        cleaned, _ = self._format.clean(lines, block.data, after_cut=after_cut)
        alone, events, held = joining.split(lines, cleaned, self._format.end, whole=is_whole, full=is_full)
        stop -= self._format.size(held)
        alone_stop = first + self._format.size(alone) if events else stop
        for some, end, make in ((alone, alone_stop, self._maker.alone), (events, stop, self._maker.make)):
            if (pause := await self._emit_lines(block, some, end, make)) is not None:
                return pause
        joining.hold(trail, generation, self._format.size(held))
        if not held and rest:
            return await self._partial(block, rest, alone=block.place == first)
        generation.want = 0
        if block.at_end:
            return total / PACE if held and total > LARGE else None
        if block.place == first:
            generation.want = min(2 * max(total, BLOCK), LONGEST_EVENT)
        return 0.0

    async def _emit_whole(self, block: _Slice) -> float | None:
        """Emit lines that need not be taken apart, as far as there are any; returns None where all were accepted."""
        while True:
            stop, count = whole_lines(block.data, block.place, self._lines_limit)
            make = self._maker.whole(block.trail, block.data, block.place, stop, count) if count else None
            if make is None:
                return None
            if (pause := await self._hand_on(block, make, stop - block.place, stop, count)) is not None:
                return pause

    async def _emit_lines(self, block: _Slice, lines: list[bytes], end: int, make: Make | None = None) -> float | None:
        """Emit lines whose last one ends at `end` of the block, in batches; returns None where all were accepted."""
        done = 0
        while done < len(lines):
            _, limit = self._throttle.left(block.trail, size=0, lines=self._lines_limit)
            if limit == 0:
                return 0.0  # the next turn finds out how long to wait
            part = lines if done == 0 and len(lines) <= limit else lines[done : done + limit]
            done += len(part)
            stop = end if done == len(lines) else block.place + self._format.size(part)
            if (pause := await self._emit(block, part, stop, make)) is not None:
                return pause
        return None

    async def _emit(
        self, block: _Slice, lines: list[bytes], stop: int, make: Make | None = None, *, ahead: int = 0
    ) -> float | None:
        """Emit the lines up to `stop`, the first of which began `ahead` bytes before the block.

        Returns None where they were accepted, else the seconds to wait.
        """
        trail, generation = block.trail, block.generation
        size = ahead + stop - block.place
        count = len(lines) if self.joining is None else sum(map(self._format.count, lines))
        kept, long = lines, 0
        if self._max_line_size is not None:
            kept, long = self._format.without_long(lines, self._max_line_size, joined=self.joining is not None)
        after_cut = generation.after_cut and generation.offset == 0
        cleaned, nul_bytes = self._format.clean(kept, block.data, after_cut=after_cut)
        made = partial(make or self._maker.make, trail, cleaned)
        continued = count - long - len(kept)
        if (pause := await self._hand_on(block, made, size, stop, count, continued=continued)) is not None:
            return pause
        if nul_bytes:
            self._counts.nul_bytes.add(nul_bytes)
            generation.ledger.pass_over(nul_bytes, "nul")
        if long:
            long_bytes = size - self._format.size(kept)
            self._say_long(trail, long, long_bytes)
            generation.ledger.pass_over(long_bytes, "long_line")
        self._throttle.spend(trail, lines=count)
        return None

    async def _hand_on(
        self, block: _Slice, make: Callable[[Receipt], Made], size: int, stop: int, lines: int, *, continued: int = 0
    ) -> float | None:
        """Emit what `make` makes of the lines up to `stop`, and move the offset by their `size`.

        So many of them are `continued` as they go on with the event of the one before.
        Returns None where they were accepted, else the seconds to wait.
        """
        trail, generation = block.trail, block.generation
        offset = generation.offset + size
        receipt = generation.settlement.expect(offset)
        try:
            made = make(receipt)
            if len(made.batch):
                self._emitting += 1
                self._files.make_room(generation)
                try:
                    await self._host.emit(made.batch)
                finally:
                    self._emitting -= 1
        except BaseException as error:
            generation.settlement.refuse()
            if not isinstance(error, Exception):
                raise
            return self._refused(trail, generation, error)
        generation.accept(offset, block.data, stop)
        receipt.release()
        block.place = stop
        trail.refusals = 0
        self._counts.accepted(size, lines, unmatched=made.unmatched, surplus=made.surplus - continued)
        return None

    def _refused(self, trail: Trail, generation: Generation, error: Exception) -> float:
        """Return how long to wait before the lines of a refused batch are read again."""
        pause = _pause(trail.refusals, LONGEST_PAUSE)
        trail.refusals += 1
        self._counts.refusals.add(1)
        if self._messages.allowed(trail.name, "refused", 1):
            reason = "the buffer is full" if isinstance(error, BufferFull) else repr(error)
            text = "events of %s were not accepted (%s): reading again from byte %d in %.1f seconds"
            self._host.log.warning(text, trail.name, reason, generation.offset, pause)
        return pause

    async def _partial(self, block: _Slice, rest: bytes, *, alone: bool) -> float | None:
        """Decide about bytes that no line feed ends; they stand at the generation's offset."""
        generation = block.generation
        generation.blank = rest[:1] == b"\0" and not rest.strip(b"\0")
        if generation.blank and not block.at_end and len(rest) >= HOLE:
            return await self._skip_nuls(generation)
        if len(rest) >= self._longest:
            generation.ahead = len(rest)  # the offset stays at its start: a restart sees again that it is too long
            return None if block.at_end and not generation.closing else 0.0
        if not block.at_end:
            generation.want = min(2 * max(len(rest), BLOCK), self._longest) if alone else 0
            return 0.0
        if not generation.closing:
            return None
        if generation.blank:
            self._counts.nul_bytes.add(len(rest))
            generation.skip(len(rest), "nul")
            return None
        return await self._emit(block, [rest], len(block.data))

    async def _skip_nuls(self, generation: Generation) -> float | None:
        """Pass over NULs that text follows; those that none follows yet may still be written over."""
        file = generation.file
        if file is None:  # closed while lines before it waited
            return 0.0
        following = await self._host.in_thread(file.next_text, generation.offset)
        if following is None:
            return None
        self._counts.nul_bytes.add(following - generation.offset)
        generation.skip(following - generation.offset, "nul")
        return 0.0

    async def _cut_long_line(self, block: _Slice, taken: int) -> float | None:
        """Emit the beginning of a long line that ends after `taken` bytes of the block: one line is one event."""
        generation, ahead = block.generation, block.generation.ahead
        generation.ahead = 0
        wanted = min(self._longest, ahead)
        while True:  # what is compressed may come in several visits
            data = await self._reads.read(generation, block.trail.path, wanted)
            line = data[len(generation.expected_mark) :]
            if len(line) >= wanted or generation.damage:
                break
        line = line[: last_character(line)]
        if (pause := await self._emit(block, [line], block.place + taken, ahead=ahead)) is not None:
            generation.ahead = ahead
            return pause
        generation.ledger.pass_over(ahead + taken - len(line) - len(self._format.end), "long_line")
        self._counts.cut_lines.add(1)
        self._counts.long_line_bytes.add(ahead + taken - len(line))
        if self._messages.allowed(block.trail.name, "line was cut", 1):
            text = "a line of %s has %d bytes and was cut after %d: set max_line_size to leave such lines out"
            self._host.log.warning(text, block.trail.name, ahead + taken, len(line))
        return None

    def _skip_long_line(self, block: _Slice, taken: int) -> None:
        """Pass over a long line that ends after `taken` bytes of the block."""
        count = block.generation.ahead + taken
        self._counts.lines.add(1)
        self._say_long(block.trail, 1, count)
        block.generation.skip(count, "long_line")
        block.place += taken

    def _say_long(self, trail: Trail, lines: int, size: int) -> None:
        self._counts.skipped_lines.add(lines)
        self._counts.long_line_bytes.add(size)
        for _ in range(self._messages.allowed(trail.name, "received line is too long", lines)):
            self._host.log.warning("received line length is longer than %d", self._longest)

    async def _cannot_read(self, trail: Trail, generation: Generation, error: OSError) -> float:
        """Return how long to wait after a read that failed, or give the generation up."""
        no_room = error.errno in {errno.EMFILE, errno.ENFILE}
        generation.failures += not no_room
        is_gone = isinstance(error, FileNotFoundError)
        if is_gone or (generation.replaced_at is not None and generation.failures >= MOST_FAILURES):
            await self._cuts.give_up(trail, generation, "gone" if is_gone else "unreadable")
            return 0.0
        if self._messages.allowed(trail.name, "cannot be read", 1):
            self._host.log.warning("%s cannot be read, trying again: %s", trail.name, error.strerror)
        if no_room:
            return FIRST_PAUSE
        await self._files.close([generation])
        return _pause(generation.failures)


def _pause(times: int, longest: float = LONGEST_ERROR_PAUSE) -> float:
    """Return the seconds to wait for something that failed so many times more than it may."""
    return 0.0 if times < 0 else float(min(longest, FIRST_PAUSE * 2 ** min(times, 10)))
