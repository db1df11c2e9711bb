"""JSON as fluentd reads and writes it inside configurations: strict numbers, at most 100 levels, compact output."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

MAX_NESTING: Final = 100
"""How deep lists and objects may nest, as in Ruby's JSON."""


def load_json(text: str) -> Any:
    """Return the value of a JSON text; raise ValueError with a message where it is not JSON."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    except json.JSONDecodeError as problem:
        place = f"at line {problem.lineno}, column {problem.colno}"
        raise ValueError(f"this is not JSON: {problem.msg[:1].lower()}{problem.msg[1:]} {place}") from None
    if not _nests_within(value, MAX_NESTING):
        raise ValueError(_too_deep())
    return value


def dump_json(value: Any) -> str:
    """Return `value` as compact JSON; characters outside ASCII are not escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"this is not JSON: {name} is no JSON number")


def _too_deep() -> str:
    return f"this JSON nests deeper than {MAX_NESTING} levels: flatten it"


def _nests_within(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [child for item in layer for child in _children(item)]
        if not layer:
            return True
    return False


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
