"""Listeners that take events from anybody who reaches them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from logpipe.config.diagnostic import Report, warning
from logpipe.config.element import Element
from logpipe.config.options import describe
from logpipe.engine.building.lint.traits import input_class
from logpipe.registry import Registry


def lint_listeners(elements: Iterable[Element], registry: Registry, report: Report) -> None:
    """Report the sources that are open to the world."""
    for element in elements:
        cls = input_class(element, registry) if element.name == "source" else None
        if cls is None or not cls.listens or any(map(_protects, element.sections(*cls.protected_by))):
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
