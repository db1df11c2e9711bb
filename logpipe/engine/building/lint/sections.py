"""Checks of single sections: listeners open to anybody, secrets in plain text, typographic quotes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from logpipe.config.declare import describe
from logpipe.config.diagnostic import TYPOGRAPHIC_QUOTES, Position, Report, warning
from logpipe.config.element import Element, Param
from logpipe.config.secrets import masked_urls
from logpipe.engine.building.lint.lookup import input_class
from logpipe.engine.secrets import options_classes, secret_finder
from logpipe.engine.system import SystemOptions
from logpipe.registry import Registry

_COMMANDS: Final = "anybody who reaches it can stop and reload everything, and read the settings with enable_get_dump"


def lint_listeners(elements: Sequence[Element], registry: Registry, report: Report) -> None:
    """Report the sources, and the server of commands, that are open to the world."""
    for element in elements:
        cls = input_class(element, registry) if element.name == "source" else None
        if cls is None or not cls.listens or any(map(_protects, element.sections(*cls.protected_by))):
            continue
        if any(element.get(name) for name in cls.protected_by):
            continue
        settings = cls.options_class.settings()
        bind, port = (element.get(name) or str(settings[name].default) for name in ("bind", "port"))
        if _is_local(bind):
            continue
        danger = f"anybody who reaches it can {cls.listens}"
        message = f"{describe(element)} listens at port {port} of {bind} without protection: {danger}"
        param = element.params.get("bind")
        place = param.value_position if param is not None else element.position
        hint = "write bind 127.0.0.1 if it serves this machine alone"
        advice = next((f", else add {written}" for written in cls.protected_by.values()), "")
        report(warning("open-listener", message, place, hint + advice))
    for element in elements:
        if element.name == "system" and (param := element.params.get("rpc_endpoint")) is not None:
            address = SystemOptions.read(element, lambda _diagnostic: None).rpc_address
            if address is not None and not _is_local(address.host):
                message = f"<system> rpc_endpoint listens at {address} without protection: {_COMMANDS}"
                hint = f"write rpc_endpoint 127.0.0.1:{address.port}"
                report(warning("open-listener", message, param.value_position, hint))


def _protects(section: Element) -> bool:
    """Return whether a section lets in only some; TLS alone lets in everybody."""
    return section.name != "transport" or (
        section.arg == "tls" and section.get("client_cert_auth") in {"true", "yes", ""}
    )


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


HINT: Final = "write \" or ' to quote"


def lint_quotes(elements: Iterable[Element], report: Report) -> None:
    """Report the arguments and names of parameters that hold such quotes; those of values are found when read."""
    for element in elements:
        _lint_text(element.arg, f"the argument of {element.title}", element.arg_position, report)
        for param in element.params.values():
            _lint_text(param.name, f'the name "{param.name}"', param.position, report)
        lint_quotes(element.elements, report)


def _lint_text(text: str, what: str, place: Position, report: Report) -> None:
    found = next((char for char in text if char in TYPOGRAPHIC_QUOTES), None)
    if found is not None:
        message = f"{found} is a typographic quote and becomes part of {what}"
        report(warning("typographic-quotes", message, place, HINT))


def lint_secrets(elements: list[Element], registry: Registry, report: Report) -> None:
    """Report passwords, keys and tokens that are written in plain text."""
    is_secret = secret_finder(options_classes(Element("ROOT", elements=elements), registry))
    _lint_secrets(elements, is_secret, report)


def _lint_secrets(elements: Iterable[Element], is_secret: Callable[[Element, Param], bool], report: Report) -> None:
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
        _lint_secrets(element.elements, is_secret, report)


def _is_literal(param: Param) -> bool:
    """Return whether the value is the secret itself: neither code nor a placeholder gives it."""
    return isinstance(param.value, str) and bool(param.value) and not param.has_code and "${" not in param.value


def _from_variable(element: Element, param: Param) -> str:
    """Return the line that takes the secret from the environment, in the language of its file."""
    variable = re.sub(r"[^A-Z0-9]+", "_", f"{element.type or element.name}_{param.name}".upper())
    is_yaml = param.position.file.endswith((".yaml", ".yml"))
    name = f"{param.name}: !fluent/s" if is_yaml else param.name
    return f"{name} \"#{{ENV['{variable}']}}\""
