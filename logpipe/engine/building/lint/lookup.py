"""What checks look up: rules by tags, without comparing each with each, and the classes of sections by their types.

A file that is checked may have thousands of rules and tags. Traits of classes say what checks may count on; a type that
nothing has is reported elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

from logpipe.config.element import Element
from logpipe.plugin import Input, Output
from logpipe.registry import Registry

T = TypeVar("T")

LONGEST_TAG: Final = 1024
"""Characters of a tag by which its rules are looked for."""

_LITERAL: Final = re.compile(r"[^*{}\\/]*")


class PatternIndex(Generic[T]):
    """Items in order, each with the ARG of its `<match ARG>`; those that may match a tag are found by its parts."""

    def __init__(self) -> None:
        self._by_beginning: dict[str, list[tuple[int, T]]] = {}
        self._count = 0

    def add(self, argument: str, item: T) -> None:
        """Append an item with its patterns."""
        number, self._count = self._count, self._count + 1
        for beginning in {_beginning(pattern) for pattern in argument.split() or ["**"]}:
            self._by_beginning.setdefault(beginning, []).append((number, item))

    def candidates(self, tag: str) -> Iterator[T]:
        """Yield, in order, the items that may match a tag; no other item does."""
        found: dict[int, T] = {}
        for beginning in parts_of(tag):
            found.update(self._by_beginning.get(beginning, ()))
        return (found[number] for number in sorted(found))


def parts_of(tag: str) -> Iterator[str]:
    """Yield what a tag begins with, by whole parts: nothing, `a`, `a.b`, `a.b.c`, and the tag as it is."""
    yield ""
    end = tag.find(".")
    while 0 <= end <= LONGEST_TAG:
        if end:
            yield tag[:end]
        end = tag.find(".", end + 1)
    if tag:
        yield tag


def _beginning(pattern: str) -> str:
    """Return the whole parts that a tag must begin with to match."""
    literal = _LITERAL.match(pattern)[0]  # type: ignore[index]  # it matches everything, be it the empty text
    if literal != pattern or len(literal) > LONGEST_TAG:
        # `ab*` may begin within a part, and `a.**` matches `a` too
        literal = literal[:LONGEST_TAG].rpartition(".")[0]
    return literal.rstrip(".")


def input_class(source: Element, registry: Registry) -> type[Input[Any]] | None:
    """Return the class of a `<source>`; None where its type is unknown."""
    cls = registry.get("input", source.type)
    return cls if cls is not None and issubclass(cls, Input) else None


def output_class(element: Element, registry: Registry) -> type[Output[Any]] | None:
    """Return the class of a `<match>`, a store or a `<secondary>`; None where its type is unknown."""
    cls = registry.get("output", element.type)
    return cls if cls is not None and issubclass(cls, Output) else None


def stores(element: Element, cls: type[Output[Any]]) -> Iterator[Element]:
    """Yield the sections of an output that are outputs themselves."""
    for name, setting in cls.options_class.settings().items():
        if setting.plugin_kind == "output":
            yield from element.sections(setting.name or name)
