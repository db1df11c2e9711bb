"""Makes nested fields flat. Settings and rules: fluent-plugin-flatten-hash 0.5.1, filter_flatten_hash.rb."""

from __future__ import annotations

from typing import Any, Final

from logpipe import Filter, LogpipeError, Options, Record, Time, param

DEEPEST: Final = 100
"""How deep a record may be nested; names grow with each level."""
SMALL: Final = 16 << 10
"""Characters that the names of a record may come to, whatever they were."""
GROWTH: Final = 8
"""Beyond it, how many times as long they may become: a long name with a long list in it could else fill the memory."""
VALUE: Final = 2
"""Characters that a member counts for beside its name."""


class FlattenHashOptions(Options):
    """Settings of `<filter> @type flatten_hash`."""

    separator: str = param("What stands between the names.", default=".")
    flatten_array: bool = param("Whether lists are made flat, too, with their numbers for names.", default=True)


class FlattenHash(Filter[FlattenHashOptions], type="flatten_hash"):
    """Makes `{"a": {"b": 1, "c": [2]}}` to `{"a.b": 1, "a.c.0": 2}`; empty objects and lists are left out."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the flat record.

        Raises:
            LogpipeError: it is nested too deeply, or its names become too long.
        """
        del tag, time
        flat: Record = {}
        self._flatten(record, "", 0, _Names(flat))
        return flat

    def _flatten(self, value: dict[str, Any] | list[Any], prefix: str, depth: int, names: _Names) -> None:
        if depth > DEEPEST:
            raise LogpipeError(f"the record is nested more than {DEEPEST} deep")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in pairs:
            full = f"{prefix}{name}"
            if isinstance(item, dict) or (isinstance(item, list) and self.options.flatten_array):
                names.room += GROWTH * (len(full) - len(prefix) + VALUE)
                self._flatten(item, f"{full}{self.options.separator}", depth + 1, names)
            else:
                names.add(full, len(full) - len(prefix), item)


class _Names:
    """The fields of a flat record, and how much longer their names may become."""

    __slots__ = ("_flat", "room")

    def __init__(self, flat: Record) -> None:
        self._flat = flat
        self.room = SMALL

    def add(self, name: str, was: int, value: Any) -> None:
        """Add a field.

        Raises:
            LogpipeError: the names become too long.
        """
        self.room += GROWTH * (was + VALUE) - len(name)
        if self.room < 0:
            raise LogpipeError("the names of the flat record would be too long: one has too many fields within it")
        self._flat[name] = value
