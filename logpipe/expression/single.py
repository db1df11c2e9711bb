"""One template as one function, for stages that compute a tag, a key or a condition from a record."""

from __future__ import annotations

from logpipe.expression.compiled import Template
from logpipe.expression.compiler.entry import Finish, as_it_is, exported, write_entry
from logpipe.expression.compiler.source import Namespace, Writer, build
from logpipe.expression.record_values import private_copy
from logpipe.expression.rules import Reading
from logpipe.expression.runtime.failures import as_ruby_error
from logpipe.expression.template import context_of, read_template


def compile_template(text: str, reading: Reading, *, origin: str = "expression") -> Template:
    """Compile one template; its value is converted for a record.

    Raises:
        ExpressionError: the text is not a template, or uses something that expressions may not; `offset` counts in it.
    """
    return _compile(text, reading, origin, exported)


def compile_value(text: str, reading: Reading, *, origin: str = "expression") -> Template:
    """Compile one template; its value is not converted, and may be a symbol or a time.

    Raises:
        ExpressionError: the text is not a template, or uses something that expressions may not; `offset` counts in it.
    """
    return _compile(text, reading, origin, as_it_is)


def _compile(text: str, reading: Reading, origin: str, finish: Finish) -> Template:
    template = read_template(text, reading)
    writer = Writer(Namespace())
    writer.depth = 1
    parameters = "record, time, output"
    entry = write_entry(writer, "compute", template.tree, context_of(reading), parameters, finish=finish)
    writer.namespace.values.update(Exception=Exception)
    record = "record"
    if entry.changes_record:
        record = f"{writer.name(private_copy, 'private_copy')}(record)"
    writer.emit("def value(record, time):")
    with writer.indented():
        writer.emit("try:")
        writer.emit(f"    return compute({record}, time, None)")
        writer.emit("except Exception as error:")
        writer.emit(f"    raise {writer.name(as_ruby_error, 'as_ruby_error')}(error) from None")
    header = "def bind(tag, tag_parts, tag_prefix, tag_suffix, hostname, env):"
    source = "\n".join([header, *writer.lines, "    return value"]) + "\n"
    return Template(source, template.unknown, build(source, "bind", writer.namespace.values, origin))
