"""What a message holds: a record as JSON, LTSV, msgpack, some of its fields, or what a formatter makes of it.

`output_data_type` of kafka and kafka_buffered, `<format>` of kafka2; fluentd's out_kafka.rb and out_kafka2.rb.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgpack
import orjson

from logpipe import FormatError, Formatter, Record, RecordTooLarge, Time, ruby_to_s

Encode: TypeAlias = Callable[[Any], bytes]
"""A record, or what `record_key` leaves of it, to a payload."""

EncodeEvent: TypeAlias = Callable[[str, Time, Any], bytes]
"""Tag, time and record to a payload."""

OWN_TYPES: Final = ("json", "ltsv", "msgpack")
ATTRIBUTES: Final = "attr:"


def own_encoding(data_type: str, *, leading: Sequence[str] = ()) -> Encode | None:
    """Return the function for `json`, `ltsv`, `msgpack` or `attr:a,b`; None for anything else, a formatter's name.

    `leading` are fields that come before those of `attr:`.
    """
    if data_type.startswith(ATTRIBUTES):
        names = [name.strip() for name in data_type.removeprefix(ATTRIBUTES).split(",")]
        return _attributes([*leading, *filter(None, names)])
    return _ENCODINGS.get(data_type)


def limited(encode: Encode, limit: int) -> Encode:
    """Return `encode` with a limit: a larger payload raises RecordTooLarge."""
    return lambda record: _checked(encode(record), limit)


def limited_event(encode: EncodeEvent, limit: int) -> EncodeEvent:
    """Return `encode` with a limit: a larger payload raises RecordTooLarge."""
    return lambda tag, time, record: _checked(encode(tag, time, record), limit)


def _checked(payload: bytes, limit: int) -> bytes:
    if len(payload) > limit:
        raise RecordTooLarge(f"record size {len(payload)} exceeds max_send_limit_bytes {limit}")
    return payload


def for_events(encode: Encode) -> EncodeEvent:
    """Return an encoding that looks at nothing but the record in the shape of one that may."""
    return lambda _tag, _time, record: encode(record)


def by_formatter(formatter: Formatter[Any]) -> EncodeEvent:
    """Return a formatter as an encoding."""

    def encode(tag: str, time: Time, record: Record) -> bytes:
        if not isinstance(record, dict):
            raise FormatError(f"a formatter needs an object, and this is {type(record).__name__}")
        return formatter.format(tag, time, record)

    return encode


def to_json(record: Any) -> bytes:
    """Return JSON, also of what orjson refuses: large integers, lone surrogates, bytes, keys that are no strings.

    Raises:
        FormatError: it is nested too deep.
    """
    try:
        return orjson.dumps(record)
    except TypeError:
        pass
    try:
        text = json.dumps(_plain(record), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (RecursionError, ValueError) as problem:
        raise FormatError(f"the record cannot be written as JSON: {problem}") from None
    # Only lone surrogates cannot be encoded, and their backslash form is JSON's escape.
    return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    """Return a value with nothing in it that JSON has no word for."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else to_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, bool, int)) else to_text(value)


def to_text(value: Any) -> str:
    """Return a value as Ruby's to_s would."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ruby_to_s(value)


def _to_ltsv(record: Any) -> bytes:
    if not isinstance(record, dict):
        raise FormatError(f"ltsv needs an object, and this is {type(record).__name__}")
    return "\t".join(f"{key}:{to_text(value)}" for key, value in record.items()).encode("utf-8", "replace")


def _to_msgpack(record: Any) -> bytes:
    packed: bytes = msgpack.packb(record, default=str, unicode_errors="surrogatepass")
    return packed


def _attributes(names: Sequence[str]) -> Encode:
    # compat: out_kafka.rb joins with a tab whatever field_separator says, since it never reads that parameter
    def encode(record: Any) -> bytes:
        return "\t".join(to_text(record.get(name)) for name in names).encode("utf-8", "replace")

    return encode


_ENCODINGS: Final[dict[str, Encode]] = {"json": orjson.dumps, "ltsv": _to_ltsv, "msgpack": _to_msgpack}
