"""Proxies that the environment names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit


def environment_proxy(url: str, environ: Mapping[str, str], names: Iterable[str] = ()) -> str | None:
    """Return the proxy for a URL; None where there is none, or `no_proxy` has the URL's host.

    Args:
        url: what is to be reached.
        environ: `os.environ`.
        names: the variables to look at, the first that is set counts; without any those of the URL's scheme,
            `https_proxy` and `HTTPS_PROXY` say.
    """
    parts = urlsplit(url)
    names = tuple(names) or (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper())
    proxy = next((environ[name] for name in names if environ.get(name)), None)
    if proxy is None or _is_exempt(parts.hostname or "", environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_exempt(host: str, listed: str) -> bool:
    """Return whether a list has a host: by its name, by a domain above it, by its network, or by `*`."""
    for entry in listed.replace(",", " ").lower().split():
        name = entry.lstrip("*").lstrip(".")
        if not name or host == name or host.endswith(f".{name}") or _is_within(host, entry):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
