"""String as bytes: encodings, `scrub`, `unpack`, `pack`."""

from __future__ import annotations

import base64
import codecs
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.string import decoded, encoded, is_valid
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.failures import BUDGET, RubyError, check_size
from logpipe.expression.runtime.text import to_s
from logpipe.expression.runtime.values import Symbol

methods = Methods()

_DIRECTIVE: Final = re.compile(r"\s*([a-zA-Z@])([_!<>]*)(\d+|\*)?")
_NUMBERS: Final = {
    "C": "B", "c": "b", "S": "<H", "s": "<h", "L": "<I", "l": "<i", "Q": "<Q", "q": "<q", "n": ">H", "N": ">I",
    "v": "<H", "V": "<I", "d": "<d", "D": "<d", "E": "<d", "G": ">d", "f": "<f", "F": "<f", "e": "<f", "g": ">f",
}  # fmt: skip
_CODECS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "iso-8859-1": "latin-1",
    "iso-8859-15": "iso8859-15", "windows-1252": "cp1252", "windows-1251": "cp1251", "cp1252": "cp1252",
    "ascii-8bit": "", "binary": "", "shift_jis": "shift_jis", "windows-31j": "cp932", "euc-jp": "euc_jp",
    "gbk": "gbk", "gb18030": "gb18030", "big5": "big5", "euc-kr": "euc_kr", "utf-16": "utf-16", "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be", "koi8-r": "koi8_r", "iso-2022-jp": "iso2022_jp",
}  # fmt: skip
_INVALID_BYTE: Final = re.compile("[\udc80-\udcff]")
_FAMILY: Final = re.compile(r"(?:ISO-8859-|Windows-|CP|IBM|KOI8-)\w{1,5}", re.IGNORECASE | re.ASCII)


@methods.of(str, names="force_encoding", returns=str)
def force_encoding(text: str, name: Any) -> str:
    """Return the same bytes read as another encoding: as bytes for ASCII-8BIT, as characters for all else."""
    return as_bytes(text) if _codec(name) == "" else rejoined(text)


@methods.of(str, names="b", returns=str)
def as_bytes(text: str) -> str:
    """Return the text as bytes, one character each."""
    return (
        text if text.isascii() else "".join(chr(byte) if byte < 128 else chr(0xDC00 + byte) for byte in encoded(text))
    )


def rejoined(text: str) -> str:
    """Return the text of bytes that were kept one by one."""
    return text if text.isascii() else decoded(encoded(text))


@methods.of(str, names="scrub", returns=str)
def scrub(text: str, replacement: Any = None, block: Callable[[Any], Any] | None = None) -> str:
    """Return the text with invalid bytes replaced; the rest of a cut character counts as one."""
    if is_valid(text):
        return text
    if replacement is None and block is not None:
        return _scrubbed(text, block)
    other = "\ufffd" if replacement is None else string_argument(replacement)
    pieces = (encoded(piece).decode("utf-8", "replace") for piece in text.split("\ufffd"))
    return "\ufffd".join(piece.replace("\ufffd", other) for piece in pieces)


def _scrubbed(text: str, block: Callable[[Any], Any]) -> str:
    """Return the text with each invalid byte replaced by the block's result."""
    size = len(text)

    def replaced(found: re.Match[str]) -> str:
        nonlocal size
        BUDGET.spend()
        piece = to_s(block(found[0]))
        size += len(piece)
        check_size(size)
        return piece

    return _INVALID_BYTE.sub(replaced, text)


@methods.of(str, names="scrub!", mutates=True)
def scrub_here(text: str, replacement: Any = None, block: Callable[[Any], Any] | None = None) -> tuple[str, str]:
    """Replace invalid bytes in the receiver."""
    result = scrub(text, replacement, block)
    return result, result


