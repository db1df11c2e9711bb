"""Which events are one, for each of concat's modes: fluent-plugin-concat 2.6.2, filter_concat.rb."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, Protocol

from logpipe import Record
from logpipe.ruby import TimeLimit, TimeLimitExceeded
from logpipe_community.concat.options import ConcatOptions
from logpipe_community.identity import identity_of


class Place(NamedTuple):
    """Where an event belongs."""

    begins: bool = False
    """Whether what is held of its stream is complete without it."""
    joins: bool = True
    """Whether it is held, or else passes by itself."""
    ends: bool = False
    """Whether the event that it joins is complete with it."""


_ALONE: Final = Place(joins=False)


class Look(NamedTuple):
    """What the regular expressions say of a text."""

    is_first: bool = False
    is_last: bool = False
    continues: bool = False


_UNREAD: Final = Look()


class Mode(Protocol):
    """One of the ways to tell."""

    def look(self, texts: list[str]) -> Sequence[Look | TimeLimitExceeded]:
        """Return what the texts of a batch say, or that it takes too long to tell."""

    def place(self, record: Record, look: Look, held: int) -> Place:
        """Return where an event belongs, while so many of its stream are held."""

    def stream(self, record: Record) -> Hashable:
        """Return what tells its streams apart, beside the tag and `stream_identity_key`."""

    def finish(self, merged: Record, last: Record) -> None:
        """Take out of a joined record what only said that it was to be joined; `last` is that of its last event."""


class _Base:
    """What most modes have in common."""

    def look(self, texts: list[str]) -> Sequence[Look | TimeLimitExceeded]:
        """Return that no text was read."""
        return [_UNREAD] * len(texts)

    def stream(self, record: Record) -> Hashable:
        """Return what tells no streams apart."""
        del record
        return None

    def finish(self, merged: Record, last: Record) -> None:
        del merged, last


class ByCount(_Base):
    """`n_lines`."""

    def __init__(self, options: ConcatOptions) -> None:
        self._count = options.n_lines or 1

    def place(self, record: Record, look: Look, held: int) -> Place:
        """Return whether it is the last of so many."""
        del record, look
        return Place(ends=held + 1 >= self._count)


class ByRegexp(_Base):
    """`multiline_start_regexp` and `multiline_end_regexp`."""

    def __init__(self, options: ConcatOptions) -> None:
        self._first = options.multiline_start_regexp
        self._last = options.multiline_end_regexp
        self._continues = options.continuous_line_regexp
        self._limit = TimeLimit()

    def look(self, texts: list[str]) -> Sequence[Look | TimeLimitExceeded]:
        """Return what they say, with one limit of time for all."""
        return self._limit.map(self._look, texts, instead=lambda _place, error: error)

    def _look(self, text: str) -> Look | TimeLimitExceeded:
        first, last, continues = self._first, self._last, self._continues
        return Look(
            first is not None and first.search(text) is not None,
            last is not None and last.search(text) is not None,
            continues is None or continues.search(text) is not None,
        )

    def place(self, record: Record, look: Look, held: int) -> Place:
        """Return what its text says."""
        del record
        if look.is_first:
            return Place(begins=True, ends=look.is_last)
        if look.is_last:
            return Place(ends=True)
        if not held:
            return _ALONE if self._first is not None else Place()
        return Place() if look.continues else Place(begins=True, joins=False)


class ByKey(_Base):
    """`partial_key`."""

    def __init__(self, options: ConcatOptions) -> None:
        self._key = options.partial_key or ""
        self._value = options.partial_value
        self._keeps = options.keep_partial_key

    def place(self, record: Record, look: Look, held: int) -> Place:
        """Return whether the text goes on; without the field it is whole."""
        del look, held
        return Place(ends=record[self._key] != self._value) if self._key in record else _ALONE

    def finish(self, merged: Record, last: Record) -> None:
        """Take out the key, or leave it as the last part has it."""
        if self._keeps:
            merged[self._key] = last[self._key]
        else:
            merged.pop(self._key, None)


class ByLogTag(_Base):
    """`use_partial_cri_logtag`."""

    def __init__(self, options: ConcatOptions) -> None:
        self._key = options.partial_cri_logtag_key or ""
        self._stream = options.partial_cri_stream_key
        self._keeps = options.keep_partial_key

    def place(self, record: Record, look: Look, held: int) -> Place:
        """Return whether the log tag says that the text goes on; without one it is whole."""
        del look, held
        tag = record.get(self._key)
        return Place(ends=tag.split(":", 1)[0] == "F") if isinstance(tag, str) else _ALONE

    def stream(self, record: Record) -> Hashable:
        """Return stdout or stderr: their parts may come in turns, and the original joins them with one another."""
        return identity_of(record.get(self._stream))

    def finish(self, merged: Record, last: Record) -> None:
        """Take out the stream, and the log tag unless it is to be kept."""
        if self._keeps:
            merged[self._key] = last[self._key]
        else:
            merged.pop(self._key, None)
        merged.pop(self._stream, None)  # compat: filter_concat.rb keeps it with no setting


class ByMetadata(_Base):
    """`use_partial_metadata`."""

    def __init__(self, options: ConcatOptions) -> None:
        prefix = "" if options.partial_metadata_format == "docker-fluentd" else "CONTAINER_"
        names = [f"{prefix}PARTIAL_{name}" for name in ("MESSAGE", "ID", "ORDINAL", "LAST")]
        if options.partial_metadata_format != "docker-journald":
            names = [name.lower() for name in names]
        _, self._id, self._ordinal, self._last = self._names = names
        # journald's last part has no PARTIAL_MESSAGE
        self._indicator = self._id if prefix else names[0]
        self._keeps = options.keep_partial_metadata

    def place(self, record: Record, look: Look, held: int) -> Place:
        """Return whether it is the last part."""
        del look, held
        return Place(ends=record.get(self._last) == "true") if self._indicator in record else _ALONE

    def stream(self, record: Record) -> Hashable:
        """Return the identity of the text that it is a part of."""
        return identity_of(record.get(self._id))

    def ordinal(self, record: Record) -> int:
        """Return a part's place among the others."""
        value = record.get(self._ordinal)
        if isinstance(value, int):
            return value
        return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else 0

    def finish(self, merged: Record, last: Record) -> None:
        """Take out the log driver's fields unless they are to be kept."""
        del last
        if not self._keeps:
            for name in self._names:
                merged.pop(name, None)


def mode_of(options: ConcatOptions) -> Mode:
    """Return the mode that the settings ask for, in the original's order."""
    if options.n_lines is not None:
        return ByCount(options)
    if options.partial_key is not None:
        return ByKey(options)
    if options.use_partial_metadata:
        return ByMetadata(options)
    if options.use_partial_cri_logtag:
        return ByLogTag(options)
    return ByRegexp(options)
