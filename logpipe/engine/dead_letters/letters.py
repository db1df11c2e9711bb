"""One dead letter: an event that no stage could handle, or that no output takes, as a line of JSON in a file.

A line says everything that replaying it needs. Its fields:

    at_ns        when it was given up, nanoseconds since the epoch
    reason       the message of the error; error_class its name
    kind         input, filter or output; type and plugin_id name the plugin
    label        the router that the plugin stands in
    config       the path of the configuration's file, absolute; empty where it was none
    tag          the event's tag; null where the chunk does not know it
    time_ns      the event's time, nanoseconds since the epoch
    record       the event's fields
    payload      instead of time and record, where the output had encoded it: base64
    chunk_id     the chunk that it was in; key holds the chunk's timekey, tag and variables

Bytes in a record stand as `{"$bytes": "base64"}`, which `decode` undoes, and a hash of the record's own that looks like
this as `{"$$bytes": …}`; what JSON has no form for stands as text.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from logpipe.event import Record, Time
from logpipe.plugin import ChunkKey

BYTES: Final = "$bytes"
LIKE_BYTES: Final = re.compile(r"\$+bytes")


@dataclass(frozen=True, slots=True)
class Culprit:
    """The plugin that could not handle an event."""

    kind: str
    type: str
    plugin_id: str
    label: str = ""
    config: str = field(default="", compare=False)
    """The configuration's file. An edit leaves it as it is, and two that share an automatic id differ in it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that was given up; either `record` or `payload` is there."""

    at: Time
    culprit: Culprit
    reason: str
    error_class: str
    tag: str | None = None
    time: Time = 0
    record: Record | None = None
    payload: bytes | None = None
    chunk_id: str = ""
    key: ChunkKey | None = None


def encode(letter: Letter) -> bytes:
    """Return a letter's line."""
    culprit = letter.culprit
    fields: dict[str, Any] = {
        "at_ns": letter.at,
        "reason": letter.reason,
        "error_class": letter.error_class,
        "kind": culprit.kind,
        "type": culprit.type,
        "plugin_id": culprit.plugin_id,
        "label": culprit.label,
        "config": culprit.config,
        "tag": letter.tag,
    }
    if letter.chunk_id:
        fields["chunk_id"] = letter.chunk_id
    if letter.key is not None:
        fields["key"] = {"timekey": letter.key.timekey, "tag": letter.key.tag, "variables": letter.key.variables}
    if letter.payload is not None:
        fields["payload"] = base64.b64encode(letter.payload).decode()
    else:
        fields["time_ns"] = letter.time
        fields["record"] = letter.record
    return _dumps(fields).encode() + b"\n"


def decode(line: bytes) -> Letter:
    """Return the letter of a line.

    Raises:
        ValueError: it is no letter, or not a whole one.
    """
    try:
        fields = json.loads(line, object_hook=_unpack)
        key = fields.get("key")
        payload = fields.get("payload")
        letter = Letter(
            at=int(fields["at_ns"]),
            culprit=_culprit(fields),
            reason=fields["reason"],
            error_class=fields["error_class"],
            tag=fields["tag"],
            time=int(fields.get("time_ns", 0)),
            record=fields.get("record"),
            payload=None if payload is None else base64.b64decode(payload, validate=True),
            chunk_id=fields.get("chunk_id", ""),
            key=None if key is None else _key(key),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise ValueError(f"not a dead letter: {problem!r}") from problem
    if not isinstance(letter.record, dict) and letter.payload is None:
        raise ValueError("not a dead letter: it has neither a record nor a payload")
    return letter


def _culprit(fields: dict[str, Any]) -> Culprit:
    config = str(fields.get("config") or "")
    return Culprit(fields["kind"], fields["type"], fields["plugin_id"], fields["label"], config)


def _key(fields: dict[str, Any]) -> ChunkKey:
    variables = tuple((str(name), value) for name, value in fields["variables"])
    return ChunkKey(fields["timekey"], fields["tag"], variables)


def _dumps(fields: dict[str, Any]) -> str:
    try:
        text = json.dumps(fields, default=_other)
    except (TypeError, ValueError, RecursionError):  # a key that is no text, a circle, nested without end
        fields["record"] = {str(key): _shallow(value) for key, value in (fields["record"] or {}).items()}
        text = json.dumps(fields, default=_other)
    if BYTES in text:
        text = json.dumps(_escape(fields), default=_other)
    return text


def _escape(value: Any) -> Any:
    """Return a value in which no hash is taken for the form of bytes."""
    if isinstance(value, dict):
        values = {name: _escape(inner) for name, inner in value.items()}
        (name,) = values if len(values) == 1 else (None,)
        return {f"${name}": values[name]} if isinstance(name, str) and LIKE_BYTES.fullmatch(name) else values
    if isinstance(value, (list, tuple)):
        return [_escape(inner) for inner in value]
    return value


def _shallow(value: Any) -> Any:
    try:
        json.dumps(value, default=_other)
    except (TypeError, ValueError, RecursionError):
        return _text(value)
    return value


def _text(value: Any) -> str:
    try:
        return ascii(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"


def _other(value: object) -> Any:
    """Return a form for what JSON has none for."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {BYTES: base64.b64encode(value).decode()}
    return _text(value)


def _unpack(fields: dict[str, Any]) -> Any:
    if len(fields) == 1:
        ((name, value),) = fields.items()
        if name == BYTES:
            return base64.b64decode(value)
        if LIKE_BYTES.fullmatch(name):
            return {name[1:]: value}
    return fields