@methods.of(str, names="encode", returns=str)
def encode(text: str, target: Any = "UTF-8", source: Any = None, options: Any = None) -> str:
    """Return the converted text; the options determine replacements for what cannot be converted.

    Raises:
        RubyError: invalid or unknown characters without an option for them (EncodingError).
    """
    if isinstance(target, dict):
        target, options = "UTF-8", target
    if isinstance(source, dict):
        source, options = None, source
    wanted = {key.name: value for key, value in (options or {}).items() if isinstance(key, Symbol)}
    if source is None and not wanted and _codec(target) == "utf-8":
        return text  # already in that encoding: not checked
    if source is not None:
        codec = _codec(source)
        text = text if codec in ("", "utf-8") else _decode_as(encoded(text), codec, wanted)
    text = _without_invalid(text, wanted)
    codec = _codec(target)
    if codec in ("", "utf-8") or codec.startswith("utf-16"):
        return text
    return _without_unknown(text, codec, wanted)


def _codec(name: Any) -> str:
    text = to_s(name)
    codec = _CODECS.get(text.lower())
    if codec is None and _FAMILY.fullmatch(text):
        with suppress(LookupError):
            codec = codecs.lookup(text).name
    if codec is None:
        raise RubyError("ArgumentError", f"unknown encoding name - {text}")
    return codec


def _decode_as(data: bytes, codec: str, options: dict[str, Any]) -> str:
    try:
        return data.decode(codec, "replace" if isinstance(options.get("invalid"), Symbol) else "strict")
    except UnicodeError:
        raise RubyError("Encoding::InvalidByteSequenceError", f"invalid bytes for {codec}") from None


def _without_invalid(text: str, options: dict[str, Any]) -> str:
    if is_valid(text):
        return text
    if not isinstance(options.get("invalid", options.get("undef")), Symbol):
        raise RubyError("Encoding::InvalidByteSequenceError", "invalid bytes in UTF-8")
    replacement = string_argument(options.get("replace", "\ufffd"))
    if rejoined(text) != text:  # bytes without an encoding, of which only ASCII can be converted
        return re.sub("[\udc80-\udcff]", lambda _: replacement, text)
    return scrub(text, replacement)


def _without_unknown(text: str, codec: str, options: dict[str, Any]) -> str:
    try:
        text.encode(codec)
    except UnicodeEncodeError as error:
        instead = options.get("fallback")
        if isinstance(instead, dict) and all(_fits(char, codec) or char in instead for char in text):
            return "".join(char if _fits(char, codec) else to_s(instead[char]) for char in text)
        if not isinstance(options.get("undef"), Symbol):
            char = text[error.start]
            raise RubyError(
                "Encoding::UndefinedConversionError", f"U+{ord(char):04X} from UTF-8 to {codec.upper()}"
            ) from None
        replacement = to_s(options.get("replace", "?"))
        return "".join(char if _fits(char, codec) else replacement for char in text)
    return text


def _fits(char: str, codec: str) -> bool:
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


@methods.of(str, names="unpack", returns=list)
def unpack(text: str, template: Any) -> list[Any]:
    """Return the values that a template reads from the bytes.

    Raises:
        RubyError: the template has an unsupported letter (ArgumentError).
    """
    data = encoded(text)
    found: list[Any] = []
    position = 0
    for letter, _marks, count in _DIRECTIVE.findall(string_argument(template)):
        position = _unpack_one(letter, count, data, position, found)
    return found


@methods.of(str, names="unpack1")
def unpack_first(text: str, template: Any) -> Any:
    """Return the first value that a template reads from the bytes."""
    found = unpack(text, template)
    return found[0] if found else None


