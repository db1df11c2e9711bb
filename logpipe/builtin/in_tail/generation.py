"""One generation of a followed file: the content that one inode holds from its first byte to its last.

Rotation, copytruncate and a swapped link all end one generation and begin the next; each has its own reader state, so
that a new file never inherits the offset of an old one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from logpipe import Receipt
from logpipe.builtin.in_tail.difference import Found
from logpipe.builtin.in_tail.ledger import Ledger
from logpipe.builtin.in_tail.logfile import MARK_BYTES, NO_HEAD, Content, Head, Identity, LogFile
from logpipe.builtin.position_file import Position


class _End:
    """Where a batch ends in its file."""

    __slots__ = ("offset", "settled")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.settled = False


class Settlement:
    """How much of a file is past a kill -9: everything before the furthest end with no unsettled receipt before it."""

    __slots__ = ("_waiting", "moved", "position")

    def __init__(self, position: int, moved: Callable[[], None]) -> None:
        self.position = position
        self.moved = moved
        """Called when the position has moved on."""
        self._waiting: list[_End] = []  # a few: a deque would cost each idle file 600 bytes

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


class Generation:
    """The reader state of one generation. Offsets move when a batch was accepted, positions when it has settled."""

    __slots__ = (
        "adrift",
        "after_cut",
        "ahead",
        "blank",
        "born",
        "checked_at",
        "closing",
        "failures",
        "file",
        "finished",
        "form",
        "gone",
        "head",
        "identity",
        "inode_path",
        "kept",
        "ledger",
        "mark",
        "modified",
        "offset",
        "read_at",
        "replaced_at",
        "seen_size",
        "settlement",
        "size",
        "stirred",
        "want",
    )

    def __init__(
        self,
        identity: Identity,
        inode_path: str,
        *,
        offset: int,
        moved: Callable[[], None],
        born: int = 0,
        size: int = 0,
        modified: int = 0,
        head: Head = NO_HEAD,
        form: type[LogFile] = LogFile,
    ) -> None:
        self.identity = identity
        self.inode_path = inode_path
        """A name that led to the file when last seen."""
        self.born = born
        """When the file was made, nanoseconds since the epoch; 0 where the disk does not know."""
        self.adrift = False
        """Whether no name is known that leads to it: then it is known by being open, or not at all."""
        self.kept = False
        """Whether its position outlives it: the file is still there under its name, which is not followed now."""
        self.offset = offset
        """The first byte that no accepted batch covers; always the start of a line, unless it began elsewhere."""
        self.ahead = 0
        """Bytes after `offset` of a line that is too long and whose end is not in sight."""
        self.after_cut = False
        """Whether it began when its file was cut: a writer that goes on at its old offset leaves NULs at first."""
        self.want = 0
        """Bytes to read at once where a line is longer than a block; else 0."""
        self.blank = False
        """Whether all that was seen after `offset` is NULs: space that the writer has reserved."""
        self.size = size
        """Bytes that it held when it was last read."""
        self.seen_size = 0
        """Bytes that its name was seen to hold since."""
        self.modified = modified
        """When the file was last written as far as we know, nanoseconds since the epoch."""
        self.head = head
        self.mark = b""
        """The last bytes before `offset`, as they were read; empty where nothing was."""
        self.settlement = Settlement(offset, moved)
        self.ledger = Ledger(before=offset)
        self.stirred = True
        """Whether there may be something to read."""
        self.read_at = self.checked_at = 0
        """When the last read and the one before it began, nanoseconds since the epoch: what was read was all there."""
        self.closing = False
        """Whether its last line counts as a whole one though no line feed ends it."""
        self.replaced_at: float | None = None
        """When it stopped being what its path names, or was last written after that; monotonic seconds."""
        self.finished = False
        """Whether nothing more will be read; it stays until its receipts have settled."""
        self.gone = False
        """Whether the file had no name left when it was closed: what has its inode from then on is another one."""
        self.failures = 0
        self.form = form
        """How its file is read."""
        self.file: LogFile | None = None

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

    def look_at(self) -> tuple[LogFile | None, str, Identity, Head]:
        """Return what `looks` takes."""
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
        self.ledger.skip(count, reason)
        self.offset += count
        self.ahead = 0
        self.blank = False
        self.mark = b""
        self.settlement.expect(self.offset).release()
