"""Blocks of bytes to lines: where lines end, and what is taken off them before a parser sees them."""

from __future__ import annotations

import codecs
from typing import Final, NamedTuple, Protocol

from logpipe import InvalidSetting

_RUBY_NAMES: Final = {
    "ascii-8bit": "",
    "binary": "",
    "us-ascii": "",
    "ascii": "",
    "utf-8": "",
    "utf8": "",
    "utf-8-mac": "",
    "utf8-mac": "",
    "windows-31j": "cp932",
    "cswindows31j": "cp932",
    "sjis": "cp932",
    "eucjp": "euc_jp",
    "eucjp-ms": "euc_jp",
    "cp51932": "euc_jp",
    "euckr": "euc_kr",
    "euctw": "euc_tw",
    "macjapanese": "shift_jis",
}
"""Encodings by Ruby's names where Python has another; empty for those that parsers read as they are."""

_WITHOUT_MARK: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
"""Codecs that write no byte order mark before each text, for those that do."""

_NUL: Final = b"\0"

_SHOWN: Final = 512
"""Bytes of a line that a message shows."""

HOLE: Final = 512
"""NULs in a row that nobody wrote: copytruncate leaves them of a writer that goes on at its old offset, and a power cut
of a write, a sector at the least. Fewer belong to their line, but at the beginning of a file that was cut."""


class Cleaned(NamedTuple):
    """Lines as a parser takes them."""

    lines: list[bytes]
    nul_bytes: int
    """NULs that stood at the start of lines and are left out."""


class LineFormat(Protocol):
    """How the lines of a file are written."""

    end: bytes
    """What ends a line."""

    def split(self, data: bytes, start: int) -> list[bytes]:
        """Return the lines in `data` from `start` on, without their ends, and last what follows the last end."""
        ...

    def clean(self, lines: list[bytes], data: bytes, *, after_cut: bool = False) -> Cleaned:
        """Return lines of `data` in UTF-8, without carriage return and without a hole at their start.

        `after_cut` says that the first of them is the first of a file that was cut: NULs there are a hole, however few.
        """
        ...


class PlainLines:
    """UTF-8 and whatever else parsers take as it is: the fast one."""

    end = b"\n"

    def split(self, data: bytes, start: int) -> list[bytes]:
        """Return the lines in `data` from `start` on, and what follows the last of them."""
        if start and data.find(b"\n", start) < 0:
            return [data[start:]]
        lines = data.split(b"\n")  # whole, then without what is before `start`: a copy of the block costs more
        if start:
            del lines[: data.count(b"\n", 0, start)]
            if half := start - data.rfind(b"\n", 0, start) - 1:
                lines[0] = lines[0][half:]
        return lines

    def clean(self, lines: list[bytes], data: bytes, *, after_cut: bool = False) -> Cleaned:
        """Return the lines without carriage return and holes; the very list where there are none."""
        nul_bytes = 0
        if _NUL in data:
            before = sum(map(len, lines))
            lines = list(map(without_hole, lines))
            if after_cut:
                lines[:1] = [line.lstrip(_NUL) for line in lines[:1]]
            nul_bytes = before - sum(map(len, lines))
        if b"\r" in data:
            lines = [line.removesuffix(b"\r") for line in lines]
        return Cleaned(lines, nul_bytes)


class TranscodedLines:
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

    def clean(self, lines: list[bytes], data: bytes, *, after_cut: bool = False) -> Cleaned:
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
            hole = (len(text) - len(stripped)) * self._width
            if hole >= HOLE or (after_cut and not cleaned):
                nul_bytes += hole
            else:
                stripped = text.lstrip("\ufeff")
                nul_bytes += (len(text) - len(stripped)) * self._width
            cleaned.append(stripped.removesuffix("\r").encode("utf-8", "replace"))
        return Cleaned(cleaned, nul_bytes)


def without_hole(line: bytes) -> bytes:
    """Return a line without the hole at its start."""
    if line[:1] != _NUL:
        return line
    text = line.lstrip(_NUL)
    return text if len(line) - len(text) >= HOLE else line


def line_format(encoding: str | None, from_encoding: str | None) -> LineFormat:
    """Return how to read lines in what `from_encoding` or, where that is absent, `encoding` names.

    Records hold text, which has no encoding: what `from_encoding` is to be turned into makes no difference.

    Raises:
        InvalidSetting: there is no such encoding.
    """
    for param, name in (("encoding", encoding), ("from_encoding", from_encoding)):
        if name is not None:
            _codec(name, param)
    source = from_encoding or encoding
    codec = _codec(source, "encoding") if source else ""
    return TranscodedLines(codec, converts=from_encoding is not None) if codec else PlainLines()


def _codec(name: str, param: str) -> str:
    """Return Python's name of an encoding, empty where nothing is to be done."""
    known = _RUBY_NAMES.get(name.lower())
    if known is not None:
        return known
    try:
        codec = codecs.lookup(name)
        "\n".encode(codec.name)
    except (LookupError, ValueError, TypeError):
        raise InvalidSetting(f'unknown encoding name "{name}": write UTF-8, Shift_JIS, …', param=param) from None
    return "" if codec.name in {"utf-8", "ascii"} else codec.name


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


def inspect(line: bytes) -> str:
    """Return a line as Ruby's String#inspect would show it, control characters escaped, a long one cut short."""
    text = line[:_SHOWN].decode("utf-8", "replace")
    shown = "".join(map(_shown_character, text))
    return f'"{shown}"' if len(line) <= _SHOWN else f'"{shown}"… ({len(line)} bytes)'


_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e", "\0": "\\0"}


def _shown_character(character: str) -> str:
    escaped = _ESCAPES.get(character)
    if escaped is not None:
        return escaped
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02X}" if number < 0x80 else f"\\u{number:04X}" if number < 0x10000 else f"\\u{{{number:X}}}"
