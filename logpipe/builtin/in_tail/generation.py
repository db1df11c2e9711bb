"""One generation of a followed file: the content that one inode holds from its first byte to its last.

Rotation, copytruncate and a swapped link all end one generation and begin the next; each has its own reader state, so
that a new file never inherits the offset of an old one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Final

from logpipe import Receipt
from logpipe.builtin.in_tail.folders import Found
from logpipe.builtin.in_tail.logfile import MARK_BYTES, NO_HEAD, Content, Head, Identity, LogFile
from logpipe.builtin.position_file import Position
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
    skipped: Counter[str] = field(default_factory=Counter)
    """Bytes passed over on purpose, by reason: `long_line`, `nul`, `unended`, `elsewhere`, `doubtful`."""
    abandoned: Counter[str] = field(default_factory=Counter)
    """Bytes that could not be read any more, by reason: `truncated`, `gone`, `unreadable`, `damaged`."""
    departed: int = 0
    """Bytes that were there and are not looked at any more: files that were let go, and ends that were cut off."""

    def pass_over(self, count: int, reason: str) -> None:
        """Count bytes as passed over that were counted as read."""
        self.read -= count
        self.skipped[reason] += count

    def regain(self, most: int) -> int:
        """Count bytes no longer as lost: the file that was given up with them is there again. Returns how many."""
        found = 0
        for reason in GIVEN_UP:
            count = min(most - found, self.abandoned[reason])
            self.abandoned[reason] -= count
            found += count
        return found

    def absorb(self, other: Ledger, size: int) -> None:
        """Add what another ledger says of a file of that size, which is let go."""
        self.before += other.before
        self.read += other.read
        self.departed += other.departed + size
        self.skipped += other.skipped
        self.abandoned += other.abandoned

    def account(self, name: str, *, size: int = 0, waiting: int = 0) -> SourceAccount:
        """Return the books of a source whose files have `size` bytes, `waiting` of them still to be read."""
        return SourceAccount(
            name,
            written=self.departed + size,
            before=self.before,
            read=self.read,
            skipped=dict(+self.skipped),
            abandoned=dict(+self.abandoned),
            waiting=waiting,
        )


@dataclass(slots=True, eq=False)
class _End:
    """Where a batch ends in its file."""

    offset: int
    settled: bool = False


@dataclass(slots=True, eq=False)
class Settlement:
    """How much of a file is past a kill -9: everything before the furthest end with no unsettled receipt before it."""

    position: int
    moved: Callable[[], None]
    """Called when the position has moved on."""
    _waiting: list[_End] = field(default_factory=list)  # a few: a deque would cost each idle file 600 bytes

    def expect(self, offset: int) -> Receipt:
        """Return the receipt of a batch that ends at `offset`; batches are expected in the order of the file."""
        end = _End(offset)
        self._waiting.append(end)
        return Receipt(partial(self._settle, end))

    def refuse(self) -> None:
        """Forget the newest end: its batch was not accepted and will be made again, with a new receipt."""
        self._waiting.pop()

    @property
    def complete(self) -> bool:
        """Whether nothing is owed any more."""
        return not self._waiting

    def _settle(self, end: _End) -> None:
        end.settled = True
        waiting = self._waiting
        if not waiting or waiting[0] is not end:
            return
        while waiting and waiting[0].settled:
            self.position = waiting.pop(0).offset
        self.moved()


@dataclass(slots=True, eq=False)
class Generation:
    """The reader state of one generation. Offsets move when a batch was accepted, positions when it has settled."""

    identity: Identity
    inode_path: str
    """A name that led to the file when last seen."""
    _: KW_ONLY
    offset: int
    """The first byte that no accepted batch covers; always the start of a line, unless it began elsewhere."""
    settlement: Settlement
    ledger: Ledger
    born: int = 0
    """When the file was made, nanoseconds since the epoch; 0 where the disk does not know."""
    size: int = 0
    """Bytes that it held when it was last read."""
    modified: int = 0
    """When the file was last written as far as we know, nanoseconds since the epoch."""
    head: Head = NO_HEAD
    mark: bytes = b""
    """The last bytes before `offset`, as they were read; empty where nothing was."""
    form: type[LogFile] = LogFile
    """How its file is read."""
    replaced_at: float | None = None
    """When it stopped being what its path names, or was last written after that; monotonic seconds."""
    nameless: bool = False
    """Whether no name is known that leads to it: then it is known by being open, or not at all."""
    kept: bool = False
    """Whether its position outlives it: the file is still there under its name, which is not followed now."""
    ahead: int = 0
    """Bytes after `offset` of a line that is too long and whose end is not in sight."""
    after_cut: bool = False
    """Whether it began when its file was cut: a writer that goes on at its old offset leaves NULs at first."""
    held: int = 0
    """Bytes after `offset` of lines whose event may go on."""
    held_enough: bool = False
    """Whether that event goes on no more, unless something has been added."""
    want: int = 0
    """Bytes to read at once where a line is longer than a block; else 0."""
    blank: bool = False
    """Whether all that was seen after `offset` is NULs: space that the writer has reserved."""
    seen_size: int = 0
    """Bytes that its name was seen to hold since it was last read."""
    read_at: int = field(default_factory=time.time_ns)
    """When the last read began, nanoseconds since the epoch: what was read then was all there."""
    checked_at: int = field(default_factory=time.time_ns)
    """When the read before that began."""
    pending: bool = True
    """Whether there may be something to read."""
    closing: bool = False
    """Whether its last line counts as a whole one though no line feed ends it."""
    finished: bool = False
    """Whether nothing more will be read; it stays until its receipts have settled."""
    gone: bool = False
    """Whether the file had no name left when it was closed: what has its inode from then on is another one."""
    failures: int = 0
    """Reads in a row that failed."""
    file: LogFile | None = None
    """The open file; None where it is closed."""

    @property
    def begun(self) -> bool:
        """Whether anything of it was read or passed over."""
        return self.offset > self.ledger.before

    def is_of(self, found: Found) -> bool:
        """Return whether it is the generation of a file, which may be another one with the same inode."""
        if found.identity != self.identity:
            return False
        if found.born and self.born:
            return found.born == self.born
        return self.file is not None or (not self.gone and found.was(self.head, self.size)) or not self.finished

    @property
    def behind(self) -> int:
        """Bytes that were there when it was last read, and are not read."""
        return 0 if self.finished else max(0, self.size - self.offset)

    @property
    def damage(self) -> str:
        """Why nothing more can be read of it, ever; empty where it is sound."""
        return "" if self.file is None else self.file.damage

    @property
    def known_size(self) -> int:
        """Bytes that it is known to hold; while an output is stuck a file is looked at, and not read."""
        return self.size if self.finished else max(self.size, self.seen_size)

    @property
    def waiting(self) -> int:
        """Bytes that it is known to hold, and that are not read."""
        return 0 if self.finished else self.known_size - self.offset

    def saved_as(self, path: str) -> Position:
        """Return its row of the position file."""
        head = str(self.head) if self.head.length else ""
        position = self.settlement.position
        return Position(path, position, self.identity.inode, head, self.finished and position >= self.size)

    def expect(self, file: LogFile) -> None:
        """Say to its file what is read next, and what must be there."""
        file.place, file.mark, file.head = self.offset + self.ahead, self.expected_mark, self.head

    def was_read(self, file: LogFile, began: int) -> None:
        """Take over what a read that began then has seen of its file."""
        self.size, self.modified, self.head = file.size, file.changed, file.head
        self.seen_size = 0
        self.checked_at, self.read_at = self.read_at, began

    @property
    def known(self) -> tuple[LogFile | None, str, Identity, Head]:
        """What `Look.at` takes."""
        return self.file, self.inode_path, self.identity, self.head

    @property
    def content(self) -> Content:
        """What was read of it."""
        return Content(self.head, self.offset, self.mark, self.size)

    @property
    def expected_mark(self) -> bytes:
        """What must stand right before the place that is read next."""
        return b"" if self.ahead else self.mark

    def accept(self, offset: int, data: bytes, end: int) -> None:
        """Move on to `offset`, which is `end` bytes into `data`."""
        self.ledger.read += offset - self.offset
        self.offset = offset
        self.blank = False
        self.mark = data[max(0, end - MARK_BYTES) : end]

    def skip(self, count: int, reason: str) -> None:
        """Move on by `count` bytes that are passed over on purpose."""
        self.ledger.skipped[reason] += count
        self.offset += count
        self.ahead = 0
        self.blank = False
        self.mark = b""
        self.settlement.expect(self.offset).release()
