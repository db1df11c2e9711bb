"""Which fields an event has: `<entry>` and the filter. Rules: fluent-plugin-systemd 1.0.5, entry_mutator.rb."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from logpipe import InvalidSetting, Options, Record, param
from logpipe.codec import escaped, unescaped
from logpipe.ruby import to_s

Shape: TypeAlias = Callable[[Record], Record]


def _field_map(text: str) -> dict[str, list[str]]:
    """Return the new names of each field, of JSON or of `FIELD:name,FIELD:name`.

    Raises:
        ValueError: it is neither, or has other values than texts and lists of texts.
    """
    if text and not text.lstrip().startswith(("{", "[", '"')):
        pairs = [pair.partition(":") for pair in text.split(",")]
        return {source.strip(): [name.strip()] for source, _, name in pairs}
    try:
        found: Any = json.loads(text)
    except ValueError as problem:
        raise ValueError(f'"{text[:60]}" is not JSON: {problem}') from None
    if not isinstance(found, dict):
        raise ValueError(f'"{text[:60]}" is no hash: write {{"FIELD": "name"}}')  # noqa: TRY004 - of a setting
    names = {source: [value] if isinstance(value, str) else value for source, value in found.items()}
    for source, value in names.items():
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"values must be strings or an array of strings, which that of {source} is not")
    return names


class EntryOptions(Options):
    """Settings of `<entry>`."""

    field_map: dict[str, list[str]] = param(
        "New names by field, a text or a list of them; fields with the same new name are joined by a space.",
        default="{}",
        convert=_field_map,
    )
    field_map_strict: bool = param("Whether fields that `field_map` does not name are left out.", default=False)
    fields_strip_underscores: bool = param(
        "Whether underscores that begin a name are cut off, in names that `field_map` does not have.", default=False
    )
    fields_lowercase: bool = param("Whether names are in lower case, likewise.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what leaves nothing."""
        if self.field_map_strict and not self.field_map:
            message = "field_map_strict with an empty field_map leaves no fields: write field_map"
            yield InvalidSetting(message, param="field_map_strict", severity="warning")


def shape_of(options: EntryOptions, *, is_entry: bool, strips: bool = False) -> Shape | None:
    """Return what makes an event's record of an entry's; None where they are the same.

    Args:
        options: which fields, and their names.
        is_entry: whether the records are entries of the journal: their fields have names in capitals, and `field_map`
            need not.
        strips: `fields_strip_underscores` from elsewhere.
    """
    sources: dict[str, list[str]] = {}
    for source, names in options.field_map.items():
        for name in dict.fromkeys(names):
            sources.setdefault(name, []).append(source)
    known, lowers = frozenset(options.field_map), options.fields_lowercase
    strips = strips or options.fields_strip_underscores
    if not (sources or strips or lowers or options.field_map_strict):
        return None

    def mapped(record: Record) -> Record:
        made: Record = {}
        for name, fields in sources.items():
            values = [value for field in fields if (value := record.get(field)) is not None]
            if is_entry and len(values) < len(fields):
                values = [
                    value for field in fields if (value := record.get(field, record.get(field.upper()))) is not None
                ]
            if values:
                made[name] = _joined(values)
        return made

    def shaped(record: Record) -> Record:
        made = mapped(record)
        for field, value in record.items():
            if field in known:
                continue
            name = field.lstrip("_") if strips else field
            if lowers:
                name = name.lower()
            there = made.get(name)
            # compat: null becomes an empty text here, as joining none does in entry_mutator.rb
            made[name] = _joined([each for each in (value, there) if each is not None])
        return made

    return mapped if options.field_map_strict else shaped


def _joined(values: list[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    return unescaped(" ".join(escaped(value) if isinstance(value, bytes) else to_s(value) for value in values))
