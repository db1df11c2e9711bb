"""Rows of kind `config`: a configuration text and the element tree that fluentd makes of it."""

from __future__ import annotations

from typing import Any

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.element import Element, Unset
from logpipe.config.parser import parse_text


def run(row: dict[str, Any]) -> str | None:
    """Return None where the tree, or the refusal, is fluentd's; else what differs."""
    found: list[Diagnostic] = []
    root = parse_text(row["text"], "case.conf", report=found.append, dialect=row["dialect"], env=row["env"])
    errors = [diagnostic for diagnostic in found if diagnostic.severity == "error"]
    if "error" in row:
        return None if errors else f"fluentd refuses it: {row['message']}"
    if errors:
        return f"refused: {errors[0]}"
    got = tree_of(root)
    return None if got == row["expect"] else f"got {got}"


def tree_of(element: Element) -> dict[str, Any]:
    """Return an element in the form that the vectors have."""
    return {
        "name": element.name,
        "arg": element.arg,
        "attrs": {
            name: param.value.value if isinstance(param.value, Unset) else param.value
            for name, param in element.params.items()
        },
        "elements": [tree_of(child) for child in element.elements],
    }
