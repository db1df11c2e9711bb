"""One expression as a Python function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from logpipe.errors import ExpressionError
from logpipe.expression.compiler import assignment, blocks, calls, control, literals
from logpipe.expression.compiler.context import Context
from logpipe.expression.compiler.generator import Generator, python_name
from logpipe.expression.compiler.reads import fields_read, instance_variables
from logpipe.expression.compiler.source import Code, Writer
from logpipe.expression.methods.binary import rejoined
from logpipe.expression.methods.string import is_valid
from logpipe.expression.runtime.failures import BUDGET, BreakBlock, ReturnValue, RubyError
from logpipe.expression.runtime.matches import LAST_MATCH
from logpipe.expression.runtime.text import export, export_but_time
from logpipe.expression.runtime.times import RubyTime
from logpipe.expression.syntax import nodes
from logpipe.raw_text import escape_values, holds_bytes, unescape_values, unescaped

HANDLER_MODULES = (assignment, blocks, calls, control, literals)
"""The modules with the nodes' handlers."""

_PLAIN = (str, int, float, bool, type(None))

_MAKER_LIST: Final = (
    "force_encoding b pack unpack unpack1 byteslice chr digest decode64 strict_decode64 urlsafe_decode64"
)
_MAKERS: Final = frozenset(_MAKER_LIST.split())
"""Methods that may return a text that is not UTF-8."""


@dataclass(slots=True)
class Entry:
    """Properties of a generated function."""

    name: str
    uses: frozenset[str]
    """The names it reads, of `record`, `time`, `env`, `tag` …"""
    changes_record: bool
    """Whether it may change the record or a value in it."""
    changes_nested: bool
    """Whether it may change a nested value, which other records may share."""
    constant: bool
    """Whether its value is a constant of Python."""


Finish: TypeAlias = Callable[["Generator", Code], str]
"""Returns the Python of a function's result, from that of the tree's value."""


def exported(generator: Generator, result: Code) -> str:
    """Return the Python of a value for a record: symbols, times and texts in pieces converted."""
    if "bytes" in generator.uses:
        return f"{generator.function(_joined, 'joined')}({result.text})"
    if result.kind in _PLAIN:
        return result.text
    return f"{generator.function(export, 'export')}({result.text})"


def as_it_is(generator: Generator, result: Code) -> str:
    """Return the Python of the value itself, with texts in pieces joined."""
    return f"{generator.function(_whole, 'whole')}({result.text})" if "bytes" in generator.uses else result.text


def exported_but_time(generator: Generator, result: Code) -> str:
    """Return the same as `exported`, but with times unconverted."""
    if "bytes" in generator.uses:
        return f"{generator.function(_joined_but_time, 'joined_but_time')}({result.text})"
    if result.kind in _PLAIN:
        return result.text
    return f"{generator.function(export_but_time, 'export_but_time')}({result.text})"


def write_entry(
    writer: Writer, name: str, node: nodes.Node, context: Context, parameters: str, *, finish: Finish = exported
) -> Entry:
    """Write the function `name(parameters)` that evaluates a tree and applies `finish` to its value.

    Raises:
        ExpressionError: the tree uses something that expressions may not.
    """
    generator = Generator(writer, context)
    for word, value in context.values.items():
        writer.namespace.values[word] = value
    try:
        if any(map(_makes_bytes, nodes.walk(node))):
            generator.uses.add("bytes")
        variables = sorted(instance_variables(node)) if context.kept is not None else []
        if variables:
            generator.uses.add("bytes")  # another entry may have stored a text there that is not UTF-8
        with writer.captured() as body, writer.indented():
            kept = writer.name(context.kept, "kept") if variables else ""
            for word in variables:
                writer.emit(f"{generator.declare(word)} = {kept}.get({word!r})")
            result = generator.value(node)
            if variables:
                result = generator.held(result)
            for word in variables:
                writer.emit(f"{kept}[{word!r}] = {python_name(word)}")
            writer.emit(f"return {finish(generator, result)}")
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply", offset=0, hint="use variables") from None
    prologue: list[str] = []
    if "record" in generator.uses and parameters.startswith("record"):
        # texts that are not UTF-8 are bytes in a record, but Strings in an expression
        fields = fields_read(node)
        values = "record" if fields is None else ", ".join(f"record.get({field!r})" for field in sorted(fields))
        prologue.append(f"if {writer.name(holds_bytes, 'holds_bytes')}({values}):")
        escape, restore = writer.name(escape_values, "escape_values"), writer.name(unescape_values, "unescape_values")
        prologue.append(f"    return {restore}({name}({escape}(record),{parameters.partition(',')[2]}))")
    if not result.stable or body:
        prologue.append(f"{writer.name(BUDGET, 'budget')}.reset()")
    if "last_match" in generator.uses:
        prologue.append(f"{writer.name(LAST_MATCH, 'last_match')}.data = None")
    indent = "    " * (writer.depth + 1)
    body = [f"{indent}{line}" for line in prologue] + body
    if "jump" in generator.uses:
        body = _with_jumps(generator, body, indent, finish)
    generator.write_function(name, parameters, body, generator.scope)
    return Entry(
        name,
        frozenset(generator.uses),
        generator.changes_record,
        generator.changes_nested,
        constant=result.stable and len(body) == 1 and not generator.uses,
    )


def _makes_bytes(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Str):
        return any(isinstance(part, str) and not is_valid(part) for part in node.parts)
    return isinstance(node, nodes.Call) and node.name in _MAKERS


def _joined(value: Any) -> Any:
    """Return a value for a record where the expression split texts into bytes."""
    return unescaped(rejoined(value)) if isinstance(value, str) else unescape_values(export(value))


def _whole(value: Any) -> Any:
    return unescaped(rejoined(value)) if isinstance(value, str) else unescape_values(value)


def _joined_but_time(value: Any) -> Any:
    return value if isinstance(value, RubyTime) else _joined(value)


def _with_jumps(generator: Generator, body: list[str], indent: str, finish: Finish) -> list[str]:
    """Write the handlers of `return` in a block, and of `break` after its call has returned."""
    returned = generator.function(ReturnValue, "ReturnValue")
    broken = generator.function(BreakBlock, "BreakBlock")
    keeps_time = finish is exported_but_time
    exported = generator.function(
        export_but_time if keeps_time else export, "export_but_time" if keeps_time else "export"
    )
    error = generator.function(RubyError, "RubyError")
    return [
        f"{indent}try:",
        *(f"    {line}" for line in body),
        f"{indent}except {returned} as jump:",
        f"{indent}    return {exported}(jump.value)",
        f"{indent}except {broken}:",
        f"{indent}    raise {error}('LocalJumpError', 'break from proc-closure') from None",
    ]
