"""Blocks of bytes to lines: where lines end, and what is taken off them before a parser sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import compress
from typing import Final, NamedTuple

from logpipe import EventBatch, Host, Parsed, ParseError, Receipt, Record, Time
from logpipe.builtin.encodings import codec_of
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.table import Trail
from logpipe.builtin.message_limit import MessageLimit, shortened
from logpipe.codec import escaped, text_or_bytes

_WITHOUT_MARK: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
"""Codecs that write no byte order mark before each text, for those that do."""

_NUL: Final = b"\0"

HOLE: Final = 512
"""NULs in a row that nobody wrote: copytruncate leaves them of a writer that goes on at its old offset, and a power cut
of a write, a sector at the least. Fewer belong to their line, but at the beginning of a file that was cut."""


class Lines:
    """How the lines of a file are written: UTF-8, and whatever else parsers take as it is; the fast one."""

    end = b"\n"
    """What ends a line."""

    def split(self, data: bytes, start: int) -> list[bytes]:
        """Return the lines in `data` from `start` on, without their ends, and last what follows the last end."""
        if start and data.find(b"\n", start) < 0:
            return [data[start:]]
        lines = data.split(b"\n")  # whole, then without what is before `start`: a copy of the block costs more
        if start:
            del lines[: data.count(b"\n", 0, start)]
            if half := start - data.rfind(b"\n", 0, start) - 1:
                lines[0] = lines[0][half:]
        return lines

    def count(self, text: bytes) -> int:
        """Return of how many lines a text is, the last of which has no end."""
        return text.count(self.end) + 1

    def size(self, lines: list[bytes]) -> int:
        """Return how many bytes of a file lines are, with their ends."""
        return sum(map(len, lines)) + len(lines) * len(self.end)

    def without_long(self, lines: list[bytes], most: int, *, joined: bool) -> tuple[list[bytes], int]:
        """Return the lines that have at most so many bytes, the very list where all have, and how many have not.

        NULs at its start, a hole's, make none longer. Where they are `joined` each may be several.
        """
        longest = most - len(self.end)  # compat: in_tail/io_handler counts the line feed
        if max(map(len, lines)) <= longest:
            return lines, 0
        apart = [self.split(line, 0) if joined else [line] for line in lines]
        kept = [[line for line in some if len(without_hole(line)) <= longest] for some in apart]
        return [self.end.join(some) for some in kept if some], sum(map(len, apart)) - sum(map(len, kept))

    def clean(self, lines: list[bytes], data: bytes, *, after_cut: bool = False) -> tuple[list[bytes], int]:
        """Return lines of `data` in UTF-8, without carriage return and hole, and the size of the holes.

        It is the very list where there are none. `after_cut` says that the first of them is the first of a file that
        was cut: NULs there are a hole, however few.
        """
        nul_bytes = 0
        if _NUL in data:
            before = sum(map(len, lines))
            lines = list(map(without_hole, lines))
            if after_cut:
                lines[:1] = [line.lstrip(_NUL) for line in lines[:1]]
            nul_bytes = before - sum(map(len, lines))
        if b"\r" in data:
            lines = [line.removesuffix(b"\r") for line in lines]
        return lines, nul_bytes


class TranscodedLines(Lines):
    """Another encoding, whose lines are turned into UTF-8.

    Where they are to be converted, U+FFFD stands for what their encoding does not know; where their encoding is only
    named, such a line stays as it came.
    """

    def __init__(self, codec: str, *, converts: bool) -> None:
        self._codec = _WITHOUT_MARK.get(codec, codec)
        self._converts = converts
        self.end = "\n".encode(self._codec)
        self._width = len(self.end)

    def split(self, data: bytes, start: int) -> list[bytes]:
        """Return the lines in `data` from `start` on, still in their encoding, and what follows the last of them."""
        lines: list[bytes] = []
        begin = place = start
        while (place := data.find(self.end, place)) >= 0:
            if (place - start) % self._width:  # the halves of two characters look like a line feed
                place += 1
                continue
            lines.append(data[begin:place])
            begin = place = place + self._width
        lines.append(data[begin:])
        return lines

    def count(self, text: bytes) -> int:
        """Return of how many lines a text is, the last of which has no end."""
        return len(self.split(text, 0))

    def clean(self, lines: list[bytes], data: bytes, *, after_cut: bool = False) -> tuple[list[bytes], int]:
        """Return the lines in UTF-8, but for those that are in no encoding."""
        del data
        codec = self._codec
        nul_bytes = 0
        cleaned: list[bytes] = []
        for line in lines:
            try:
                text = line.decode(codec)
            except UnicodeDecodeError:
                if not self._converts:
                    cleaned.append(line.removesuffix("\r".encode(codec)))
                    continue
                text = line.decode(codec, "replace")
            stripped = text.lstrip("\ufeff").lstrip("\0")
            if (len(text) - len(stripped)) * self._width < HOLE and (cleaned or not after_cut):
                stripped = text.lstrip("\ufeff")
            nul_bytes += (len(text) - len(stripped)) * self._width
            cleaned.append(stripped.removesuffix("\r").encode("utf-8", "replace"))
        return cleaned, nul_bytes


def without_hole(line: bytes) -> bytes:
    """Return a line without the hole at its start."""
    if line[:1] != _NUL:
        return line
    text = line.lstrip(_NUL)
    return text if len(line) - len(text) >= HOLE else line


def line_format(encoding: str | None, from_encoding: str | None) -> Lines:
    """Return how to read lines in what `from_encoding` or, where that is absent, `encoding` names.

    Records hold text, which has no encoding: what `from_encoding` is to be turned into makes no difference.

    Raises:
        InvalidSetting: there is no such encoding.
    """
    for param, name in (("encoding", encoding), ("from_encoding", from_encoding)):
        if name is not None:
            codec_of(name, param)
    source = from_encoding or encoding
    codec = codec_of(source, "encoding") if source else ""
    return TranscodedLines(codec, converts=from_encoding is not None) if codec else Lines()


def whole_lines(data: bytes, start: int, limit: int) -> tuple[int, int]:
    """Return where some whole lines of a block end, and how many: `limit` at most, and about half of that at least.

    (0, 0) where there is none, or something to be cleaned: a carriage return or a NUL.
    """
    stop = data.rfind(b"\n", start) + 1
    if not stop or b"\r" in data or _NUL in data:
        return 0, 0
    while (count := data.count(b"\n", start, stop)) > limit:
        stop = data.rfind(b"\n", start, (start + stop) // 2) + 1
    return stop, count


def last_character(data: bytes) -> int:
    """Return where to cut so that no UTF-8 character is torn."""
    for length in range(1, min(4, len(data))):
        byte = data[-length]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            return len(data) - length
    return len(data)


_NOT_MATCHED: Final = "pattern not matched"
_INCOMPLETE: Final = "got incomplete line before first line"

_NO_TIME: Final[Time] = -(1 << 80)
"""What stands for the time of a line that has none; no parser makes it."""


class Made(NamedTuple):
    """What became of some lines."""

    batch: EventBatch
    """It may be empty."""
    unmatched: int
    """Lines that are not in the format."""
    surplus: int
    """Events beyond one for each line that is in the format; negative where lines hold none, as JSON's `[]`."""


