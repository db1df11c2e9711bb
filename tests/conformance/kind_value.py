"""Rows of kind `value`: a parameter's text and the typed value that fluentd makes of it."""

from __future__ import annotations

from typing import Any

from logpipe.config import values


def run(row: dict[str, Any]) -> str | None:
    """Return None where the value, or the refusal, is fluentd's; else what differs."""
    try:
        got = _value(row["type"], row["text"])
    except ValueError as problem:
        return None if "error" in row else f"refused: {problem}"
    if "error" in row:
        return f"got {got!r}, fluentd refuses it: {row['message']}"
    return None if got == row["expect"] else f"got {got!r}"


def _value(kind: str, text: str) -> Any:
    match kind:
        case "enum":
            return values.convert_enum(text, choices=("foo", "bar"))
        case "regexp":
            source, flags = values.split_regexp(text)
            values.convert_regexp(text)
            return {"source": source, "ignorecase": "i" in flags, "multiline": "m" in flags, "extended": False}
        case "bool":
            value = values.convert_bool(text)
            if value is None:
                raise ValueError("nil, and the parameter's default is not")
            return value
    return getattr(values, f"convert_{kind}")(text)
