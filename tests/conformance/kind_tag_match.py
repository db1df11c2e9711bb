"""Rows of kind tag_match: which tags a pattern matches."""

from __future__ import annotations

from typing import Any

from logpipe.tag_pattern import compile_pattern


def run(row: dict[str, Any]) -> str | None:
    """Return None where logpipe answers as fluentd did, else what differs."""
    try:
        matches = compile_pattern(row["pattern"])
    except ValueError as error:
        return None if "error" in row else f"refused: {error}"
    if "error" in row:
        return "accepted what fluentd refuses"
    found = [tag for tag in row["tags"] if matches(tag)]
    return None if found == row["expect"] else f"matched {found}"
