"""What a request holds: its parameters, those of a form among them, and its body, unpacked."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from logpipe import LogpipeError
from logpipe.builtin.compression import CorruptError, decompressor
from logpipe.net import Request

MOST_FIELDS: Final = 1_000
"""In a form, or in a URL."""
MOST_RATIO: Final = 100
"""A body may be so many times as large decompressed, if it is larger than `SMALL`: what is alike compresses well."""
SMALL: Final = 16 * 1024 * 1024
MOST_ODD: Final = 1024 * 1024
"""Bytes of a form that is not encoded as it should be."""
MOST_MEMBERS: Final = 1_000
"""Of a body in gzip."""
_PIECE: Final = 64 * 1024

_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_NO_CODE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NAME: Final = re.compile(rb'\r?\ncontent-disposition:[^\r\n]*\bname="?([^"\r\n;]*)', re.IGNORECASE)

BY_TYPE: Final = {
    "application/json": "json",
    "application/csp-report": "json",
    "application/msgpack": "msgpack",
    "application/x-ndjson": "ndjson",
}
"""What a body is, by how its Content-Type begins."""


class RefusedError(LogpipeError):
    """A request of which nothing is taken; the message is for its client."""


def parameters(query: str) -> dict[str, bytes]:
    """Return the parameters of a URL; of a name that is given twice, the last value.

    Raises:
        RefusedError: there are too many.
    """
    return dict(_pairs(query.encode("utf-8", "surrogateescape")))


def form(request: Request, body: bytes) -> dict[str, bytes]:
    """Return what a body adds to the parameters: its fields, or itself under the name of what it is.

    Raises:
        RefusedError: it has too many fields.
    """
    kind = request.headers.get("Content-Type", "")
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(_pairs(body))
    if kind.startswith("multipart/form-data") and (found := _BOUNDARY.search(kind)) is not None:
        return dict(_parts(body, (found[1] or found[2]).encode("utf-8", "surrogateescape")))
    return next(({name: body} for start, name in BY_TYPE.items() if kind.startswith(start)), {})


def _pairs(text: bytes) -> Iterator[tuple[str, bytes]]:
    if text.count(b"&") > MOST_FIELDS:
        raise RefusedError(f"there are more than {MOST_FIELDS} parameters")
    for pair in text.replace(b"+", b" ").split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            yield _unquoted(name).decode("utf-8", "replace"), _unquoted(value)


def _unquoted(text: bytes) -> bytes:
    """Return a part of a form without its percent-encoding; what is none of that stays."""
    if b"%" not in text:
        return text
    if _NO_CODE.search(text) is not None:
        if len(text) > MOST_ODD:
            raise RefusedError("a % that stands for itself must be written %25")
        return unquote_to_bytes(text)
    # the same in C, as quoted-printable writes it: of a large form the other makes millions of objects
    return binascii.a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    line = b"--" + boundary
    if body.count(line) > MOST_FIELDS:
        raise RefusedError(f"there are more than {MOST_FIELDS} fields")
    for part in body.split(line)[1:]:
        head, found, value = part.partition(b"\r\n\r\n")
        if found and (name := _NAME.search(head)) is not None:
            yield name[1].decode("utf-8", "replace"), value.removesuffix(b"\r\n")


def unpacked(request: Request, most: int) -> bytes:
    """Return a body without its Content-Encoding, `most` bytes at most.

    Raises:
        RefusedError: it cannot be undone, or what comes of it is too large.
    """
    encoding = request.headers.get("Content-Encoding", "")
    if encoding in {"", "identity"}:
        return request.body
    if encoding not in {"gzip", "deflate"}:
        raise RefusedError(f"Content-Encoding must be gzip or deflate, not {encoding[:40]!r}")
    most = min(most, max(SMALL, MOST_RATIO * len(request.body)))
    try:
        return _inflated(request.body, most, has_members=encoding == "gzip")
    except CorruptError as problem:
        raise RefusedError(f"the body is no {encoding}: {problem}") from None


def _inflated(data: bytes, most: int, *, has_members: bool) -> bytes:
    found = bytearray()
    place = 0
    for _ in range(MOST_MEMBERS if has_members else 1):
        stream = decompressor("gzip")
        while not stream.eof:
            piece = data[place : place + _PIECE] if stream.needs_input else b""
            if not piece and stream.needs_input:
                raise CorruptError("it ends in the middle")
            place += len(piece)
            found += stream.decompress(piece, most + 1 - len(found))
            if len(found) > most:
                raise RefusedError(f"the body decompressed is larger than {most} bytes")
        place -= len(stream.unused_data)
        if place == len(data):
            return bytes(found)
    if has_members:
        raise RefusedError(f"the body has more than {MOST_MEMBERS} members")
    return bytes(found)
