"""A batch whose events are still the bytes that they came in: lines, or packed maps."""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, pairwise
from typing import Any, ClassVar, Final, Literal, Protocol, TypeAlias

import orjson

from logpipe.event.batch import EventBatch, Receipt, Record, Time
from logpipe.event.encoded import Encoded
from logpipe.event.packed import unpack_records
from logpipe.raw_text import texts_or_bytes

Form: TypeAlias = Literal["json", "cri", "msgpack"]
"""What a line is: a JSON object; `TIME STREAM LOGTAG MESSAGE`, as container runtimes write; a map in MessagePack."""

MOST_ROOM: Final = 2
"""A block may be so many times as large as the lines of it that are kept; one that is larger is let go."""


class Edit(Protocol):
    """A change of every record, made when they are decoded. It is data, so that an encoder of lines can make it too."""

    def apply(self, records: list[Record]) -> None:
        """Change the records in place."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Takes a field out."""

    field: str

    def apply(self, records: list[Record]) -> None:
        """Take it out where it is."""
        for record in records:
            record.pop(self.field, None)


@dataclass(frozen=True, slots=True)
class Const:
    """Sets a field to one value, which all records share."""

    field: str
    value: Any

    def apply(self, records: list[Record]) -> None:
        """Set it, over whatever was there."""
        for record in records:
            record[self.field] = self.value


