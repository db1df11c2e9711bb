"""Secrets that everybody who reads the configuration reads too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from logpipe.config.diagnostic import Report, warning
from logpipe.config.element import Element, Param
from logpipe.config.options import describe
from logpipe.config.secrets import masked_urls
from logpipe.engine.secrets import options_classes, secret_finder
from logpipe.registry import Registry


def lint_secrets(elements: list[Element], registry: Registry, report: Report) -> None:
    """Report passwords, keys and tokens that are written in plain text."""
    is_secret = secret_finder(options_classes(Element("ROOT", elements=elements), registry))
    _lint(elements, is_secret, report)


def _lint(elements: Iterable[Element], is_secret: Callable[[Element, Param], bool], report: Report) -> None:
    for element in elements:
        for param in element.params.values():
            if not _is_literal(param):
                continue
            is_whole = is_secret(element, param)
            if is_whole or masked_urls(str(param.value)) != param.value:
                what = "is written" if is_whole else "holds a secret"
                message = f'{describe(element)}: "{param.name}" {what} in plain text'
                hint = f"write {_from_variable(element, param)} and set that variable"
                report(warning("plain-secret", message, param.value_position, hint))
        _lint(element.elements, is_secret, report)


def _is_literal(param: Param) -> bool:
    """Return whether the value is the secret itself: neither code nor a placeholder gives it."""
    return isinstance(param.value, str) and bool(param.value) and not param.has_code and "${" not in param.value


def _from_variable(element: Element, param: Param) -> str:
    """Return the line that takes the secret from the environment, in the language of its file."""
    variable = re.sub(r"[^A-Z0-9]+", "_", f"{element.type or element.name}_{param.name}".upper())
    is_yaml = param.position.file.endswith((".yaml", ".yml"))
    name = f"{param.name}: !fluent/s" if is_yaml else param.name
    return f"{name} \"#{{ENV['{variable}']}}\""
