"""A door for outputs whose server takes many records in one request and answers for each of them.

`Bulk` makes requests of a chunk, by count and bytes, and takes the answers apart: what is delivered is not sent again,
what the server is too busy for is, and what it refuses for good goes to `<secondary>`, `@ERROR` or the dead letters,
with the server's reason.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from logpipe.errors import PermanentError, RefusedRecords, RetryLater
from logpipe.event import EventBatch
from logpipe.plugin import Chunk, OutputHost

MOST_RECORDS: Final = 10_000
MOST_BYTES: Final = 20 * 1024 * 1024
_GZIP_WINDOW: Final = 31
_SHOWN: Final = 200
"""Characters of a server's reason that a message shows."""


class Entry(NamedTuple):
    """A record as it stands in a request."""

    target: Hashable
    """Where it goes: requests hold entries of one target."""
    data: bytes
    """With what separates it from the next."""


Made: TypeAlias = Sequence[Entry | Exception | None]
"""For each record of a batch its entry, or why it can never be sent, or None where it is thrown away on purpose."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer says of the records of its request, by their numbers in it; all others are delivered."""

    refused: Mapping[int, str] = field(default_factory=dict)
    """Those that the server never takes, with its reasons."""
    busy: Mapping[int, str] = field(default_factory=dict)
    """Those that it may take later, with its reasons."""
    after: float | None = None
    """Seconds that it asks to wait before they are sent again; None where it says nothing."""


class RequestTooLargeError(PermanentError):
    """The server takes no request of this size: it is divided, and a single record is refused."""


class BulkRequest:
    """Some records of a chunk on their way to one target.

    Attributes:
        target: where they go.
        parts: the entries' bytes.
        size: of all of them, in bytes.
    """

    __slots__ = ("numbers", "parts", "size", "target")

    def __init__(self, target: Hashable) -> None:
        self.target = target
        self.numbers: list[int] = []
        """Of its records, in the chunk."""
        self.parts: list[bytes] = []
        self.size = 0

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.numbers)

    def add(self, number: int, data: bytes) -> None:
        """Take a record."""
        self.numbers.append(number)
        self.parts.append(data)
        self.size += len(data)

    def halves(self) -> tuple[BulkRequest, BulkRequest]:
        """Return two requests that together hold what this one holds."""
        middle = len(self) // 2
        return self._slice(0, middle), self._slice(middle, len(self))

    def _slice(self, start: int, stop: int) -> BulkRequest:
        part = BulkRequest(self.target)
        for number, data in zip(self.numbers[start:stop], self.parts[start:stop], strict=True):
            part.add(number, data)
        return part


class Progress(bytearray):
    """The events of a chunk that need no other attempt: a byte each, 1 for those.

    Attributes:
        refused: why the server never takes some of the others, by their numbers.
    """

    def __init__(self, source: bytes | int = 0) -> None:
        super().__init__(source)
        self.refused: dict[int, str | Exception] = {}

    @classmethod
    def of(cls, chunk: Chunk) -> Progress:
        """Return that of a chunk, which remembers it from one attempt to the next."""
        progress = chunk.progress
        if not isinstance(progress, Progress) or len(progress) != len(chunk):
            progress = chunk.progress = cls(len(chunk))
        return progress


