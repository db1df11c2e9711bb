"""The classes of sections, whose traits say what checks may count on; a type that nothing has is reported elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logpipe.config.element import Element
from logpipe.plugin import Input, Output
from logpipe.registry import Registry


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
