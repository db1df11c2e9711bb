"""What an object is called. Rules: `write` and process_s3_object_key_format of out_s3.rb."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from logpipe import Chunk, OutputHost, PermanentError

REMOVED: Final = ("%{uuid}", "%{uuid:random}", "%{uuid:hostname}", "%{uuid:timestamp}")
UNCHECKED: Final = "%{path}/%{time_slice}_%{hms_slice}.%{file_extension}"
"""The keys of `check_object false`, where nothing else is written."""
LONGEST: Final = 1024
"""Bytes of a key."""
_WORD: Final = re.compile(r"%\{[^}]+\}")
_MARK: Final = re.compile("\0([a-z_]+)\0")
_CHECKED_WORDS: Final = ("index", "hex_random", "uuid_flush")
_UNCHECKED_WORDS: Final = ("hms_slice", "hex_random", "uuid_flush")


class KeyTemplate:
    """Gives the keys of a chunk's object: `s3_object_key_format`, ready but for what the chunk says.

    Args:
        text: the setting.
        words: what `%{path}`, `%{file_extension}` and the like stand for, with placeholders.
        is_checked: `check_object`.
        index_format: how an index is written.
        random_length: digits of `%{hex_random}`.
        host: the output's.
    """

    def __init__(
        self,
        text: str,
        words: Mapping[str, str],
        *,
        is_checked: bool,
        index_format: str,
        random_length: int,
        host: OutputHost,
    ) -> None:
        marks = _CHECKED_WORDS if is_checked else _UNCHECKED_WORDS

        def replaced(found: re.Match[str]) -> str:
            word = found[0][2:-1]
            # what an event says holds no NUL, so that it is never taken for one of these
            return f"\0{word}\0" if word in marks else words.get(word, found[0])

        # compat: %{path} may hold other words; what no word is becomes nothing
        self._template = _WORD.sub("", _WORD.sub(replaced, _WORD.sub(replaced, text)))
        self.has_index = "\0index\0" in self._template
        self.is_own = any(f"\0{word}\0" in self._template for word in ("hex_random", "uuid_flush"))
        self.is_own |= "${chunk_id}" in self._template
        self._index_format = index_format
        self._random_length = random_length
        self._host = host

    def of(self, chunk: Chunk, hms_slice: str) -> Callable[[int], str]:
        """Return what gives a chunk's key for an index.

        Raises:
            PermanentError: its events make no key.
        """
        digest = hashlib.blake2b(chunk.id.encode(), digest_size=16).digest()
        words = {
            "hms_slice": hms_slice,
            "hex_random": chunk.id[::-1][: self._random_length],
            "uuid_flush": str(uuid.UUID(bytes=digest, version=4)),
        }
        filled = _MARK.sub(lambda found: words.get(found[1], found[0]), self._host.expand(self._template, chunk))
        first = self._of(filled, 0)
        try:
            length = len(first.encode())
        except UnicodeEncodeError:
            raise PermanentError(f"no object can have this key, which is not UTF-8: {first[:200]!r}") from None
        if not first or length > LONGEST:
            raise PermanentError(f"no object can have a key of {length} bytes: {first[:200]!r}")
        return lambda index: self._of(filled, index)

    def _of(self, filled: str, index: int) -> str:
        return filled.replace("\0index\0", self.written(index)) if self.has_index else filled

    def written(self, index: int) -> str:
        """Return an index as it is written."""
        return self._index_format % index


def slice_format(timekey: float) -> str:
    """Return the directives of a time slice of that many seconds."""
    if timekey < 60:
        return "%Y%m%d%H%M%S"
    if timekey < 3600:
        return "%Y%m%d%H%M"
    return "%Y%m%d%H" if timekey < 86_400 else "%Y%m%d"
