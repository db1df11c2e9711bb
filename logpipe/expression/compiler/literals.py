"""Literals, variables, constants and words."""

from __future__ import annotations

import math
from typing import Final, NoReturn

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.context import CLASSES, class_value
from logpipe.expression.compiler.generator import Generator, handles, python_name
from logpipe.expression.compiler.source import NIL, Code
from logpipe.expression.methods.constants import CONSTANTS
from logpipe.expression.methods.kernel import to_array
from logpipe.expression.methods.table import FUNCTIONS, similar
from logpipe.expression.runtime.failures import EXCEPTION_CLASSES, MissingField, RubyError, check_size
from logpipe.expression.runtime.matches import LAST_MATCH, Regexp, dynamic_regexp
from logpipe.expression.runtime.text import to_s
from logpipe.expression.runtime.values import Range, RubyClass, Symbol, as_key
from logpipe.expression.syntax import nodes

_CLASS_NAMES: Final = frozenset(CLASSES.split())
UNKNOWN: Final = "unknown "
"""The prefix of a word in `uses` that fails when it is evaluated."""
_NO_FIELDS: Final = frozenset({"exit", "abort", "fork", "gets", "binding", "sleep", "readline", "readlines", "callcc"})
_REFUSED_CONSTANTS: Final = {
    "IO": "read and write in a plugin", "Kernel": "call its functions without it",
    "Process": "for the time, write Time.now", "Open3": "use an exec input", "Thread": "keep values in the record",
    "ObjectSpace": "it is not part of the language here", "GC": "it is not part of the language here",
    "Dir": "use @include or a plugin", "FileUtils": "use a plugin", "Net::HTTP": "use a plugin", "Net": "use a plugin",
    "Resolv": "look up names in a plugin", "TCPSocket": "use a plugin", "UDPSocket": "use a plugin",
    "Fluent": "fluentd's own classes are not here", "Binding": "it is not part of the language here",
    "Marshal": "use JSON", "YAML": "use JSON", "Psych": "use JSON", "Signal": "it is not part of the language here",
    "File": "files are read once, at start: write \"#{File.read('…')}\", in double quotes, as the value",
    "Pathname": "use File.basename and the like",
    "Etc": "it is not part of the language here", "RubyVM": "it is not part of the language here",
    "Fiber": "it is not part of the language here", "Ractor": "it is not part of the language here",
    "DRb": "it is not part of the language here", "Tempfile": "use a plugin", "Mutex": "expressions run one at a time",
    "Socket": "only Socket.gethostname is here",
}  # fmt: skip


@handles(nodes.Literal)
def literal(_generator: Generator, node: nodes.Literal) -> Code:
    """Write a number, true, false or nil."""
    value = node.value
    if value is None:
        return NIL
    if type(value) is float and not math.isfinite(value):
        return Code("1e400", float, stable=True)
    text = repr(value)
    return Code(f"({text})" if text.startswith("-") else text, type(value), stable=True)


@handles(nodes.Str)
def string(generator: Generator, node: nodes.Str) -> Code:
    """Write a text; one with code is joined from its pieces."""
    constant = node.constant
    if constant is not None:
        return Code(repr(constant), str, stable=True)
    codes = generator.operands([_part(part, node.offset) for part in node.parts])
    parts = [text_of(generator, code) for code in codes]
    name = generator.function(concatenate, "concatenate")
    return Code(f"{name}({', '.join(parts)})", str)


def _part(part: str | nodes.Node, offset: int) -> nodes.Node:
    return nodes.Str(offset, [part]) if isinstance(part, str) else part


def text_of(generator: Generator, code: Code) -> str:
    """Return the Python for a value's `to_s`."""
    return code.text if code.kind is str else f"{generator.function(to_s, 'to_s')}({code.text})"


def concatenate(*parts: str) -> str:
    """Return the joined parts, within the budget."""
    text = "".join(parts)
    check_size(len(text))
    return text


@handles(nodes.Sym)
def symbol(generator: Generator, node: nodes.Sym) -> Code:
    """Write a symbol: an object of its own that the source refers to."""
    constant = node.text.constant
    if constant is None:
        code = generator.value(node.text)
        return Code(f"{generator.function(Symbol.of, 'symbol')}({code.text})", Symbol)
    return Code(generator.writer.name(Symbol.of(constant), f"sym_{constant}"), Symbol, stable=True)


