"""Which parameters hold secrets: what a plugin declares as such, and elsewhere what sounds like it by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from logpipe.config.declare import Setting
from logpipe.config.element import Element, Param
from logpipe.config.options import Options, hints, options_class
from logpipe.config.secrets import MASK, is_secret_name, masked_text
from logpipe.registry import Registry

KINDS: Final = {"source": "input", "filter": "filter", "match": "output", "store": "output", "secondary": "output"}
NESTED_KINDS: Final = {
    "parse": "parser",
    "format": "formatter",
    "buffer": "buffer",
    "service_discovery": "service_discovery",
}


def options_classes(root: Element, registry: Registry) -> dict[int, type[Options]]:
    """Return the Options class of each section that has one, by the element's identity."""
    return dict(_classes(root, registry))


def secret_finder(classes: Mapping[int, type[Options]]) -> Callable[[Element, Param], bool]:
    """Return what tells whether a parameter's value is a secret."""

    def is_secret(element: Element, param: Param) -> bool:
        cls = classes.get(id(element))
        declared = _declared(cls, param.name) if cls is not None else None
        return declared.secret if declared is not None else is_secret_name(param.name)

    return is_secret


def masked(value: str | None, *, is_secret: bool) -> str | None:
    """Return a value as others may see it: a secret is masked whole, of others what is secret in them."""
    if value is None:
        return None
    return MASK if is_secret else masked_text(value)


def _classes(root: Element, registry: Registry) -> Iterator[tuple[int, type[Options]]]:
    for element in root.elements:
        kind = KINDS.get(element.name) or NESTED_KINDS.get(element.name)
        if kind and element.type:
            plugin = registry.get(kind, element.type)
            if plugin is not None:
                yield id(element), plugin.options_class
                yield from _nested(element, plugin.options_class)
        yield from _classes(element, registry)


def _nested(element: Element, cls: type[Options]) -> Iterator[tuple[int, type[Options]]]:
    for name, setting in cls.settings().items():
        if setting.role == "section":
            inner = options_class(hints(cls)[name])
            for child in element.sections(setting.name or name):
                yield id(child), inner
                yield from _nested(child, inner)


def _declared(cls: type[Options], name: str) -> Setting | None:
    settings = cls.settings().items()
    return next((setting for own, setting in settings if name in {setting.name or own, setting.alias}), None)