class LineBatch(EventBatch):
    """Events that nobody has decoded: `spans` of a `block`, and the `edits` that make records of them.

    It is an EventBatch to whoever reads `records`, which decodes all lines at that moment and keeps what it made; from
    then on the lines are gone, since the records may be changed. Whoever made the batch answers for every line being
    in its form, exactly: `records` raises ValueError where one is not.

    Slices and copies share the block, and each decodes for itself. The times are the batch's, whatever the lines say.

    Args:
        tag: as in any batch.
        times: as in any batch, one for each line.
        block: the bytes that the lines are in.
        spans: where each line begins and where it ends: two numbers a line, in the order of the events. Never changed.
        form: what each line is.
        edits: what is done to each record after it was decoded.
        receipt: as in any batch.

    Raises:
        ValueError: there are not as many spans as times.
    """

    __slots__ = ("_records", "block", "edits", "form", "spans")

    asked: ClassVar[Counter[str]] = Counter()
    """How many events were decoded for whom, by `module:function`; for tests and benchmarks."""

    def __init__(
        self,
        tag: str,
        times: list[Time],
        block: bytes,
        spans: array[int],
        *,
        form: Form,
        edits: tuple[Edit, ...] = (),
        receipt: Receipt | None = None,
    ) -> None:
        if len(spans) != 2 * len(times):
            raise ValueError(f"{len(times)} times and {len(spans)} ends of lines: there are two of these for each time")
        self.tag = tag
        self.times = times
        self.receipt = receipt
        self.origin = None
        self.block = block
        self.spans = spans
        self.form: Form = form
        self.edits = edits
        self._records: list[Record] | None = None

    def __repr__(self) -> str:
        return f"LineBatch({self.tag!r}, {len(self)} {'lines' if self.is_unread else 'records'} of {self.form})"

    @property
    def is_unread(self) -> bool:
        """Whether nobody has read or set the records: the lines and their edits are all that there is."""
        return self._records is None

    @property
    def records(self) -> list[Record]:
        """The records; the first to read them has them decoded.

        Raises:
            ValueError: a line is not in its form.
        """
        if self._records is None:
            caller = sys._getframe(1)  # noqa: SLF001 - once a batch
            self.asked[f"{caller.f_globals.get('__name__')}:{caller.f_code.co_name}"] += len(self)
            self._set(self._decoded(self.spans))
        return self._records  # type: ignore[return-value]  # set above

    @records.setter
    def records(self, records: list[Record]) -> None:
        self._set(records)

    def _set(self, records: list[Record]) -> None:
        self._records = records
        self.block, self.spans, self.edits = b"", array("I"), ()

    def _decoded(self, spans: Sequence[int]) -> list[Record]:
        records = _DECODERS[self.form](_lines(self.block, spans))
        for edit in self.edits:
            edit.apply(records)
        return records

    @property
    def is_uneven(self) -> bool:
        """Whether there are more times than events, or fewer."""
        events = len(self.spans) // 2 if self._records is None else len(self._records)
        return len(self.times) != events

    @property
    def nbytes(self) -> int:
        """Bytes of the lines, without what stands between them; 0 once they were decoded."""
        return sum(self.spans[1::2]) - sum(self.spans[::2])

    def lines(self) -> list[bytes]:
        """Return each line as it came, without edits; none once they were decoded."""
        return _lines(self.block, self.spans)

    def encoded(self, tail: bytes = b"") -> Encoded:
        """Return the lines, each with `tail` behind it, as an output's `encode` may; without edits."""
        return Encoded.of(self.lines(), tail)

    def record(self, number: int) -> Record:
        """Return the record of one event; the others are not decoded for it."""
        if self._records is not None:
            return self._records[number]
        return self._decoded(self.spans[2 * number : 2 * number + 2])[0]

    def slice(self, start: int, stop: int) -> EventBatch:
        """Return the events from number `start` until before `stop`; they share the block."""
        if self._records is not None:
            return super().slice(start, stop)
        start, stop, _ = slice(start, stop).indices(len(self.times))
        return self._with(self.times[start:stop], self.spans[2 * start : 2 * max(start, stop)])

    def pick(self, numbers: Sequence[int]) -> EventBatch:
        """Return the events of these numbers; they share the block."""
        if self._records is not None:
            return super().pick(numbers)
        times, spans = self.times, self.spans
        ends = chain.from_iterable(spans[2 * number : 2 * number + 2] for number in numbers)
        return self._with([times[number] for number in numbers], array("I", ends))

    def _kept(self, mask: list[bool]) -> EventBatch:
        if self._records is not None:
            return super()._kept(mask)
        ends = compress(self.spans, chain.from_iterable(zip(mask, mask, strict=True)))
        return self._with(list(compress(self.times, mask)), array("I", ends))

    def copy(self) -> EventBatch:
        """Return a batch that decodes its own records; it shares the block and the receipt."""
        return super().copy() if self._records is not None else self._with(list(self.times), self.spans)

    def _with(self, times: list[Time], spans: array[int]) -> LineBatch:
        """Return a batch of some of the lines."""
        part = LineBatch(self.tag, times, self.block, spans, form=self.form, edits=self.edits, receipt=self.receipt)
        part.origin = self.origin
        return part

    def compact(self) -> None:
        """Copy the lines out of a block that is more than twice as large: one line must not keep half a megabyte."""
        if len(self.block) > MOST_ROOM * self.nbytes:
            lines = self.lines()
            self.block = b"".join(lines)
            self.spans = spans_of(lines)


def spans_of(lines: Sequence[bytes]) -> array[int]:
    """Return the spans of lines that stand one right behind the other."""
    ends = Encoded.of(lines).ends
    return array("I", chain.from_iterable(pairwise((0, *ends))))


def _lines(block: bytes, spans: Sequence[int]) -> list[bytes]:
    return [block[start:stop] for start, stop in zip(spans[::2], spans[1::2], strict=True)]


def _from_json(lines: list[bytes]) -> list[Record]:
    return list(map(orjson.loads, lines))


def _from_cri(lines: list[bytes]) -> list[Record]:
    return list(map(_cri_record, lines))


def _cri_record(line: bytes) -> Record:
    time, stream, logtag, message = texts_or_bytes(line.split(b" ", 3))
    return {"stream": stream, "logtag": logtag, "message": message, "time": time}


_DECODERS: Final[dict[Form, Callable[[list[bytes]], list[Record]]]] = {
    "json": _from_json,
    "cri": _from_cri,
    "msgpack": unpack_records,
}