class EventMaker:
    """Makes the batches of a `<source>`."""

    def __init__(self, options: TailOptions, host: Host, messages: MessageLimit) -> None:
        parser = host.parser(options.parse)
        self._parse = parser.parse
        self._parse_lines = parser.parse_lines
        self._estimates = bool(getattr(parser.options, "estimate_current_event", True))
        needs_records = options.path_key is not None or options.emit_unmatched_lines or not self._estimates
        self._take_lines = None if needs_records else parser.lines
        self.join = parser.join
        """Tells which lines are one event, in any encoding that parsers take; None where each is its own."""
        self._host = host
        self._messages = messages
        self._path_key = options.path_key
        self._emit_unmatched = options.emit_unmatched_lines

    def make(self, trail: Trail, lines: list[bytes], receipt: Receipt) -> Made:
        """Return the events of some lines of a file."""
        now = self._host.clock.now()
        stand_in = now if self._estimates else _NO_TIME
        try:
            parsed = self._parse_lines(lines, stand_in)
        except MemoryError:
            raise  # no line is to blame, and all of them are read again
        except Exception as error:  # noqa: BLE001 - a parser that breaks on one line must not cost the others
            parsed = self._one_by_one(trail, lines, stand_in, error)
        if not self._estimates and _NO_TIME in parsed.times:
            parsed = self._with_time(lines, parsed)
        unmatched = len(parsed.unmatched)
        surplus = len(parsed.records) + unmatched - len(lines)
        if unmatched:
            parsed = self._report(trail, lines, parsed, now)
        if self._path_key is not None:
            _add_path(parsed.records, self._path_key, trail.name)
        return Made(EventBatch(trail.tag, parsed.times, parsed.records, receipt), unmatched, surplus)

    def alone(self, trail: Trail, lines: list[bytes], receipt: Receipt) -> Made:
        """Say of lines that their event's beginning is not there, and make events of them where the user wants that.

        compat: in_tail.rb parses them only then, each for itself.
        """
        for line in lines[: self._messages.allowed(trail.name, _INCOMPLETE, len(lines))]:
            self._host.log.warning("%s from %s: %s", _INCOMPLETE, trail.name, shortened(line))
        if self._emit_unmatched:
            return self.make(trail, lines, receipt)
        return Made(EventBatch(trail.tag, [], [], receipt), len(lines), 0)

    @property
    def takes_whole(self) -> bool:
        """Whether the parser may take lines without decoding them, and no setting needs their records."""
        return self._take_lines is not None

    def whole(self, trail: Trail, data: bytes, start: int, stop: int, count: int) -> Callable[[Receipt], Made] | None:
        """Return what makes a batch of `count` whole lines as they are; None where they have to be decoded."""
        now = self._host.clock.now()
        try:
            found = None if self._take_lines is None else self._take_lines(data, start, stop, now)
        except Exception:  # noqa: BLE001 - whichever line is to blame, `make` finds it
            return None
        if found is None:
            return None
        batch, unmatched = found

        def made(receipt: Receipt) -> Made:
            batch.tag, batch.receipt = trail.tag, receipt
            if unmatched:
                self._report(trail, data[start:stop].split(b"\n"), Parsed([], [], unmatched), now)
            return Made(batch, len(unmatched), len(batch) + len(unmatched) - count)

        return made

    def _one_by_one(self, trail: Trail, lines: list[bytes], now: Time, error: Exception) -> Parsed:
        """Parse each line apart; those that break the parser count as unmatched."""
        whole = Parsed([], [], [])
        for number, line in enumerate(lines):
            try:
                parsed = self._parse_lines([line], now)
            except MemoryError:
                raise
            except Exception as caught:  # noqa: BLE001 - as above
                error, parsed = caught, Parsed([], [], [0])
            whole.times.extend(parsed.times)
            whole.records.extend(parsed.records)
            whole.unmatched.extend(number for _ in parsed.unmatched)
        if self._messages.allowed(trail.name, "invalid line found", 1):
            self._host.log.warning("invalid line found file=%s error=%r", trail.name, str(error))
        return whole

    def _report(self, trail: Trail, lines: list[bytes], parsed: Parsed, now: Time) -> Parsed:
        """Warn about the unmatched lines, and make events of them where the user wants that."""
        numbers = parsed.unmatched
        for number in numbers[: self._messages.allowed(trail.name, _NOT_MATCHED, len(numbers))]:
            line = lines[number]
            if problem := self._problem(line):
                self._host.log.warning("invalid line found: %s: %s", shortened(line), shortened(problem))
            else:
                self._host.log.warning("%s: %s", _NOT_MATCHED, shortened(line))
        return _with_unmatched(lines, parsed, now) if self._emit_unmatched else parsed

    def _problem(self, line: bytes) -> bytes:
        """Return what is wrong with the time of a line that is in the format otherwise; else nothing."""
        try:
            self._parse(escaped(line))
        except ParseError as error:
            return str(error).encode("utf-8", "surrogateescape")
        except Exception:  # noqa: BLE001 - it was told already
            return b""
        return b""

    def _with_time(self, lines: list[bytes], parsed: Parsed) -> Parsed:
        """Return the events that have a time; the lines of the others are unmatched.

        compat: in_tail.rb takes a line without a time, where `estimate_current_event` is false, for one that its
        format does not match.
        """
        if len(parsed.records) + len(parsed.unmatched) == len(lines):
            known = set(parsed.unmatched)
            numbers = [number for number in range(len(lines)) if number not in known]
        else:  # lines of several events
            parts = [self._parse_lines([line], _NO_TIME) for line in lines]
            numbers = [number for number, part in enumerate(parts) for _ in part.records]
        has_time = [time != _NO_TIME for time in parsed.times]
        without = {number for number, has in zip(numbers, has_time, strict=True) if not has}
        times, records = compress(parsed.times, has_time), compress(parsed.records, has_time)
        return Parsed(list(times), list(records), sorted(without.union(parsed.unmatched)))


def _with_unmatched(lines: list[bytes], parsed: Parsed, now: Time) -> Parsed:
    """Return the events with one more for each unmatched line, in the order of the lines.

    Where lines gave several events each, nobody knows which came from which: then the unmatched ones come last.
    """
    raw = [{"unmatched_line": text_or_bytes(lines[number])} for number in parsed.unmatched]
    if len(parsed.records) + len(raw) != len(lines):
        return Parsed([*parsed.times, *[now] * len(raw)], [*parsed.records, *raw], parsed.unmatched)
    times: list[Time] = []
    records: list[Record] = []
    begin = 0
    for place, (number, record) in enumerate(zip(parsed.unmatched, raw, strict=True)):
        end = number - place
        times += parsed.times[begin:end]
        records += parsed.records[begin:end]
        times.append(now)
        records.append(record)
        begin = end
    return Parsed([*times, *parsed.times[begin:]], [*records, *parsed.records[begin:]], parsed.unmatched)


def _add_path(records: Iterable[Record], key: str, path: str) -> None:
    """Write a file's path into its records."""
    for record in records:
        # compat: in_tail.rb writes `record[path_key] ||= path`: null and false give way, "" does not
        if (present := record.get(key)) is None or present is False:
            record[key] = path
