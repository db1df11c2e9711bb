"""The effective configuration, for `logpipe config`: secrets masked, and the defaults of what is not written.

Nothing is built: a plugin's class is looked up to ask for its settings.
"""

from __future__ import annotations

from collections.abc import Iterator

from logpipe.config.conversion import default_words
from logpipe.config.declare import REQUIRED
from logpipe.config.element import Element
from logpipe.config.options import Options
from logpipe.config.printer import print_tree
from logpipe.engine.secrets import options_classes, secret_finder
from logpipe.registry import Registry


def show(root: Element, registry: Registry, *, defaults: bool = False) -> str:
    """Return the text of a configuration with secrets masked, and with the defaults of what is not written."""
    found = options_classes(root, registry)
    if defaults:
        for element, cls in _with_elements(root, found):
            _write_defaults(element, cls)
    return print_tree(root, is_secret=secret_finder(found))


def _with_elements(root: Element, found: dict[int, type[Options]]) -> Iterator[tuple[Element, type[Options]]]:
    for element in root.elements:
        if id(element) in found:
            yield element, found[id(element)]
        yield from _with_elements(element, found)


def _write_defaults(element: Element, cls: type[Options]) -> None:
    for name, setting in cls.settings().items():
        word = setting.name or name
        given = word in element.params or setting.alias in element.params
        if setting.role != "param" or given or setting.default is REQUIRED or setting.removed or setting.deprecated:
            continue
        if (words := default_words(setting.default)) is not None:
            element.set(word, words, element.position)