class Bulk:
    """Delivers the chunks of one output; calls of `deliver` may overlap.

    Args:
        host: the output's.
        send: sends one request and returns what the answer says. Its exceptions end the attempt, as those of
            `Output.write` do, but for RequestTooLargeError.
        most_records: of a request.
        most_bytes: of a request, unless it has one record.
    """

    def __init__(
        self,
        host: OutputHost,
        send: Callable[[BulkRequest], Awaitable[Judged]],
        *,
        most_records: int = MOST_RECORDS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._host = host
        self._send = send
        self._most_records = most_records
        self._most_bytes = most_bytes

    async def deliver(self, chunk: Chunk, make: Callable[[EventBatch], Made]) -> None:
        """Deliver a chunk, or what is left of it; `chunk.progress` remembers what is.

        Args:
            chunk: as `Output.write` is given it.
            make: makes entries of a batch's records, in a thread; it changes nothing in them.

        Raises:
            RetryLater: the server was too busy for some records; the others are dealt with.
            RefusedRecords: the server never takes some records; all others are delivered.
            Exception: whatever `send` raises.
        """
        attempt = _Attempt(self._send, Progress.of(chunk))
        open_requests: dict[Hashable, BulkRequest] = {}
        first = 0
        for batch in chunk.batches():
            numbers = attempt.open_among(range(first, first + len(batch)))
            left = batch if len(numbers) == len(batch) else batch.pick([number - first for number in numbers])
            first += len(batch)
            if not numbers:
                continue
            for number, made in zip(numbers, await self._host.in_thread(make, left), strict=True):
                if not isinstance(made, Entry):
                    self._settle(attempt, number, made)
                    continue
                request = open_requests.get(made.target)
                if request is not None and self._is_full(request, made.data):
                    await attempt.send(request)
                    request = None
                if request is None:
                    request = open_requests[made.target] = BulkRequest(made.target)
                request.add(number, made.data)
        for request in open_requests.values():
            await attempt.send(request)
        attempt.end()

    def _is_full(self, request: BulkRequest, more: bytes) -> bool:
        return len(request) >= self._most_records or request.size + len(more) > self._most_bytes

    def _settle(self, attempt: _Attempt, number: int, made: Exception | None) -> None:
        if made is None:
            attempt.progress[number] = 1
            self._host.dropped(1)
        else:
            attempt.progress.refused[number] = made


class _Attempt:
    """One attempt to deliver a chunk."""

    def __init__(self, send: Callable[[BulkRequest], Awaitable[Judged]], progress: Progress) -> None:
        self.progress = progress
        self._send = send
        self._busy = 0
        self._why = ""
        self._after: float | None = None

    def open_among(self, numbers: range) -> list[int]:
        """Return those that are neither delivered nor refused."""
        progress, refused = self.progress, self.progress.refused
        return [number for number in numbers if not progress[number] and number not in refused]

    async def send(self, request: BulkRequest) -> None:
        """Send a request, in parts where the server finds it too large, and note what becomes of its records."""
        waiting = [request]
        while waiting:
            part = waiting.pop()
            try:
                judged = await self._send(part)
            except RequestTooLargeError as error:
                if len(part) > 1:
                    waiting += reversed(part.halves())
                else:
                    self.progress.refused[part.numbers[0]] = error
                continue
            self._note(part, judged)

    def _note(self, request: BulkRequest, judged: Judged) -> None:
        for place, number in enumerate(request.numbers):
            if (reason := judged.refused.get(place)) is not None:
                self.progress.refused[number] = reason
            elif (reason := judged.busy.get(place)) is not None:
                self._busy += 1
                self._why = self._why or reason
            else:
                self.progress[number] = 1
        if judged.busy and judged.after is not None:
            self._after = max(self._after or 0.0, judged.after)

    def end(self) -> None:
        """Return if all is delivered.

        Raises:
            RetryLater, RefusedRecords: it is not.
        """
        refused = self.progress.refused
        if self._busy:
            text = f"{self._busy} of {len(self.progress)} records are sent again: {shortened(self._why)}"
            raise RetryLater(text, after=self._after)
        if refused:
            first = next(iter(refused.values()))
            text = f"{len(refused)} of {len(self.progress)} records are refused: {shortened(str(first))}"
            raise RefusedRecords(refused, text)


def shortened(text: str) -> str:
    """Return a server's words for a message: on one line, and not too many."""
    plain = " ".join(text[: 4 * _SHOWN].split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"


def gzipped(parts: Sequence[bytes], level: int = 1) -> list[bytes]:
    """Return the parts of a request as one gzip member, in pieces; call it by `host.in_thread`."""
    return list(_pieces(parts, level))


def _pieces(parts: Sequence[bytes], level: int) -> Iterator[bytes]:
    stream = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)
    for part in parts:
        if piece := stream.compress(part):
            yield piece
    yield stream.flush()
