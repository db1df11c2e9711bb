"""Where the bytes of a file went: each is in exactly one number, and their sum is the file's size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from logpipe.monitor import SourceAccount

GIVEN_UP: Final = ("gone", "unreadable")
"""Why a whole file is given up; should it turn up again, it is read on."""


@dataclass(slots=True)
class Ledger:
    """The bytes of one or several generations: their sizes and `departed` are the sum of the other numbers.

    What is still to be read is the one number that is not kept but looked up.
    """

    before: int = 0
    """Where reading began; what is before it was read by an earlier run, or was there before the first one."""
    read: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Bytes passed over on purpose, by reason: `long_line`, `nul`, `unended`, `elsewhere`, `doubtful`."""
    abandoned: dict[str, int] = field(default_factory=dict)
    """Bytes that could not be read any more, by reason: `truncated`, `gone`, `unreadable`, `damaged`."""
    departed: int = 0
    """Bytes that were there and are not looked at any more: files that were let go, and ends that were cut off."""

    def skip(self, count: int, reason: str) -> None:
        """Count bytes that were passed over."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def pass_over(self, count: int, reason: str) -> None:
        """Count bytes as passed over that were counted as read."""
        if count:
            self.read -= count
            self.skip(count, reason)

    def abandon(self, count: int, reason: str) -> None:
        """Count bytes that are lost."""
        self.abandoned[reason] = self.abandoned.get(reason, 0) + count

    def regain(self, most: int) -> int:
        """Count bytes no longer as lost: the file that was given up with them is there again. Returns how many."""
        found = 0
        for reason in GIVEN_UP:
            count = min(most - found, self.abandoned.get(reason, 0))
            if count:
                self.abandoned[reason] -= count
                found += count
        return found

    def absorb(self, other: Ledger, size: int) -> None:
        """Add what another ledger says of a file of that size, which is let go."""
        self.before += other.before
        self.read += other.read
        self.departed += other.departed + size
        for reason, count in other.skipped.items():
            self.skip(count, reason)
        for reason, count in other.abandoned.items():
            self.abandon(count, reason)

    def account(self, name: str, *, size: int = 0, waiting: int = 0) -> SourceAccount:
        """Return the books of a source whose files have `size` bytes, `waiting` of them still to be read."""
        return SourceAccount(
            name,
            written=self.departed + size,
            before=self.before,
            read=self.read,
            skipped={reason: count for reason, count in self.skipped.items() if count},
            abandoned={reason: count for reason, count in self.abandoned.items() if count},
            waiting=waiting,
        )
