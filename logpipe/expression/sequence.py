"""The `<record>` section of record_modifier as one generated function over a batch of records.

Each value is written to the record before the next one is computed, which can read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logpipe.errors import ExpressionError
from logpipe.expression.compiled import RecordTemplate
from logpipe.expression.compiler.context import BOUND, Context
from logpipe.expression.compiler.entry import write_entry
from logpipe.expression.compiler.source import Code, Namespace, Writer, build
from logpipe.expression.loop import Computed, Loop
from logpipe.expression.methods.table import METHODS
from logpipe.expression.record_values import private_copy, recoder
from logpipe.expression.rules import Replacement, SequenceRules, TemplateError
from logpipe.expression.runtime.failures import as_ruby_error
from logpipe.expression.runtime.times import RubyTime
from logpipe.expression.syntax import nodes
from logpipe.expression.syntax.parser import parse, parse_quoted
from logpipe.expression.template import TIMES, TemplateTree
from logpipe.raw_text import escape_record, unescape_values

_NAMES = {
    **BOUND,
    "record": Code("record", dict, stable=True),
    "time": Code("(time // 1000000000)", int),
    "event_time": Code("Time(time)", RubyTime),
}
"""`time` is in seconds, like fluentd's EventTime; `event_time` is used where that has nanoseconds."""


def compile_sequence(
    entries: Sequence[tuple[str, str | None]], rules: SequenceRules, *, origin: str = "expression"
) -> RecordTemplate:
    """Compile a section's entries: literal names, values with `${…}`.

    Raises:
        TemplateError: a value is not a template, or uses something that expressions may not.
        ExpressionError: `prepare` does not run, or a path among the keys to remove is malformed.
    """
    return _Sequence(entries, rules).finish(origin)


class _Sequence(Loop):
    """Writes the loop of a section."""

    def __init__(self, entries: Sequence[tuple[str, str | None]], rules: SequenceRules) -> None:
        prepared = _prepared(rules.prepare)
        names = {name: Code(f"prepared_{name.lstrip('@')}", type(value)) for name, value in prepared.items()}
        values = {f"prepared_{name.lstrip('@')}": value for name, value in prepared.items()}
        super().__init__(Context({**_NAMES, **names}, values={"Time": RubyTime, **values}))
        self._rules = rules
        self._entries = [(key, self._value(key, text)) for key, text in entries]
        self._changes = any(value.changes_record for _, value in self._entries)
        self._copies = any(value.entry.changes_nested for _, value in self._entries)
        self._replaces = [self._replace(rule) for rule in rules.replaces]

    def _value(self, key: str, text: str | None) -> Computed:
        try:
            return self.part(_read(text, [*_NAMES]), key)
        except ExpressionError as problem:
            raise TemplateError(problem, key=key, in_key=False) from None

    def _replace(self, rule: Replacement) -> Computed:
        """Write the function of a `<replace>`."""
        # compat: filter_record_modifier.rb: a value other than text fails, but null and a missing field do not
        key, pattern = nodes.Str(0, [rule.key]), nodes.Regexp(0, nodes.Str(0, [rule.pattern]), "")
        value = nodes.Call(0, nodes.Name(0, "record"), "[]", [key])
        change = nodes.Call(0, value, "gsub", [pattern, nodes.Str(0, [rule.replace])])
        tree = nodes.If(0, nodes.Call(0, pattern, "match", [value]), change, value)
        return self.part(TemplateTree(f"<replace> {rule.key}", tree, []), f"replace {rule.key}")

    def needs_time(self) -> bool:
        """Whether a value reads the event's time."""
        return any(value.entry.uses & TIMES for _, value in self._entries)

    def watched(self) -> list[Computed]:
        """Return the values that are kept; none where the record is copied first, and with it all metadata."""
        return [] if self._copies else [value for _, value in self._entries if value.watched]

    def write_record(self) -> None:
        """Write the processing of one record: value by value, then removals and replacements."""
        writer = self.writer
        if self._changes:
            # changes are made to the record's texts in place, also to those that are bytes
            writer.emit(f"worked_on = {writer.name(escape_record, 'escape_record')}(record)")
            writer.emit("if worked_on is not None:")
            writer.emit("    record = records[place] = worked_on")
        writer.emit("try:")
        with writer.indented():
            before = len(writer.lines)
            if self._copies:
                # nested values may be shared with other records
                writer.emit(f"record = records[place] = {writer.name(private_copy, 'private_copy')}(record)")
            self.write_reset([*(value for _, value in self._entries), *self._replaces])
            for key, value in self._entries:
                self.write_value(value)
                writer.emit(f"record[{key!r}] = {value.result}")
            self._write_rest()
            if len(writer.lines) == before:
                writer.emit("pass")  # nothing is configured
        if not self._changes:
            self.write_failure()
            return
        restore = f"records[place] = {writer.name(unescape_values, 'unescape_values')}(records[place])"
        self.write_failure(f"if worked_on is not None:\n    {restore}")
        writer.emit("if worked_on is not None:")
        writer.emit(f"    {restore}")

    def _write_rest(self) -> None:
        """Write the removals, replacements and conversions of the settings, in the plugin's order."""
        writer, rules = self.writer, self._rules
        for path in rules.remove_keys:
            self.write_removal("record", path)
        if rules.keep_keys is not None:
            keys = writer.name(tuple(dict.fromkeys([*rules.keep_keys, *(key for key, _ in self._entries)])), "kept")
            writer.emit(f"record = records[place] = {{key: record[key] for key in {keys} if key in record}}")
        for rule, value in zip(rules.replaces, self._replaces, strict=True):
            writer.emit(f"if {rule.key!r} in record:")
            with writer.indented():
                self.write_value(value)
                writer.emit(f"record[{rule.key!r}] = {value.result}")
        if rules.encodings is not None:
            convert = writer.name(recoder(*rules.encodings), "convert")
            writer.emit(f"record = records[place] = {convert}(record)")