@handles(nodes.Regexp)
def regexp(generator: Generator, node: nodes.Regexp) -> Code:
    """Write a regular expression: compiled now, or per record where it contains code."""
    constant = node.source.constant
    if constant is None:
        code = generator.value(node.source)
        name = generator.function(dynamic_regexp, "dynamic_regexp")
        return Code(f"{name}({code.text}, {node.flags!r})", Regexp)
    try:
        compiled = Regexp(constant, node.flags)
    except ExpressionError as error:
        error.offset = node.offset + 1 + (error.offset or 0)
        raise
    return Code(generator.writer.name(compiled, "regexp"), Regexp, stable=True)


@handles(nodes.Array)
def array(generator: Generator, node: nodes.Array) -> Code:
    """Write a list."""
    codes = generator.operands(node.items)
    return Code(f"[{', '.join(map(item_text, codes))}]", list)


def item_text(code: Code) -> str:
    """Return the Python of an item or argument."""
    return f"*{code.text}" if code.star else code.text


@handles(nodes.Splat)
def splat(generator: Generator, node: nodes.Splat) -> Code:
    """Write `*value`: an array's members, a hash's pairs, nothing for nil."""
    code = generator.value(node.value)
    if code.kind is list:
        return code._replace(star=True)
    return Code(f"{generator.function(to_array, 'splat')}({code.text})", list, star=True)


@handles(nodes.Hash)
def hash_literal(generator: Generator, node: nodes.Hash) -> Code:
    """Write a dict; keys that Python would confuse are wrapped."""
    wanted = [part for key, value in node.pairs for part in (key, value) if part is not None]
    codes = iter(generator.operands(wanted))
    pairs = []
    for key, _ in node.pairs:
        if key is None:
            pairs.append(f"**{next(codes).text}")
        else:
            pairs.append(f"{key_text(generator, next(codes))}: {next(codes).text}")
    return Code(f"{{{', '.join(pairs)}}}", dict)


def key_text(generator: Generator, code: Code) -> str:
    """Return the Python for a Ruby value as a key."""
    plain = code.kind in (str, int, Symbol, type(None))
    return code.text if plain else f"{generator.function(as_key, 'as_key')}({code.text})"


@handles(nodes.Range)
def range_literal(generator: Generator, node: nodes.Range) -> Code:
    """Write a range; one of constants is made once."""
    ends = [_constant_end(end) for end in (node.low, node.high)]
    if all(known for known, _ in ends):
        value = Range(ends[0][1], ends[1][1], node.exclusive)
        return Code(generator.writer.name(value, "range"), Range, stable=True)
    low, high = (node.low or nodes.Literal(node.offset, None), node.high or nodes.Literal(node.offset, None))
    codes = generator.operands([low, high])
    name = generator.function(Range, "Range")
    return Code(f"{name}({codes[0].text}, {codes[1].text}, {node.exclusive})", Range)


def _constant_end(node: nodes.Node | None) -> tuple[bool, object]:
    match node:
        case None:
            return True, None
        case nodes.Literal(value=value):
            return True, value
        case nodes.Str() if node.constant is not None:
            return True, node.constant
    return False, None


@handles(nodes.Local)
def local(generator: Generator, node: nodes.Local) -> Code:
    """Write a variable; one that no branch has assigned is nil."""
    if generator.scope.owner(node.name) is None:
        generator.declare(node.name)
    return Code(python_name(node.name))


@handles(nodes.InstanceVariable)
def instance_variable(generator: Generator, node: nodes.InstanceVariable) -> Code:
    """Write `@x`, which is nil until it is assigned; it is reset for each evaluation, unless it was prepared."""
    if generator.scope.owner(node.name) is None:
        return generator.context.names.get(node.name, NIL)
    return Code(python_name(node.name))


