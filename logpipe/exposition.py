"""Prometheus' text exposition format, version 0.0.4: names, labels and numbers as it writes them.

Its grammar: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def head_text(name: str, kind: str, doc: str) -> str:
    """Return the lines that stand before a family's samples; `kind` is counter, gauge, summary or histogram."""
    told = f"# HELP {name} {_escaped(doc)}\n" if doc else ""
    return f"{told}# TYPE {name} {kind}\n"


def labels_text(labels: Iterable[tuple[str, str]]) -> str:
    """Return labels, which stand behind a name, without their braces: `method="GET",code="200"`."""
    return ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)


def sample_text(name: str, labels: str, value: float) -> str:
    """Return one line; `labels` are those of `labels_text`."""
    return f"{name}{{{labels}}} {number_text(value)}\n" if labels else f"{name} {number_text(value)}\n"


def number_text(value: float) -> str:
    """Return a number as Go reads it."""
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