def _read(text: str | None, variables: list[str]) -> TemplateTree:
    """Read a value as the plugin does: a single `${…}` is Ruby, other texts with one are strings in double quotes."""
    if text is None or "${" not in text:
        return TemplateTree(text or "", nodes.Literal(0, None) if text is None else nodes.Str(0, [text]), [])
    if text.count("${") == 1 and text.startswith("${") and text.endswith("}"):
        tree = parse(text[:-1], start=2, variables=variables)
    else:
        tree = parse_quoted(text.replace("${", "#{"), variables=variables)
    _show_nanoseconds(tree)
    return TemplateTree(text, tree, [])


def _show_nanoseconds(tree: nodes.Node) -> None:
    """Use the exact time where Ruby's EventTime has it: `Time.at(time)`, `time.to_f`."""
    for node in nodes.walk(tree):
        match node:
            case nodes.Call(receiver=nodes.Const(path="Time"), name="at", args=[nodes.Name(name="time"), *_]):
                node.args[0] = nodes.Name(node.args[0].offset, "event_time")
            case nodes.Call(receiver=nodes.Name(name="time"), name="sec"):
                node.name = "to_i"
            case nodes.Call(receiver=nodes.Name(name="time"), name=name) if _is_of_times(name):
                node.receiver = nodes.Name(node.offset, "event_time")


def _is_of_times(name: str) -> bool:
    known = METHODS.get(name, {})
    return name == "to_f" or (RubyTime in known and int not in known and object not in known)


def _prepared(text: str | None) -> dict[str, Any]:
    """Run `prepare_value` and return its instance variables.

    Raises:
        ExpressionError: it is not supported, or it failed; `offset` counts in it.
    """
    if text is None:
        return {}
    tree = parse(text)
    names = sorted({node.name for node in nodes.walk(tree) if isinstance(node, nodes.InstanceVariable)})
    values = nodes.Array(0, [nodes.InstanceVariable(0, name) for name in names])
    writer = Writer(Namespace())
    write_entry(
        writer,
        "prepare",
        nodes.Seq(0, [tree, values]),
        Context({}, values={"Time": RubyTime}),
        "",
        finish=lambda _, value: value.text,
    )
    prepare = build("\n".join(writer.lines) + "\n", "prepare", writer.namespace.values, "prepare_value")
    try:
        return dict(zip(names, prepare(), strict=True))
    except Exception as error:  # noqa: BLE001 - any error is reported as one of the code
        raise as_ruby_error(error) from None
