"""The effective configuration, for `logpipe config`: which values are secrets, and the defaults of what is not written.

Nothing is built: a plugin's class is looked up to ask for its settings, and one that is not installed is judged by
the names of its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from logpipe.config.conversion import default_words
from logpipe.config.declare import REQUIRED, Setting
from logpipe.config.element import Element, Param
from logpipe.config.options import Options, hints, options_class
from logpipe.config.printer import print_tree
from logpipe.registry import Registry, UnknownPluginError

KINDS: Final = {"source": "input", "filter": "filter", "match": "output", "store": "output", "secondary": "output"}
NESTED_KINDS: Final = {"parse": "parser", "format": "formatter", "buffer": "buffer"}

_SOUNDS_SECRET: Final = re.compile(r"(?:^|_)(?:pass(?:word|phrase|wd)?|secret|token|shared_key|api_?key|sec_key)$")


def show(root: Element, registry: Registry, *, defaults: bool = False) -> str:
    """Return the text of a configuration with secrets masked, and with the defaults of what is not written."""
    found = dict(_classes(root, registry))
    if defaults:
        for element, cls in _with_elements(root, found):
            _write_defaults(element, cls)

    def is_secret(element: Element, param: Param) -> bool:
        cls = found.get(id(element))
        declared = _declared(cls, param.name) if cls is not None else None
        return declared.secret if declared is not None else bool(_SOUNDS_SECRET.search(param.name))

    return print_tree(root, is_secret=is_secret)


def _classes(root: Element, registry: Registry) -> Iterator[tuple[int, type[Options]]]:
    """Yield the Options class of each section that has one, by the element's identity."""
    for element in root.elements:
        kind = KINDS.get(element.name) or NESTED_KINDS.get(element.name)
        if kind and element.type:
            try:
                cls = registry.find(kind, element.type).options_class
            except UnknownPluginError:
                pass
            else:
                yield id(element), cls
                yield from _nested(element, cls)
        yield from _classes(element, registry)


def _nested(element: Element, cls: type[Options]) -> Iterator[tuple[int, type[Options]]]:
    for name, setting in cls.settings().items():
        if setting.role == "section":
            inner = options_class(hints(cls)[name])
            for child in element.sections(setting.name or name):
                yield id(child), inner
                yield from _nested(child, inner)


def _with_elements(root: Element, found: dict[int, type[Options]]) -> Iterator[tuple[Element, type[Options]]]:
    for element in root.elements:
        if id(element) in found:
            yield element, found[id(element)]
        yield from _with_elements(element, found)


def _declared(cls: type[Options], name: str) -> Setting | None:
    settings = cls.settings().items()
    return next((setting for own, setting in settings if name in {setting.name or own, setting.alias}), None)


def _write_defaults(element: Element, cls: type[Options]) -> None:
    for name, setting in cls.settings().items():
        word = setting.name or name
        given = word in element.params or setting.alias in element.params
        if setting.role != "param" or given or setting.default is REQUIRED or setting.removed or setting.deprecated:
            continue
        if (words := default_words(setting.default)) is not None:
            element.set(word, words, element.position)
