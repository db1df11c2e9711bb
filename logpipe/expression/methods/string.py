"""String: its content. Changes are in `string_edit`, regular expressions in `string_match`."""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from logpipe.expression.methods.character_sets import character_set
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.arithmetic import integer_argument, modulo, plus, string_argument, times
from logpipe.expression.runtime.comparison import compare
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.matches import LAST_MATCH, Regexp
from logpipe.expression.runtime.values import Symbol

methods = Methods()

_FORMS: Final = {"nfc": "NFC", "nfd": "NFD", "nfkc": "NFKC", "nfkd": "NFKD"}

methods.of(str, names="+")(plus)
methods.of(str, names="*")(times)
methods.of(str, names="%", returns=str)(modulo)


def encoded(text: str) -> bytes:
    """Return the text's bytes, invalid ones unchanged."""
    return text.encode("utf-8", "surrogateescape")


def decoded(data: bytes) -> str:
    """Return the text of bytes, invalid ones kept as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


@methods.of(str, Symbol, names="size length", returns=int)
def length(text: Any) -> int:
    """Return the number of characters."""
    return len(text.name if isinstance(text, Symbol) else text)


@methods.of(str, names="bytesize", returns=int)
def byte_length(text: str) -> int:
    """Return the number of bytes."""
    return len(text) if text.isascii() else len(encoded(text))


@methods.of(str, names="empty?", returns=bool)
def is_empty(text: str) -> bool:
    """Return whether there are no characters."""
    return not text


@methods.of(str, names="include? member?", returns=bool)
def includes(text: str, part: Any) -> bool:
    """Return whether the text contains `part`."""
    return string_argument(part) in text


@methods.of(str, names="start_with?", returns=bool)
def starts_with(text: str, *prefixes: Any) -> bool:
    """Return whether the text begins with one of the prefixes or matches one at its beginning."""
    for prefix in prefixes:
        if isinstance(prefix, Regexp):
            found = prefix.pattern.match(text)
            if LAST_MATCH.note(found, prefix) is not None:
                return True
        elif text.startswith(string_argument(prefix)):
            return True
    return False


@methods.of(str, names="end_with?", returns=bool)
def ends_with(text: str, *suffixes: Any) -> bool:
    """Return whether the text ends with one of the suffixes."""
    return any(text.endswith(string_argument(suffix)) for suffix in suffixes)


@methods.of(Symbol, names="start_with?", returns=bool)
def symbol_starts_with(symbol: Symbol, *prefixes: Any) -> bool:
    """Return whether the name begins with one of the prefixes."""
    return starts_with(symbol.name, *prefixes)


@methods.of(Symbol, names="end_with?", returns=bool)
def symbol_ends_with(symbol: Symbol, *suffixes: Any) -> bool:
    """Return whether the name ends with one of the suffixes."""
    return ends_with(symbol.name, *suffixes)


@methods.of(Symbol, names="empty?", returns=bool)
def symbol_is_empty(symbol: Symbol) -> bool:
    """Return whether the name has no characters."""
    return not symbol.name


@methods.of(str, names="count", returns=int)
def count(text: str, *sets: Any) -> int:
    """Return how many characters belong to all of the sets, written as for `tr`.

    Raises:
        RubyError: no set is given (ArgumentError).
    """
    member = character_set(sets)
    return sum(map(member, text))


@methods.of(str, names="casecmp")
def compare_ignoring_case(text: str, other: Any) -> int | None:
    """Return the order of the two, ASCII letters folded; nil for other values."""
    if not isinstance(other, str):
        return None
    return compare(_ascii_lower(text), _ascii_lower(other))


def _ascii_lower(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)


@methods.of(str, names="casecmp?")
def equal_ignoring_case(text: str, other: Any) -> bool | None:
    """Return whether the two are equal with case folded.

    Raises:
        RubyError: the other is not a String (TypeError).
    """
    return text.casefold() == string_argument(other).casefold()


@methods.of(str, names="ord", returns=int)
def ordinal(text: str) -> int:
    """Return the first character's number.

    Raises:
        RubyError: there is none (ArgumentError).
    """
    if not text:
        raise RubyError("ArgumentError", "empty string")
    return ord(text[0])


@methods.of(str, names="sum", returns=int)
def checksum(text: str, bits: Any = 16) -> int:
    """Return the sum of all bytes, cut to so many bits."""
    total, width = sum(encoded(text)), integer_argument(bits)
    return total & ((1 << min(width, 64)) - 1) if width > 0 else total


@methods.of(str, names="ascii_only?", returns=bool)
def is_ascii(text: str) -> bool:
    """Return whether all characters are ASCII."""
    return text.isascii()


@methods.of(str, names="valid_encoding?", returns=bool)
def is_valid(text: str) -> bool:
    """Return whether no byte is invalid."""
    return not any("\udc80" <= char <= "\udcff" for char in text)


@methods.of(str, names="unicode_normalize", returns=str)
def normalize(text: str, form: Any = None) -> str:
    """Return the text in a Unicode normal form, NFC unless another is named.

    Raises:
        RubyError: there is no such form (ArgumentError).
    """
    name = form.name if isinstance(form, Symbol) else "nfc"
    if name not in _FORMS:
        raise RubyError("ArgumentError", f"Invalid normalization form {name}.")
    return unicodedata.normalize(_FORMS[name], text)  # type: ignore[arg-type]  # one of the table's values


@methods.of(str, names="encoding", returns=str)
def encoding(_text: str) -> str:
    """Return the name of the encoding, which is always UTF-8."""
    return "UTF-8"


@methods.of(str, names="unicode_normalized?", returns=bool)
def is_normalized(text: str, form: Any = None) -> bool:
    """Return whether the text is in a Unicode normal form."""
    return normalize(text, form) == text
