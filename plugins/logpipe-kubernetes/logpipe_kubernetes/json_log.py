"""merge_json_log of versions up to 1.0: an application's JSON becomes fields of the record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

import orjson

from logpipe import Record

_WHITE: Final = " \t\n\v\f\r\0"
_LONG_NUMBER: Final = re.compile(r"\d{18}")
"""orjson reads integers beyond 64 bits as floats."""


def json_merger(key: str, *, preserve: bool) -> Callable[[list[Record]], list[Record]]:
    """Return a function that merges the JSON object in field `key` of each record under the record's own fields.

    A field that is not a JSON object is not changed. Merged records are new ones, the others are returned as given.
    """

    def merge(record: Record) -> Record:
        text = record.get(key)
        if not isinstance(text, str):
            return record
        text = text.strip(_WHITE)
        if not (text.startswith("{") and text.endswith("}")):
            return record
        try:
            exactly = _LONG_NUMBER.search(text) is not None
            found: Record = json.loads(text, parse_constant=_refuse) if exactly else orjson.loads(text)
        except ValueError:
            return record
        # compat: filter_kubernetes_metadata.rb 0.24, the record's own fields take precedence
        found.update(record)
        if not preserve:
            del found[key]
        return found

    return lambda records: [merge(record) for record in records]


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")
