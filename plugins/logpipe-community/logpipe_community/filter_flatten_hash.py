"""Makes nested fields flat. Settings and rules: fluent-plugin-flatten-hash 0.5.1, filter_flatten_hash.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from logpipe import Filter, LogpipeError, Options, Record, Time, param

DEEPEST: Final = 100
"""How deep a record may be nested; names grow with each level."""


class FlattenHashOptions(Options):
    """Settings of `<filter> @type flatten_hash`."""

    separator: str = param("What stands between the names.", default=".")
    flatten_array: bool = param("Whether lists are made flat, too, with their numbers for names.", default=True)


class FlattenHash(Filter[FlattenHashOptions], type="flatten_hash"):
    """Makes `{"a": {"b": 1, "c": [2]}}` to `{"a.b": 1, "a.c.0": 2}`; empty objects and lists are left out."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the flat record.

        Raises:
            LogpipeError: it is nested too deeply.
        """
        del tag, time
        return dict(self._fields(record, "", 0))

    def _fields(self, value: dict[str, Any] | list[Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
        if depth > DEEPEST:
            raise LogpipeError(f"the record is nested more than {DEEPEST} deep")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in pairs:
            full = f"{prefix}{name}"
            if isinstance(item, dict) or (isinstance(item, list) and self.options.flatten_array):
                yield from self._fields(item, f"{full}{self.options.separator}", depth + 1)
            else:
                yield full, item
