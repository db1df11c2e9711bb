"""Listeners that take events from anybody who reaches them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from logpipe.config.diagnostic import Report, warning
from logpipe.config.element import Element
from logpipe.config.options import describe


@dataclass(frozen=True, slots=True)
class _Listener:
    """One of fluentd's inputs that listen on all addresses unless told otherwise."""

    port: str
    danger: str
    protections: tuple[str, ...] = ()
    """Sections that say who may come."""
    advice: str = ""


_EVENTS: Final = "anybody who reaches it can send events"
_TLS: Final = "add <transport tls> with client_cert_auth true"

LISTENERS: Final = {
    "forward": _Listener("24224", _EVENTS, ("security", "transport"), "add <security> with a shared_key"),
    "http": _Listener("9880", _EVENTS, ("transport",), _TLS),
    "tcp": _Listener("5170", _EVENTS, ("security", "transport"), _TLS),
    "udp": _Listener("5160", _EVENTS),
    "syslog": _Listener("5140", _EVENTS, ("transport",), _TLS),
    "monitor_agent": _Listener(
        "24220",
        "anybody who reaches it can read what runs and what is counted, and settings by include_config",
        ("transport",),
        _TLS,
    ),
    "debug_agent": _Listener("24230", "anybody who reaches it can run code in the process"),
}
"""By type. They are known by name, whether they are installed or not."""


def lint_listeners(elements: Iterable[Element], report: Report) -> None:
    """Report the sources that are open to the world."""
    for element in elements:
        listener = LISTENERS.get(element.type) if element.name == "source" else None
        if listener is None or any(map(_protects, element.sections(*listener.protections))):
            continue
        bind = element.get("bind", "0.0.0.0") or "0.0.0.0"  # noqa: S104 - fluentd's default, which this warns of
        if _is_local(bind):
            continue
        port = element.get("port", listener.port)
        message = f"{describe(element)} listens at port {port} of {bind} without protection: {listener.danger}"
        param = element.params.get("bind")
        place = param.value_position if param is not None else element.position
        hint = "write bind 127.0.0.1 if it serves this machine alone"
        report(warning("open-listener", message, place, f"{hint}, else {listener.advice}" if listener.advice else hint))


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
