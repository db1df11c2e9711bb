"""From a tag and records to the values of labels. Rules: fluent-plugin-prometheus' placeholder_expander.rb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any, Final, TypeAlias

from logpipe import EventBatch, Record
from logpipe.ruby import RecordAccessor, to_s

_PLACEHOLDER: Final = re.compile(r"(\$\{[^\[}]+(?:\[[^\]]+\])?\})")
_OF_TAGS: Final = re.compile(r"\$\{tag(_parts|_prefix|_suffix)?(?:\[([^\]]*)\])?\}")
_OF_RECORDS: Final = re.compile(r"\$\{([^\[}]+)(?:\[(?:\"(.*)\"|(0|-?[1-9]\d*))\])?\}", re.DOTALL)
_INDEX: Final = re.compile(r"0|-?[1-9]\d*")

Missing: TypeAlias = Callable[[str], None]
"""Is told of a placeholder for which there is nothing, each time."""
Part: TypeAlias = Callable[[Record], str]
Values: TypeAlias = Iterable[str]


def is_path(text: str) -> bool:
    """Return whether a label or a key is a path into records."""
    return text.startswith(("$.", "$["))


class Label:
    """One label's template: a path (`$.a.b`), or text with placeholders.

    A placeholder for which there is nothing stays as it is. Known are `${tag}`, `${tag_parts[N]}`, `${tag_prefix[N]}`,
    `${tag_suffix[N]}`, those of `constants`, and fields: `${name}`, `${name["key"]}`, `${name[N]}`.

    Raises:
        ExpressionError: the path is malformed.
    """

    def __init__(self, text: str, constants: Mapping[str, str], missing: Missing) -> None:
        self.text = text
        self._accessor = RecordAccessor(text) if is_path(text) else None
        pieces = [text] if self._accessor else filter(None, _PLACEHOLDER.split(text))
        self._pieces = [constants.get(piece, piece) for piece in pieces]
        self._missing = missing
        fields = (piece for piece in self._pieces if _PLACEHOLDER.fullmatch(piece) and not _OF_TAGS.fullmatch(piece))
        self.reads_records = self._accessor is not None or any(fields)
        """Whether one tag's events may differ in it."""

    def of_tag(self, tag: str) -> str:
        """Return the value for all events of a tag."""
        return "".join(self._piece_of(piece, tag) for piece in self._pieces)

    def values(self, batch: EventBatch) -> Values:
        """Return the value for each event of a batch, in order."""
        if not self.reads_records:
            return repeat(self.of_tag(batch.tag), len(batch))
        if self._accessor is not None:
            return map(text_of, map(self._accessor.get, batch.records))
        parts = [self._part(piece, batch.tag) for piece in self._pieces]
        if len(parts) == 1:
            return map(parts[0], batch.records)
        return ("".join([part(record) for part in parts]) for record in batch.records)

    def _piece_of(self, piece: str, tag: str) -> str:
        found = _OF_TAGS.fullmatch(piece)
        if found is None:
            return piece
        value = _of_tag(tag, found[1] or "", found[2])
        if value is None:
            self._missing(piece)
            return piece
        return value

    def _part(self, piece: str, tag: str) -> Part:
        if _OF_TAGS.fullmatch(piece) or not _PLACEHOLDER.fullmatch(piece):
            text = self._piece_of(piece, tag)
            return lambda _record: text
        find = _finder(piece)

        def part(record: Record) -> str:
            value = find(record)
            if value is _NOTHING:
                self._missing(piece)
                return piece
            return value if type(value) is str else text_of(value)

        return part


_NOTHING: Final = object()


def text_of(value: Any) -> str:
    """Return a field's value as Ruby's to_s does; nil is empty."""
    if type(value) is str:
        return value
    try:
        return to_s(value)
    except RecursionError:
        return "…"


def _of_tag(tag: str, what: str, index: str | None) -> str | None:
    if not what:
        return tag if index is None else None
    if index is None or not _INDEX.fullmatch(index):
        return None
    parts = tag.rstrip(".").split(".") if tag.rstrip(".") else []
    place = int(index)
    if not -len(parts) <= place < len(parts) or (place < 0 and what != "_parts"):
        return None
    if what == "_parts":
        return parts[place]
    return ".".join(parts[: place + 1] if what == "_prefix" else parts[-place - 1 :])


def _finder(piece: str) -> Callable[[Record], Any]:
    """Return what finds a placeholder's field in a record, `_NOTHING` where there is none."""
    found = _OF_RECORDS.fullmatch(piece)
    if found is None:
        return lambda _record: _NOTHING
    name, key, index = found.groups()
    if key is None and index is None:

        def plain(record: Record) -> Any:
            value = record.get(name, _NOTHING)
            return _NOTHING if isinstance(value, (dict, list)) else value

        return plain

    def nested(record: Record) -> Any:
        value = record.get(name)
        if key is not None:
            return value.get(key, _NOTHING) if isinstance(value, dict) else _NOTHING
        place = int(index)
        return value[place] if isinstance(value, list) and -len(value) <= place < len(value) else _NOTHING

    return nested


def rows(labels: Iterable[Label], batch: EventBatch) -> Iterator[tuple[str, ...]]:
    """Return the values of all labels for each event of a batch, in order."""
    columns = [label.values(batch) for label in labels]
    return zip(*columns, strict=False) if columns else repeat((), len(batch))
