"""What a stranger may write: values, times, tags, file names and whole lines, chosen by a seeded generator."""

from __future__ import annotations

import json
import math
import re
from random import Random
from typing import Any, Final

import msgpack

MARK: Final = "zq{:06d}qz"
"""What tells an event wherever it lands, in a record, a file, a message or a letter."""

FIELDS: Final = ("k", "a", "o", "n", "log", "message", "time", "tag", "nt", "kubernetes", "@timestamp", "a.b")

TEXTS: Final = (
    "", ".", "..", "../../x", "/", "//", "~", "-", " ", "\t", "\n", "a\nb", "\r\n", "\x00", "a\x00b", "\x1b[2J", "\x7f",
    "\u2028", "\u202e", "\ufeff", "\udc80", "\ud800x", "é", "日本", "🙂", "%Y%m%d", "${tag}", "${k}", "#{1}", "`id`",
    "$(id)", "'", '"', "\\", "a" * 300, "b/" * 200, "*", "?", "[", "{", "NaN", "true", "null", "0", "1e999", "x.log",
)  # fmt: skip

NUMBERS: Final = (
    0, -0.0, 1, 1.0, -1, 0.1, 1e20, 1e-7, 1.5e300, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64, 10**30,
    253402300800, -62167219201, 10**18, -99999999999999, 1466000000, 1466000000.5,
)  # fmt: skip

_SECONDS: Final = (
    0, -1, 1, 253402300799, 253402300800, -62135596800, -62167219201, 10**12, 10**18, -99999999999999,
)  # fmt: skip
TIMES: Final = (
    *(seconds * 1_000_000_000 for seconds in _SECONDS), 2**63 - 1, 2**63, -(2**63), 1_466_000_000_123_456_789,
)  # fmt: skip

NOW: Final = 1_466_000_000_000_000_000

TAGS: Final = (
    "in.a", "in", "in..b", "in.", ".in", "in.a b", "in.../../x", "in.\x00", "in.\n", "in.é", "in." + "t" * 300,
    "in.${k}", "in.%Y", "in.*", "in." + "c." * 100, "in.\ud800", "other.x", "",
)  # fmt: skip

NAMES: Final = ("app", "a b", "a\nb", "é", "a*b", "${k}", "%Y", "-x", "a'b", 'a"b', "\u202e", "n" * 200, "[x]")
"""File names, without the ending."""


