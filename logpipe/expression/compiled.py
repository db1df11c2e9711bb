"""The result of compiling: readable generated source, and functions that are bound once per tag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from logpipe.errors import ExpressionError
from logpipe.event import Record, Time

Value: TypeAlias = Callable[[Record, Time], Any]
"""Returns a template's value for an event; raises ExpressionError where it fails, and never changes the record."""
Failure: TypeAlias = tuple[int, ExpressionError]
Transform: TypeAlias = Callable[[list[Record], list[Time]], list[Failure]]
"""Changes the records, and the times if configured; returns the places of failed records, with the reasons."""
Missing: TypeAlias = Callable[[str, ExpressionError], None]
"""Called with an entry's text when 0.12's rule made its value nil."""


@dataclass(frozen=True, slots=True)
class Part:
    """One template of a section: a key or a value."""

    label: str
    """The name of its entry; `key` for the template of a name."""
    text: str
    source: str
    """Its generated function, or the Python of a constant."""


@dataclass(slots=True)
class Template:
    """One compiled template."""

    source: str
    unknown: list[str]
    """Unknown placeholders, which are never filled."""
    _bind: Callable[..., Value] = field(repr=False)

    def bind(self, tag: str, *, hostname: str, env: Mapping[str, str]) -> Value:
        """Return the function of record and time for one tag; cheap, nothing is compiled."""
        return self._bind(tag, *tag_parts(tag), hostname, env)


@dataclass(slots=True)
class RecordTemplate:
    """A compiled `<record>` section."""

    source: str
    unknown: list[str]
    """Unknown placeholders, which are never filled."""
    undefined: list[str]
    """Unknown words: every event for which one is evaluated fails."""
    parts: list[Part]
    """Its templates, in the order they are computed."""
    loop: str
    """The generated function over a batch, which calls those of the parts without a short form."""
    _bind: Callable[..., Transform] = field(repr=False)

    def bind(self, tag: str, *, hostname: str, env: Mapping[str, str], missing: Missing) -> Transform:
        """Return the function for batches of one tag; cheap, nothing is compiled."""
        return self._bind(tag, *tag_parts(tag), hostname, env, missing)


def tag_parts(tag: str) -> tuple[list[str], list[str], list[str]]:
    """Return a tag's parts, prefixes and suffixes, as `tag_parts`, `tag_prefix` and `tag_suffix`."""
    parts = tag.split(".")
    beginnings = [".".join(parts[: place + 1]) for place in range(len(parts))]
    ends = [".".join(parts[place:]) for place in range(len(parts))]
    return parts, beginnings, ends
