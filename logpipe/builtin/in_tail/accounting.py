"""Accounting: what became of lines and bytes is counted, what is lost is said, and neither without a limit.

    read_lines = emitted_records - additional_records + eventless_lines + skipped_lines
               + unmatched_lines (not with emit_unmatched_lines, which makes records of them)

Nothing goes to `@ERROR` here: a line that is in no format is warned about, and is emitted where the user wants that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.generation import Generation, Ledger
from logpipe.builtin.in_tail.table import Trail, shown
from logpipe.builtin.message_limit import MessageLimit
from logpipe.monitor import SourceAccount


class Counts:
    """The counters of what is read."""

    def __init__(self, host: Host) -> None:
        self._bytes = host.counter(
            "read_bytes", "Bytes of batches that were accepted, and of the lines that were left out of them."
        )
        self.lines = host.counter(
            "read_lines",
            "Lines that were dealt with: emitted_records without additional_records, eventless_lines, skipped_lines "
            "and, unless emit_unmatched_lines made records of them, unmatched_lines.",
        )
        self._additional = host.counter("additional_records", "Records beyond one a line, where lines hold several.")
        self._eventless = host.counter(
            "eventless_lines", "Lines that hold no event, or go on with that of a line before."
        )
        self._unmatched = host.counter("unmatched_lines", "Lines that are not in the parser's format.")
        self.skipped_lines = host.counter("skipped_lines", "Lines longer than max_line_size, which are left out.")
        self.long_line_bytes = host.counter(
            "skipped_long_line_bytes", "Bytes of the lines in skipped_lines, and of what was cut off."
        )
        self.nul_bytes = host.counter("skipped_nul_bytes", "NUL bytes at the start of lines, which are left out.")
        self.cut_lines = host.counter("cut_lines", "Lines that were too long, of which the beginning was read.")
        self.refusals = host.counter("refused_batches", "Batches that outputs did not accept and that are made again.")

    def accepted(self, size: int, lines: int, *, unmatched: int, surplus: int) -> None:
        """Count a batch that was accepted, or was empty; its records are counted by the host."""
        self._bytes.value += size
        self.lines.value += lines
        self._unmatched.value += unmatched
        if surplus > 0:
            self._additional.value += surplus
        elif surplus < 0:
            self._eventless.value -= surplus


UNFOLLOWED: Final = "(files no longer followed)"
"""The account of all paths that were let go: files come and go for weeks, and names take memory."""

_GONE: Final = "gone before it could be opened"


class Books:
    """Closes the ledgers of generations and paths that are let go, and adds them up."""

    def __init__(self, host: Host, messages: MessageLimit) -> None:
        self._host = host
        self._messages = messages
        self._past = Ledger()
        self._lost = 0
        self._damaged = host.counter("damaged_file_count", "Compressed files that could not be read to their end.")
        self._missed = host.counter("missed_file_count", "Files that were gone before they could be opened.")
        host.gauge("abandoned_bytes", lambda: self._lost)

    def abandon(self, trail: Trail, generation: Generation, reason: str) -> None:
        """Count what was in a file and cannot be read any more; nothing of it may be read after that."""
        self._lose(trail, generation, generation.behind, reason)

    def shorten(self, trail: Trail, generation: Generation, size: int) -> None:
        """Count what was cut off a file of that size behind what was read of it."""
        count = size - generation.size
        if not count:
            return
        generation.ledger.departed += count
        if generation.blank:  # space that its writer had reserved
            generation.ledger.skipped["nul"] += count
        else:
            self._lose(trail, generation, count, "truncated")

    def pass_over(self, trail: Trail, path: str, count: int, why: str) -> None:
        """Count a file that may have been a path's and is not read; said once, since it is known from then on."""
        text = "%s (%d bytes) came while nobody looked and may have been %s: it is not read, since %s"
        self._host.log.warning(text, shown(path), count, trail.name, why)
        trail.ledger.departed += count
        trail.ledger.skipped["doubtful"] += count

    def miss(self, path: str, count: int) -> None:
        """Count files that had a followed name and were gone before they could be opened: how long, nobody knows.

        Most have each a name of their own: how many are said is limited for all together.
        """
        self._missed.add(count)
        for _ in range(self._messages.allowed("this source", _GONE, count)):
            self._host.log.error("a file that was %s was %s. What it held is lost", shown(path), _GONE)

    def damaged(self, trail: Trail, generation: Generation) -> None:
        """Count what cannot be read of a damaged file; how much that is may be unknown."""
        file = generation.file
        if file is None or not file.damage:
            return
        self._damaged.add(1)
        generation.size += file.missing
        text = "%s, which was %s, is damaged (%s): what it held after byte %d is lost"
        self._host.log.error(text, shown(generation.inode_path), trail.name, file.damage, generation.offset)
        self._lose(trail, generation, generation.behind, "damaged")

    def _lose(self, trail: Trail, generation: Generation, count: int, reason: str) -> None:
        if not count:
            return
        generation.ledger.abandoned[reason] += count
        self._lost += count
        text = "%d bytes of %s could not be read: the file is %s. They are lost"
        self._host.log.error(text, count, trail.name, reason)

    def regain(self, trail: Trail, generation: Generation) -> None:
        """Count as still to be read what a file holds that was given up and is there again."""
        count = generation.ledger.regain(generation.behind)
        if count:
            self._lost -= count
            self._host.log.info("%d bytes of %s are there again and not lost", count, trail.name)

    def close(self, trail: Trail, generation: Generation) -> None:
        """Add a generation that is let go to what is known of its path."""
        trail.ledger.absorb(generation.ledger, generation.size)

    def drop(self, trail: Trail) -> None:
        """Add a path that is followed no longer to all of those."""
        self._past.absorb(trail.ledger, 0)

    def accounts(self, trails: Iterable[Trail]) -> Iterator[SourceAccount]:
        """Yield the books of each path, and those of all that are followed no longer."""
        for trail in trails:
            total = Ledger()
            for ledger in (trail.ledger, *(each.ledger for each in trail.generations)):
                total.absorb(ledger, 0)
            size = sum(each.known_size for each in trail.generations)
            account = total.account(trail.name, size=size, waiting=sum(each.waiting for each in trail.generations))
            if (live := trail.live) is not None:
                place = live.settlement.position
                account = replace(account, position=place, inode=live.identity.inode)
            yield account
        if self._past.departed:
            yield self._past.account(UNFOLLOWED)
