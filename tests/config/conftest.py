"""Reading configurations in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.element import Element
from logpipe.config.parser import parse_text


@dataclass
class Loaded:
    """A tree, and what was said about it."""

    root: Element
    said: list[Diagnostic]

    @property
    def params(self) -> dict[str, Any]:
        return {name: param.value for name, param in self.root.params.items()}

    @property
    def errors(self) -> list[str]:
        return [str(diagnostic) for diagnostic in self.said if diagnostic.severity == "error"]

    @property
    def warnings(self) -> list[str]:
        return [str(diagnostic) for diagnostic in self.said if diagnostic.severity == "warning"]


Load = Callable[..., Loaded]


@pytest.fixture
def load() -> Load:
    """Parse a text called `f.conf` without an environment."""

    def parse(text: str, **settings: Any) -> Loaded:
        said: list[Diagnostic] = []
        settings = {"env": {}, "hostname": "node-1", **settings}
        return Loaded(parse_text(text, "f.conf", report=said.append, **settings), said)

    return parse
