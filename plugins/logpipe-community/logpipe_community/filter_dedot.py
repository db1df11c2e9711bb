"""Replaces dots in the names of fields. Settings and rules: fluent-plugin-dedot_filter 1.0.0, filter_dedot.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from logpipe import Filter, InvalidSetting, Options, Record, Time, param

DEEPEST: Final = 100
"""How deep names are looked for; what is below stays as it is."""


class DedotOptions(Options):
    """Settings of `<filter> @type dedot`."""

    de_dot: bool = param("Whether to do anything at all.", default=True)
    de_dot_separator: str = param("What stands for a dot.", default="_")
    de_dot_nested: bool = param("Whether names within objects and lists are changed, too.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a separator that is no better than a dot."""
        if self.de_dot and "." in self.de_dot_separator:
            text = "Invalid de_dot_separator: cannot be or contain '.': write _ for example"
            yield InvalidSetting(text, param="de_dot_separator")


class Dedot(Filter[DedotOptions], type=("dedot", "de_dot")):
    """Replaces the dots in names, which Elasticsearch takes for objects; of names that become one, the last wins."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the record with its names changed."""
        del tag, time
        if not self.options.de_dot:
            return record  # compat: filter_dedot.rb drops every event then, which nobody can mean
        return self._named(record, 0)

    def _named(self, fields: dict[str, Any], depth: int) -> dict[str, Any]:
        separator = self.options.de_dot_separator
        if not self.options.de_dot_nested or depth >= DEEPEST:
            return {name.replace(".", separator): value for name, value in fields.items()}
        return {name.replace(".", separator): self._value(value, depth) for name, value in fields.items()}

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return self._named(value, depth + 1)
        if isinstance(value, list):
            # compat: filter_dedot.rb looks for objects in a list, and not for lists
            return [self._named(item, depth + 1) if isinstance(item, dict) else item for item in value]
        return value
