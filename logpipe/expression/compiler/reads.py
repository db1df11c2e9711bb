"""Determines which values a tree reads: only tag and host, or also the metadata of a container.

Such values are not computed for each record: the first kind once per tag, the second when the metadata is another
object, since a container's records share it.
"""

from __future__ import annotations

from typing import Final

from logpipe.expression.compiler.context import BOUND
from logpipe.expression.syntax import nodes

METADATA: Final = frozenset({"kubernetes", "docker"})
"""Fields with the metadata of a container."""

_CLOCKS: Final = frozenset({"Time", "DateTime", "Date"})
_CHANCE: Final = frozenset({"SecureRandom", "Random", "Process"})
_IMPURE: Final = frozenset({"rand", "srand", "shuffle", "shuffle!", "sample", "binding"})


def metadata_read(tree: nodes.Node) -> frozenset[str] | None:
    """Return the fields of metadata that a tree depends on beside tag and host; None where it depends on more.

    The current time and random numbers count as more.
    """
    found: set[str] = set()
    return frozenset(found) if _scan(tree, found) else None


def _scan(node: nodes.Node, found: set[str]) -> bool:
    match node:
        case nodes.Call(receiver=nodes.Name(name="record"), name="[]" | "dig", args=[nodes.Str(constant=key), *rest]):
            if key not in METADATA:
                return False
            found.add(key)
            return all(_scan(arg, found) for arg in rest)
        case nodes.Name(name=name):
            if name in METADATA:
                found.add(name)
            return name in BOUND or name in METADATA
        case nodes.Call(receiver=nodes.Const(path=path), name=name, args=args) if _is_impure(path, name, len(args)):
            return False
        case nodes.Call(name=name) if name in _IMPURE:
            return False
    return all(_scan(child, found) for child in nodes.children(node))


def _is_impure(path: str, name: str, count: int) -> bool:
    head = path.partition("::")[0]
    return head in _CHANCE or (head in _CLOCKS and (name in ("now", "today") or (name == "new" and count == 0)))


def fields_read(tree: nodes.Node) -> frozenset[str] | None:
    """Return the fields that a tree may read; None where it may read any."""
    found: set[str] = set()
    return frozenset(found) if _scan_fields(tree, found) else None


def _scan_fields(node: nodes.Node, found: set[str]) -> bool:
    match node:
        case nodes.Call(
            receiver=nodes.Name(name="record"),
            name="[]" | "dig" | "fetch" | "key?" | "has_key?" | "include?" | "member?",
            args=[nodes.Str(constant=str() as key), *_],
        ):
            found.add(key)
            return all(_scan_fields(child, found) for child in nodes.children(node) if child is not node.receiver)
        case nodes.Name(name="record"):
            return False
        case nodes.Name(name=name):  # in 0.12 a bare word is a field
            found.add(name)
    return all(_scan_fields(child, found) for child in nodes.children(node))


def instance_variables(tree: nodes.Node) -> set[str]:
    """Return the instance variables that a tree reads or assigns."""
    return {node.name for node in nodes.walk(tree) if isinstance(node, nodes.InstanceVariable)}


def is_path(tree: nodes.Node) -> bool:
    """Return whether a tree is a plain path into a record, whose evaluation is as fast as a check of the cache."""
    while isinstance(tree, nodes.Call) and tree.name in ("[]", "dig") and tree.receiver is not None:
        tree = tree.receiver
    return isinstance(tree, nodes.Name)
