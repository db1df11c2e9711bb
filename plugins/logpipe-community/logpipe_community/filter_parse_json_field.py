"""Adds the fields of a text that is JSON: filter_parse_json_field.rb of OpenShift's aggregated logging."""

from __future__ import annotations

from typing import Any

import orjson

from logpipe import Filter, Options, Record, Time, param


class ParseJsonFieldOptions(Options):
    """Settings of `<filter> @type parse_json_field`."""

    merge_json_log: bool = param("Whether to do anything at all.", default=True)
    preserve_json_log: bool = param("Leave the field that was parsed in the record.", default=True)
    json_fields: list[str] = param(
        "Fields to look for; the first that a record has is the only one that is read.", default=["MESSAGE", "log"]
    )


class ParseJsonField(Filter[ParseJsonFieldOptions], type="parse_json_field"):
    """Adds the fields of an object that stands as text in a field; those of the record win over them.

    A text that is no JSON object stays as it is.
    """

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the record with what was found in its field."""
        del tag, time
        if not self.options.merge_json_log:
            return record
        name = next((name for name in self.options.json_fields if name in record), None)
        found = None if name is None else _object(record[name])
        if name is None or found is None:
            return record
        merged: Record = found | record
        if not self.options.preserve_json_log:
            del merged[name]
        return merged


def _object(value: Any) -> Record | None:
    """Return the object in a text; None where there is none."""
    if not isinstance(value, (str, bytes)):
        return None
    text = value.strip()
    if text[:1] not in {"{", b"{"} or text[-1:] not in {"}", b"}"}:
        return None
    try:
        found: Record = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    return found
