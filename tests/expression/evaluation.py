"""Evaluates one expression as a field of a record would."""

from __future__ import annotations

import copy
from typing import Any, Final

from logpipe.expression import Dialect, Reading, compile_template

RECORD: Final[dict[str, Any]] = {
    "log": "GET /a/b?x=1 500\n",
    "level": "warn",
    "n": 5,
    "f": 2.5,
    "nothing": None,
    "tags": ["a", "b"],
    "kubernetes": {"namespace_name": "shop", "labels": {"app": "web"}},
}
TIME: Final = 1_466_000_000_123_456_789


def evaluate(
    expression: str,
    record: dict[str, Any] | None = None,
    *,
    tag: str = "kubernetes.var.log",
    dialect: Dialect = Dialect.TODAY,
    env: dict[str, str] | None = None,
) -> Any:
    """Return an expression's value for a record; the record stays as it is."""
    template = compile_template(f"${{{expression}}}", Reading(dialect=dialect, auto_typecast=True))
    value = template.bind(tag, hostname="node-1", env=env or {})
    return value(copy.deepcopy(RECORD if record is None else record), TIME)
