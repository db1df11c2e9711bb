"""Records in MessagePack, one right behind the other. Rules: fluentd's plugin/formatter_msgpack.rb."""

from __future__ import annotations

import re
from typing import Any, Final

import msgpack

from logpipe import FormatError, Formatter, Host, Record, Time
from logpipe.codec import FormatOptions, escape_values, holds_bytes

_BINARY: Final = re.compile(rb"[\xc4-\xc6]")
"""The marker of a value of bytes; it may also occur within another value."""


class MsgpackOptions(FormatOptions):
    """Settings of `<format> @type msgpack`; it has none of its own, and writes no times."""


class MsgpackFormatter(Formatter[MsgpackOptions], type="msgpack"):
    """Writes records as maps; texts that are not UTF-8 are texts, as in fluentd, and so are integers over 64 bits."""

    is_binary = True

    def __init__(self, options: MsgpackOptions, host: Host) -> None:
        super().__init__(options, host)
        self._pack = msgpack.Packer(default=str, unicode_errors="surrogatepass").pack
        self._pack_escaped = msgpack.Packer(default=str, unicode_errors="surrogateescape").pack

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one record's map.

        Raises:
            FormatError: it is nested too deeply.
        """
        del tag, time
        try:
            packed: Any = self._pack(record)
            if _BINARY.search(packed) is not None and holds_bytes(record):
                packed = self._pack_escaped(escape_values(record))
        except (ValueError, RecursionError) as problem:
            raise FormatError(f"the record cannot be written as MessagePack: {problem}") from None
        return bytes(packed)
