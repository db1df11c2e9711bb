"""The public API: what a plugin imports. Its names and where they live stand in `__init__.pyi`.

A name's module is loaded when the name is first used: `logpipe --version` needs none of them. Beside this there are
doors for who needs more: `logpipe.codec`, `logpipe.ruby`, `logpipe.durable`, `logpipe.tree`, `logpipe.monitor`,
`logpipe.net`, `logpipe.processes`, `logpipe.discovery` and `logpipe.testing`.
"""

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives, once."""
    home = _homes().get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})


@cache
def _homes() -> dict[str, str]:
    """Return the module of each public name, as the type stub beside this file has it."""
    stub = Path(__file__).with_suffix(".pyi").read_text("utf-8")
    return {name: home for home, name in re.findall(r"^from (\S+) import \w+ as (\w+)$", stub, re.MULTILINE)}