def value(random: Random, depth: int = 0) -> Any:
    """Return any JSON value."""
    kind = random.randrange(10 if depth < 3 else 7)
    if kind < 3:
        return random.choice(TEXTS)
    if kind < 5:
        return random.choice(NUMBERS)
    if kind == 5:
        return random.choice((True, False, None))
    if kind == 6:
        return "".join(chr(random.choice((random.randrange(32), random.randrange(0xD7FF)))) for _ in range(8))
    if kind == 7:
        return [value(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice((*FIELDS, *TEXTS)): value(random, depth + 1) for _ in range(random.randrange(4))}


def tame(number: int) -> dict[str, Any]:
    """Return a record that every stage here can handle, whatever its settings."""
    text = f"{MARK.format(number)} plain"
    return {
        "id": text, "k": "plain", "a": "plain", "o": {"x": "plain"}, "n": 5, "log": "plain", "message": "plain",
        "nt": 1466000000, "tag": "plain", "a.b": "plain",
    }  # fmt: skip


def record(random: Random, number: int) -> dict[str, Any]:
    """Return any record; its field `id` begins with the event's mark."""
    fields = {random.choice((*FIELDS, *TEXTS)): value(random) for _ in range(random.randrange(6))}
    fields["id"] = MARK.format(number) + random.choice(("", " ", *TEXTS[:4], "\n", "é", "x" * 100))
    return fields


def line(random: Random, number: int, parser: str, *, is_tame: bool) -> bytes:
    """Return a line without its end, more or less in a parser's format; the lines of an event where it joins some."""
    if parser.startswith("multiline"):
        return _several(random, MARK.format(number), are_two=parser == "multiline of two", is_tame=is_tame)
    fields = tame(number) if is_tame else record(random, number)
    body = _json(fields, random)
    if parser in _FORMATS:
        own = _FORMATS[parser]
        text = "plain" if is_tame else str(random.choice((*TEXTS, value(random), body.decode("utf-8", "replace"))))
        form = own[0] if is_tame else random.choice(own)
        body = form.format(mark=MARK.format(number), text=text).encode("utf-8", "surrogatepass")
    elif parser == "msgpack":
        body = msgpack.packb({"id": fields["id"]}, unicode_errors="surrogatepass")
    elif parser == "cri":
        stamp = "2016-06-15T14:13:20.123456789Z" if is_tame else random.choice(_STAMPS)
        body = f"{stamp} stdout {'F' if is_tame else random.choice('FPX')} ".encode() + body
    elif parser in {"regexp", "none"}:
        body = f"{MARK.format(number)} plain".encode() if is_tame else f"{MARK.format(number)} ".encode() + body
    if not is_tame and parser != "msgpack" and random.random() < 0.3:
        # a name without a label is left out, and with it the mark
        start = body.index(b"qz") + 2 if parser == "ltsv" else 0
        body = body[:start] + _scatter(random, body[start:]) if start else _damage(random, body)
    return body.replace(b"\n", b" ").replace(b"\r", b" ")


def _several(random: Random, mark: str, *, are_two: bool, is_tame: bool) -> bytes:
    """Return the lines of an event: the mark stands in each that goes on with the first, unless they `are_two`."""
    texts = ["plain", "plain"] if is_tame else [str(random.choice(TEXTS)) for _ in range(random.randrange(1, 6))]
    rest = texts[:1] if are_two else texts
    # the first one is never longer than max_line_size: without it the others would be the event's before it
    lines = [f"{mark} {random.choice(texts)[:80]}", *(f"  at {'' if are_two else mark} {text}" for text in rest)]
    cleaned = (text.replace("\n", " ").encode("utf-8", "surrogatepass") for text in lines)
    return b"\n".join(each if is_tame or random.random() < 0.7 else _scattered(random, each) for each in cleaned)


def _scattered(random: Random, body: bytes) -> bytes:
    """Change bytes of a line, but none of its marks."""
    return b"".join(part if _MARKED.fullmatch(part) else _scatter(random, part) for part in _MARKED.split(body))


_ACCESS: Final = (
    '192.0.2.1 - - [28/Feb/2013:12:00:00 +0900] "GET /{mark} HTTP/1.1" 200 777 "-" "{text}"',
    '192.0.2.1 - {text} [28/Feb/2013:12:00:00 +0900] "GET /{mark} HTTP/1.1" {text} 7x "{text}" "\\"" "-"',
    '{text} - - [{text}] "GET {mark}"',
)
_FORMATS: Final = {
    "apache": _ACCESS,
    "apache2": _ACCESS,
    "nginx": _ACCESS,
    "apache_error": (
        "[Wed Oct 11 14:32:52 2000] [error] [client 192.0.2.1] {mark} {text}",
        "[{text} 11 14:32:52 2000] [{text}] {mark}",
    ),
    "syslog": (
        "Feb 28 12:00:00 host ident[7]: {mark} {text}",
        "<6>Feb  8 12:00:00 host {text} {mark}",
        '<16>1 2013-02-28T12:00:00.003Z host ident 7 ID [a@1 b="{text}"] {mark}',
        "2013-02-28T12:00:00Z host {text} - - - {mark}",
    ),
    "csv": ("{mark},{text},5", '"{mark}","{text}","', "{mark};{text}|| 5", "{mark}"),
    "tsv": ("{mark}\t{text}\t5", "{mark};{text}|| 5\t"),
    "ltsv": ("id:{mark}\tk:{text}\tn:5", "id:{mark}\t{text}\t{text}:", "id:{mark},a: {text}"),
}
"""Lines of parsers; the first of each is what it expects without any settings."""

_STAMPS: Final = ("2016-06-15T14:13:20Z", "0000-00-00T00:00:00Z", "99999-01-01T00:00:00+99:99", "x", "")


def _json(fields: dict[str, Any], random: Random) -> bytes:
    text = json.dumps(fields, ensure_ascii=random.random() < 0.5, allow_nan=random.random() < 0.5 or _finite(fields))
    return text.encode("utf-8", "surrogatepass")


def _finite(item: Any) -> bool:
    if isinstance(item, float):
        return math.isfinite(item)
    if isinstance(item, dict):
        return all(map(_finite, item.values()))
    return all(map(_finite, item)) if isinstance(item, list) else True


def _damage(random: Random, body: bytes) -> bytes:
    """Change bytes of a line, but none of its marks, and cut its end off behind the first."""
    parts = _MARKED.split(body)
    if random.random() < 0.5:
        end = len(parts[0]) + len(parts[1])
        parts = _MARKED.split(body[: random.randrange(end, len(body) + 1)])
    return _scattered(random, b"".join(parts))


_MARKED: Final = re.compile(rb"(zq\d{6}qz)")


def _scatter(random: Random, part: bytes) -> bytes:
    changed = bytearray(part)
    for _ in range(random.randrange(3)):
        if changed:
            changed[random.randrange(len(changed))] = random.choice(b"\x00\x80\xff\xc3\xe9\"{}[]\\:,'\x1b 0")
    return bytes(changed)