@handles(nodes.Name)
def name(generator: Generator, node: nodes.Name) -> Code:
    """Write a word without arguments: a helper, a function of Kernel, or a field as in 0.12."""
    found = generator.context.names.get(node.name)
    if found is not None:
        generator.uses.add(node.name)
        return found
    if node.name in ("rand", "raise", "fail", "block_given?"):
        implementation = FUNCTIONS[""][node.name].function
        return Code(f"{generator.function(implementation, node.name)}()")
    is_no_field = node.name == "self" or node.name in _NO_FIELDS or node.name[-1] in "?!"
    if generator.context.late and not (is_no_field and "record" in generator.context.names):
        generator.uses.add(f"{UNKNOWN}{node.name}")
        fail = _undefined_name if "record" in generator.context.names else _unknown_name
        return Code(f"{generator.function(fail, fail.__name__.strip('_'))}({node.name!r}, {node.offset})")
    if is_no_field or not generator.context.fields:
        hint = similar(node.name, generator.context.names)
        raise ExpressionError(
            f"unknown name {node.name}", offset=node.offset, hint=hint or "quote it if it is text, or assign it first"
        )
    generator.uses.add("record")
    generator.uses.add("field")
    return Code(f"{generator.function(field, 'field')}(record, {node.name!r})")


def _undefined_name(word: str, offset: int) -> NoReturn:
    error = RubyError("NameError", f"undefined local variable or method `{word}'")
    error.offset, error.hint = offset, f'write record["{word}"] for the field'
    raise error


def _unknown_name(word: str, offset: int) -> NoReturn:
    error = RubyError("NameError", f"unknown name {word}")
    error.offset, error.hint = offset, "quote it if it is text"
    raise error


def field(record: dict[str, object], key: str) -> object:
    """Return a record's field that was written as a bare name.

    Raises:
        MissingField: the record does not have it.
    """
    try:
        return record[key]
    except KeyError:
        raise MissingField(key) from None


@handles(nodes.Const)
def constant(generator: Generator, node: nodes.Const) -> Code:
    """Write a constant with a value: a class, a number, the environment."""
    path = node.path
    if path == "ENV":
        generator.uses.add("env")
        return Code("env", dict, stable=True)
    if path in CONSTANTS:
        value = CONSTANTS[path]
        plain = isinstance(value, (str, int))
        return Code(repr(value) if plain else generator.writer.name(value, path), type(value), stable=True)
    if path in _CLASS_NAMES or path in EXCEPTION_CLASSES:
        return Code(generator.writer.name(class_value(path), f"class_{path}"), RubyClass, stable=True)
    raise unknown_constant(path, node.offset)


def unknown_constant(path: str, offset: int) -> ExpressionError:
    """Return the error for a forbidden or unknown constant."""
    for refused, hint in _REFUSED_CONSTANTS.items():
        if path == refused or path.startswith(f"{refused}::"):
            return ExpressionError(f"{path} cannot be used in an expression", offset=offset, hint=hint)
    known = {*_CLASS_NAMES, *(constant for constant in FUNCTIONS if constant), *CONSTANTS}
    return ExpressionError(
        f"unknown constant {path}", offset=offset, hint=similar(path, known) or "quote it if it is text"
    )


@handles(nodes.GlobalVariable)
def global_variable(generator: Generator, node: nodes.GlobalVariable) -> Code:
    """Write a global of the last match; other globals are refused."""
    generator.uses.add("last_match")
    last = generator.writer.name(LAST_MATCH, "last_match")
    match node.name[1:]:
        case "~":
            return Code(f"{last}.data")
        case "&":
            return Code(f"{last}.group(0)")
        case number if number.isascii() and number.isdigit() and number[0] != "0" and len(number) < 4:
            return Code(f"{last}.group({int(number)})")
        case "!":
            return Code(generator.errors[-1], RubyError, stable=True) if generator.errors else NIL
        case "," | ";":
            return NIL
        case "`" | "'":
            end = "before" if node.name == "$`" else "behind"
            return Code(f"{generator.function(_beside, 'beside')}({last}.data, {end!r})")
    raise ExpressionError(
        f"the global variable {node.name} cannot be used in an expression", offset=node.offset, hint="use a variable"
    )


def _beside(data: object, end: str) -> str | None:
    from logpipe.expression.methods.pattern import before, behind  # noqa: PLC0415 - rarely used
    from logpipe.expression.runtime.matches import MatchData  # noqa: PLC0415 - the same

    if not isinstance(data, MatchData):
        return None
    return before(data) if end == "before" else behind(data)


@handles(nodes.Refused)
def refused(_generator: Generator, node: nodes.Refused) -> Code:
    """Refuse a construct that is parsed for its error message only.

    Raises:
        ExpressionError: always.
    """
    raise ExpressionError(f"{node.reason} cannot be used in an expression", offset=node.offset, hint=node.hint)
