"""Values that depend on tag and host only: computed when the generated function is bound to a tag."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from logpipe.expression.compiler.context import BOUND, Context
from logpipe.expression.compiler.entry import write_entry
from logpipe.expression.compiler.fast import FAILED
from logpipe.expression.compiler.source import Writer
from logpipe.expression.syntax import nodes

_OFFSET: Final = re.compile(r"offset=\d+(?:, )?")
_PURE_LIST: Final = """
[] slice first last join split sub gsub tr delete downcase upcase capitalize strip chomp reverse length size to_s to_i
include? start_with? end_with? empty? nil? + * index
"""
_PURE: Final = frozenset(_PURE_LIST.split())
"""Pure methods."""


class BoundValues:
    """Writes each such value once, however often the templates use it."""

    def __init__(self, writer: Writer, context: Context) -> None:
        self._writer = writer
        self._context = Context(BOUND, functions=context.functions, values=context.values)
        self._names: dict[str, str] = {}

    def name_of(self, node: nodes.Node) -> str | None:
        """Return the name of a precomputed value, None for a tree that depends on more than tag and host."""
        if not isinstance(node, nodes.Call) or not depends_on_tag_only(node):
            return None
        key = _OFFSET.sub("", repr(node))
        if key not in self._names:
            writer = self._writer
            name = writer.temporary("bound")
            write_entry(writer, f"compute_{name}", node, self._context, "")
            writer.emit(f"{name} = {writer.name(attempt, 'attempt')}(compute_{name})")
            self._names[key] = name
        return self._names[key]


def attempt(compute: Callable[[], Any]) -> Any:
    """Return a function's result, or FAILED: the error is then raised where the value is used."""
    try:
        return compute()
    except Exception:  # noqa: BLE001 - raised again for each record that uses it
        return FAILED


def attempt_entry(compute: Callable[[None, None, None], Any]) -> Any:
    """Return the result of an entry's function that reads neither record nor time, or FAILED."""
    return attempt(lambda: compute(None, None, None))


def depends_on_tag_only(node: nodes.Node | None) -> bool:
    """Return whether a tree reads only tag and host, and calls only pure methods."""
    match node:
        case None | nodes.Literal():
            return True
        case nodes.Str(parts=parts):
            return all(isinstance(part, str) or depends_on_tag_only(part) for part in parts)
        case nodes.Name(name=name):
            return name in BOUND
        case nodes.Regexp():
            return node.source.constant is not None
        case nodes.Range(low=low, high=high):
            return depends_on_tag_only(low) and depends_on_tag_only(high)
        case nodes.Call(receiver=receiver, name=name, args=args, block=None, safe=False):
            return receiver is not None and name in _PURE and all(map(depends_on_tag_only, [receiver, *args]))
    return False
