"""The payload of a message: a record as JSON, LTSV, msgpack, some of its fields, or a formatter's result.

`output_data_type` of kafka and kafka_buffered, `<format>` of kafka2; fluentd's out_kafka.rb and out_kafka2.rb.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgpack
import orjson

from logpipe import FormatError, Host, PluginConf, Record, RecordTooLarge, Time
from logpipe.codec import RecordFormatter, dump_record, holds_bytes, readable, replaced_texts
from logpipe.ruby import to_s

Encode: TypeAlias = Callable[[Any], bytes]
"""A record, or its `record_key`, to a payload."""

EncodeEvent: TypeAlias = Callable[[str, Time, Any], bytes]
"""Tag, time and record to a payload."""

ATTRIBUTES: Final = "attr:"


def own_encoding(data_type: str, *, leading: Sequence[str] = ()) -> Encode | None:
    """Return the function for `json`, `ltsv`, `msgpack` or `attr:a,b`; None for the name of a formatter.

    `leading` are fields that come before those of `attr:`.
    """
    if data_type.startswith(ATTRIBUTES):
        names = [name.strip() for name in data_type.removeprefix(ATTRIBUTES).split(",")]
        # compat: out_kafka.rb always joins with a tab, since it never reads field_separator
        fields = [*leading, *filter(None, names)]
        return lambda record: b"\t".join(to_bytes(record.get(name)) for name in fields)
    return _ENCODINGS.get(data_type)


def encodings(
    data_type: str, section: PluginConf | None, host: Host, *, limit: int | None, leading: Sequence[str] = ()
) -> tuple[Encode | None, EncodeEvent]:
    """Return the encoding of records, None where it needs tag or time, and the slower one of events, for all records.

    `section` is of the formatter that `data_type` names, if it does. A payload larger than `limit` raises
    RecordTooLarge. Texts that are not UTF-8 are counted.
    """
    encode = own_encoding(data_type, leading=leading)
    encode_event: EncodeEvent
    if data_type == "json":
        encode_event = json_encoding(host)
    elif encode is not None:
        encode_event = for_events(encode)
    elif section is not None:
        encode_event = by_formatter(host.formatter(section))
    else:
        raise LookupError(f"output_data_type {data_type} was read without its formatter")
    if not limit:
        return encode, encode_event

    def checked(payload: bytes) -> bytes:
        if len(payload) > limit:
            raise RecordTooLarge(f"record size {len(payload)} exceeds max_send_limit_bytes {limit}")
        return payload

    limited = None if encode is None else lambda record: checked(encode(record))
    return limited, lambda tag, time, record: checked(encode_event(tag, time, record))


def json_encoding(host: Host) -> EncodeEvent:
    """Return the encoding as JSON that counts the texts that are not UTF-8."""
    replaced = replaced_texts(host)
    return lambda _tag, _time, record: dump_record(record, replaced, to_text)


def for_events(encode: Encode) -> EncodeEvent:
    """Return an encoding of records as an encoding of events."""
    return lambda _tag, _time, record: encode(record)


def by_formatter(formatter: RecordFormatter) -> EncodeEvent:
    """Return a formatter as an encoding of events."""

    def encode(tag: str, time: Time, record: Record) -> bytes:
        if not isinstance(record, dict):
            raise FormatError(f"a formatter needs an object, and this is {type(record).__name__}")
        return formatter.format(tag, time, record)

    return encode


def to_text(value: Any) -> str:
    """Return a value as by Ruby's to_s, with U+FFFD for what is not UTF-8."""
    if isinstance(value, str):
        return value
    text: str = readable(value if isinstance(value, bytes) else to_s(value))
    return text


def to_bytes(value: Any) -> bytes:
    """Return a value as by Ruby's to_s, with bytes that are not UTF-8 unchanged."""
    return value if isinstance(value, bytes) else to_text(value).encode("utf-8", "replace")


def _to_ltsv(record: Any) -> bytes:
    if not isinstance(record, dict):
        raise FormatError(f"ltsv needs an object, and this is {type(record).__name__}")
    return b"\t".join(b"%b:%b" % (to_bytes(key), to_bytes(value)) for key, value in record.items())


def _to_msgpack(record: Any) -> bytes:
    packed: bytes = msgpack.packb(record, default=str, unicode_errors="surrogatepass")
    if _BINARY.search(packed) is not None and holds_bytes(record):
        # text that is not UTF-8 is packed as text, too, with msgpack's old format without a type for bytes
        packed = msgpack.packb(record, default=str, unicode_errors="surrogatepass", use_bin_type=False)
    return packed


_BINARY: Final = re.compile(rb"[\xc4-\xc6]")
"""The marker at the beginning of a value of bytes; it may also occur in another value."""


_ENCODINGS: Final[dict[str, Encode]] = {"json": orjson.dumps, "ltsv": _to_ltsv, "msgpack": _to_msgpack}