def _unpack_one(letter: str, count: str, data: bytes, position: int, found: list[Any]) -> int:
    rest = data[position:]
    if letter in _NUMBERS:
        code = _NUMBERS[letter]
        size = struct.calcsize(code)
        wanted = len(rest) // size if count == "*" else int(count or 1)
        for at in range(min(wanted, len(data) + 1)):
            piece = rest[at * size : (at + 1) * size]
            found.append(struct.unpack(code, piece)[0] if len(piece) == size else None)
        return position + wanted * size
    taken = len(rest) if count == "*" else int(count or 1)
    match letter:
        case "a" | "A" | "Z":
            piece = rest[:taken]
            if letter == "A":
                piece = piece.rstrip(b" \0")
            elif letter == "Z":
                piece = piece.partition(b"\0")[0]
            found.append(decoded(piece))
        case "U":
            chars = decoded(rest)[: None if count == "*" else taken]
            found.extend(map(ord, chars))
            return position + len(encoded(chars))
        case "H" | "h":
            digits = rest.hex() if letter == "H" else "".join(pair[::-1] for pair in re.findall("..", rest.hex()))
            found.append(digits if count == "*" else digits[:taken])
            return position + (taken + 1) // 2
        case "B" | "b":
            bits = "".join(format(byte, "08b")[:: 1 if letter == "B" else -1] for byte in rest)
            found.append(bits if count == "*" else bits[:taken])
            return position + (taken + 7) // 8
        case "m":
            found.append(decode_base64(decoded(rest)))
            return len(data)
        case "x":
            return position + taken
        case _:
            raise RubyError("ArgumentError", f"unpack directive '{letter}' is not supported here")
    return position + taken


@methods.of(list, names="pack", returns=str)
def pack(items: list[Any], template: Any) -> str:
    """Return the members packed to bytes by a template.

    Raises:
        RubyError: the template has an unsupported letter, or needs more members (ArgumentError).
    """
    written = b""
    remaining = list(items)
    for letter, _marks, count in _DIRECTIVE.findall(string_argument(template)):
        written += _pack_one(letter, count, remaining)
        check_size(len(written))
    return decoded(written)


def _take(items: list[Any]) -> Any:
    if not items:
        raise RubyError("ArgumentError", "too few arguments")
    return items.pop(0)


def _pack_one(letter: str, count: str, items: list[Any]) -> bytes:
    if letter in _NUMBERS or letter == "U":
        wanted = len(items) if count == "*" else min(int(count or 1), len(items) + 1)
        return b"".join(_packed_number(letter, _take(items)) for _ in range(wanted))
    match letter:
        case "a" | "A" | "Z":
            data = encoded(string_argument(_take(items)))
            width = len(data) + (letter == "Z") if count == "*" else int(count or 1)
            check_size(width)
            return data[:width].ljust(width, b" " if letter == "A" else b"\0")
        case "H":
            digits = string_argument(_take(items))
            return bytes.fromhex(digits + "0" * (len(digits) % 2))
        case "m":
            data = encoded(string_argument(_take(items)))
            return base64.b64encode(data) if count == "0" else encoded(encode_lines(data))
        case "x":
            check_size(int(count or 1) if count != "*" else 0)
            return b"\0" * (0 if count == "*" else int(count or 1))
    raise RubyError("ArgumentError", f"pack directive '{letter}' is not supported here")


def _packed_number(letter: str, value: Any) -> bytes:
    if letter == "U":
        return encoded(chr(integer_argument(value)))
    code = _NUMBERS[letter]
    if code[-1] in "df":
        return struct.pack(code, float(value))
    size = struct.calcsize(code)
    order = "big" if code[0] == ">" else "little"
    return (integer_argument(value) & ((1 << 8 * size) - 1)).to_bytes(size, "big" if order == "big" else "little")


def encode_lines(data: bytes) -> str:
    """Return Base64 with a line break after each 60 characters, as `encode64` writes it."""
    return "".join(base64.b64encode(data[at : at + 45]).decode() + "\n" for at in range(0, len(data), 45))


def decode_base64(text: str) -> str:
    """Return decoded Base64; characters outside the alphabet are skipped, as in Ruby."""
    kept = re.sub(r"[^A-Za-z0-9+/]", "", text.partition("=")[0])
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return decoded(base64.b64decode(kept + "=" * (-len(kept) % 4)))
