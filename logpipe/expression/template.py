"""The templates of a `<record>` section, such as `a-${…}-b`, with and without enable_ruby."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.context import BOUND, Context
from logpipe.expression.compiler.source import Code
from logpipe.expression.rules import Dialect, Reading
from logpipe.expression.runtime.times import RubyTime
from logpipe.expression.syntax import nodes
from logpipe.expression.syntax.parser import parse, parse_interpolated

_PLACEHOLDER: Final = re.compile(r"\$\{[^}]+\}|__[A-Z_]+__")
_PART: Final = re.compile(r"(tag_parts|tag_prefix|tag_suffix)\[(-?\d+)\]")
_FIELD: Final = re.compile(r'record\["([^"]+)"\]')
_TYPOGRAPHIC: Final = re.compile("[\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019\u201a]")

_RUBY_TIME: Final = {
    Dialect.TODAY: Code("Time(time)", RubyTime),
    Dialect.V0_12: Code("Time(time // 1000000000 * 1000000000)", RubyTime),
}
"""`time` is in nanoseconds; 0.12 had whole seconds."""

TIMES: Final = frozenset({"time", "event_time"})
"""The words that read the event's time."""


def context_of(reading: Reading) -> Context:
    """Return the words that templates may use."""
    names: dict[str, Code] = {
        **BOUND,
        "record": Code("record", dict, stable=True),
        "time": _RUBY_TIME[reading.dialect],
    }
    fields = reading.names_are_fields
    # compat: filter_record_transformer.rb evaluates all entries in one object, which keeps its variables
    return Context(names, fields=fields, late=not fields, values={"Time": RubyTime}, kept={})


@dataclass(slots=True)
class TemplateTree:
    """One template: its text, its tree, and its unknown placeholders."""

    text: str
    tree: nodes.Node
    unknown: list[str]


def read_template(text: Any, reading: Reading) -> TemplateTree:
    """Read a template: a text, or a value from JSON with templates inside.

    Raises:
        ExpressionError: a text is not a template; `offset` counts in the text.
    """
    unknown: list[str] = []
    return TemplateTree(str(text), _tree(text, reading, unknown), unknown)


def _tree(value: Any, reading: Reading, unknown: list[str]) -> nodes.Node:
    match value:
        case str():
            return _text(value, reading, unknown)
        case dict():
            pairs: list[tuple[nodes.Node | None, nodes.Node]] = [
                (read_key(key, reading).tree, _tree(item, reading, unknown)) for key, item in value.items()
            ]
            return nodes.Hash(0, pairs)
        case list():
            return nodes.Array(0, [_tree(item, reading, unknown) for item in value])
    return nodes.Literal(0, value)


def read_key(text: str, reading: Reading) -> TemplateTree:
    """Read the template of a key, whose value is always text."""
    unknown: list[str] = []
    whole = replace(reading, auto_typecast=False)
    return TemplateTree(text, _text(text, whole, unknown), unknown)


def _text(text: str, reading: Reading, unknown: list[str]) -> nodes.Node:
    if not reading.enable_ruby:
        return _placeholders(text, reading, unknown)
    variables = list(context_of(reading).names)
    if reading.auto_typecast and text.count("${") == 1 and text.startswith("${") and text.endswith("}"):
        return parse(text[:-1], start=2, variables=variables)
    # compat: filter_record_transformer.rb reads other texts as %Q[…], with ${ as #{
    return parse_interpolated(text.replace("${", "#{"), variables=variables)


def _placeholders(text: str, reading: Reading, unknown: list[str]) -> nodes.Node:
    """Read a text without enable_ruby: a few placeholders, and literal text."""
    parts: list[str | nodes.Node] = []
    position = 0
    alone = reading.auto_typecast and _PLACEHOLDER.fullmatch(text) is not None
    for found in _PLACEHOLDER.finditer(text):
        parts.append(text[position : found.start()])
        parts.append(_placeholder(found[0], found.start(), unknown, fields=reading.names_are_fields, alone=alone))
        position = found.end()
    parts.append(text[position:])
    parts = [part for part in parts if part != ""]
    if alone and isinstance(parts[0], nodes.Node):
        return parts[0]
    return nodes.Str(0, parts)


def _placeholder(written: str, offset: int, unknown: list[str], *, fields: bool, alone: bool) -> nodes.Node:
    """Return the tree of one `${…}` or `__XXX__`; unknown ones are empty, as in fluentd."""
    inner = written[2:-1]
    if written.startswith("${"):
        if quote := _TYPOGRAPHIC.search(inner):
            raise ExpressionError(
                f"typographic quote {quote[0]} in a placeholder",
                offset=offset + 2 + quote.start(),
                hint="type a straight quote instead",
            )
        if inner in ("tag", "hostname", "time"):
            return nodes.Name(offset, inner)
        if part := _PART.fullmatch(inner):
            index = nodes.Literal(offset, int(part[2]))
            return nodes.Call(offset, nodes.Name(offset, part[1]), "[]", [index])
        if field := _FIELD.fullmatch(inner):
            return nodes.Call(offset, nodes.Name(offset, "record"), "[]", [nodes.Str(offset, [field[1]])])
        if fields and not re.search(r"[\[\](){}\"'$#]|^(?:record|tags|tag_parts|tag_prefix|tag_suffix)$", inner):
            # 0.12: any other text is a field's name; a missing field is reported where it is the whole value
            name = nodes.Name(offset, inner)
            return (
                name if alone else nodes.Call(offset, nodes.Name(offset, "record"), "[]", [nodes.Str(offset, [inner])])
            )
    unknown.append(written)
    return nodes.Literal(offset, None)
