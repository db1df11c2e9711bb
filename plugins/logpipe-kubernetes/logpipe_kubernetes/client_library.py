"""Imports the part of kubernetes-asyncio that look-ups need.

Importing the whole package takes 0.6 s and 54 MB: 1200 modules, one for each kind of object. Its REST client alone
takes 0.15 s and 16 MB, most of that aiohttp's (both measured with version 36.1 on Python 3.11). Python imports a
module's packages before the module, so they are temporarily replaced by empty ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

_PACKAGES: Final = ("kubernetes_asyncio", "kubernetes_asyncio.client")


class ClientLibrary(NamedTuple):
    """The parts of kubernetes-asyncio that are used; Any, since it has no useful types."""

    rest: Any
    """Module `kubernetes_asyncio.client.rest`."""
    configuration: Any
    """Class `kubernetes_asyncio.client.Configuration`."""
    aiohttp: Any
    """The module aiohttp, which the REST client uses."""

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        """The exceptions of a request without a response."""
        return (self.aiohttp.ClientError, TimeoutError, OSError, ValueError)


def load() -> ClientLibrary:
    """Import the REST client, and only what it needs of kubernetes-asyncio.

    Raises:
        ImportError: kubernetes-asyncio is not installed.
    """
    try:
        with _empty_packages():
            return _import_parts()
    except ImportError:
        # a later version may have another layout: import all of it
        return _import_parts()


def _import_parts() -> ClientLibrary:
    rest = importlib.import_module("kubernetes_asyncio.client.rest")
    configuration = importlib.import_module("kubernetes_asyncio.client.configuration")
    return ClientLibrary(rest, configuration.Configuration, rest.aiohttp)


@contextmanager
def _empty_packages() -> Iterator[None]:
    """Replace those of kubernetes-asyncio's packages that are not imported yet by empty ones.

    Afterwards they and the modules imported through them are removed from `sys.modules`, so that a later import of
    kubernetes-asyncio gets all of it.
    """
    found = importlib.util.find_spec(_PACKAGES[0])
    if found is None or _PACKAGES[1] in sys.modules:
        yield
        return
    before = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    root = Path((found.submodule_search_locations or [""])[0])
    for name, folder in zip(_PACKAGES, (root, root / "client"), strict=True):
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == _PACKAGES[0]
