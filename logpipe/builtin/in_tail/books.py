"""The books of one `<source>`: what is lost is said and counted, and no byte is without an account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.complaints import Complaints
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.ledger import Ledger
from logpipe.builtin.in_tail.trail import Trail, shown
from logpipe.monitor import SourceAccount

UNFOLLOWED: Final = "(files no longer followed)"
"""The account of all paths that were let go: files come and go for weeks, and names take memory."""


_GONE: Final = "gone before it could be opened"


class Books:
    """Closes the ledgers of generations and paths that are let go, and adds them up."""

    def __init__(self, host: Host, complaints: Complaints) -> None:
        self._host = host
        self._complaints = complaints
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
            generation.ledger.skip(count, "nul")
        else:
            self._lose(trail, generation, count, "truncated")

    def pass_over(self, trail: Trail, path: str, count: int, why: str) -> None:
        """Count a file that may have been a path's and is not read; said once, since it is known from then on."""
        self._host.log.warning(
            "%s (%d bytes) came while nobody looked and may have been %s: it is not read, since %s",
            shown(path),
            count,
            trail.name,
            why,
        )
        trail.ledger.departed += count
        trail.ledger.skip(count, "doubtful")

    def miss(self, path: str, count: int) -> None:
        """Count files that had a followed name and were gone before they could be opened: how long, nobody knows.

        Most have each a name of their own: how many are said is limited for all together.
        """
        self._missed.add(count)
        for _ in range(self._complaints.room("this source", _GONE, count)):
            self._host.log.error("a file that was %s was %s. What it held is lost", shown(path), _GONE)

    def damaged(self, trail: Trail, generation: Generation) -> None:
        """Count what cannot be read of a damaged file; how much that is may be unknown."""
        file = generation.file
        if file is None or not file.damage:
            return
        self._damaged.add(1)
        generation.size += file.missing
        self._host.log.error(
            "%s, which was %s, is damaged (%s): what it held after byte %d is lost",
            shown(generation.inode_path),
            trail.name,
            file.damage,
            generation.offset,
        )
        self._lose(trail, generation, generation.behind, "damaged")

    def _lose(self, trail: Trail, generation: Generation, count: int, reason: str) -> None:
        if not count:
            return
        generation.ledger.abandon(count, reason)
        self._lost += count
        self._host.log.error(
            "%d bytes of %s could not be read: the file is %s. They are lost", count, trail.name, reason
        )

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
            size = sum(each.known_size for each in trail.generations)
            waiting = sum(each.waiting for each in trail.generations)
            total = Ledger()
            total.absorb(trail.ledger, 0)
            for generation in trail.generations:
                total.absorb(generation.ledger, 0)
            yield total.account(trail.name, size=size, waiting=waiting)
        if self._past.departed:
            yield self._past.account(UNFOLLOWED)
