"""A whole `<record>` section as one generated function over a batch of records.

The loop is written for the settings at hand: nothing is asked per record that is known beforehand. What depends on
the tag alone is computed when the function is bound to a tag, which compiles nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.accessor import RecordAccessor
from logpipe.expression.compiled import RecordTemplate
from logpipe.expression.compiler.bound import BoundValues
from logpipe.expression.compiler.entry import write_entry
from logpipe.expression.compiler.fast import NOT_FAST, short_form
from logpipe.expression.compiler.source import Namespace, Writer, build
from logpipe.expression.failures import BUDGET, as_ruby_error
from logpipe.expression.record_values import private_copy, renewed_second, renewed_time
from logpipe.expression.rules import Dialect, RecordRules, TemplateError
from logpipe.expression.template import TemplateTree, context_of, read_key, read_template
from logpipe.expression.text import to_s

_HEADER_LINES: Final = 1
_CONSTANT: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d+(?:\.\d+)?|None|True|False")


def compile_record(
    entries: Sequence[tuple[str, Any]], rules: RecordRules, *, origin: str = "expression"
) -> RecordTemplate:
    """Compile a section's entries: names and values are templates, values may be what JSON gave.

    Raises:
        TemplateError: an entry is no template, or uses what no expression may.
        ExpressionError: a path among the keys to remove is malformed.
    """
    return _Section(entries, rules).finish(origin)


@dataclass(slots=True)
class _Computed:
    """A key or value that is computed: `name` holds it in the loop, `call` is its long form."""

    text: str
    name: str
    call: str
    short: str | None
    lenient: bool
    changes_record: bool
    uses_time: bool
    spends: bool

    @property
    def constant(self) -> bool:
        """Whether the short form is a constant that can stand where the value is needed."""
        return self.short is not None and _CONSTANT.fullmatch(self.short) is not None

    @property
    def result(self) -> str:
        """What gives the value after it was computed."""
        return self.short if self.constant and self.short is not None else self.name


class _Section:
    """Writes the functions of the entries, and the loop around them."""

    def __init__(self, entries: Sequence[tuple[str, Any]], rules: RecordRules) -> None:
        self._rules = rules
        self._v0_12 = rules.reading.dialect is Dialect.V0_12
        self._writer = Writer(Namespace())
        self._writer.depth = 1
        self._writer.namespace.values.update(
            enumerate=enumerate, zip=zip, Exception=Exception, type=type, str=str, int=int, NOT_FAST=NOT_FAST
        )
        self._context = context_of(rules.reading)
        self._bound = BoundValues(self._writer, self._context)
        self._unknown: list[str] = []
        self._pairs = [self._pair(key, value) for key, value in entries]
        self._computed = [part for pair in self._pairs for part in pair]
        self._mutates = any(part.changes_record for part in self._computed)
        self._copies = self._mutates or rules.renew_record or rules.renew_time_key is not None
        self._lines: list[tuple[int, int, str]] = []
        """For each value that may fail, its first and last line in the source, and its text."""

    def finish(self, origin: str) -> RecordTemplate:
        """Write the loop and build it all."""
        self._loop()
        header = "def bind(tag, tag_parts, tag_prefix, tag_suffix, hostname, env, missing):"
        source = "\n".join([header, *self._writer.lines, "    return transform"]) + "\n"
        return RecordTemplate(source, self._unknown, build(source, "bind", self._writer.namespace.values, origin))

    # entries

    def _pair(self, key: str, value: Any) -> tuple[_Computed, _Computed]:
        reading = self._rules.reading
        try:
            key_part = self._part(read_key(key, reading), "key")
            if not key_part.constant:  # `return` can make anything of a text
                key_part.call = f"{self._writer.name(to_s, 'to_s')}({key_part.call})"
        except ExpressionError as problem:
            raise TemplateError(problem, key=key, in_key=True) from None
        try:
            return key_part, self._part(read_template(value, reading), key)
        except ExpressionError as problem:
            raise TemplateError(problem, key=key, in_key=False) from None

    def _part(self, template: TemplateTree, label: str) -> _Computed:
        self._unknown += template.unknown
        stem = self._stem(label)
        short = short_form(self._writer, template.tree, self._context, self._bound.name_of)
        function = f"compute_{stem}"
        before = len(self._writer.lines)
        entry = write_entry(self._writer, function, template.tree, self._context, "record, time, output")
        time, output = "time" if "time" in entry.uses else "None", "output" if entry.changes_record else "None"
        part = _Computed(
            text=template.text,
            name=f"{stem}_value",
            call=f"{function}(record, {time}, {output})",
            short=None if entry.changes_record or short is None else short.text,
            spends=short is not None and short.spends,
            lenient=self._v0_12 or "field" in entry.uses,
            changes_record=entry.changes_record,
            uses_time="time" in entry.uses,
        )
        if part.constant:
            del self._writer.lines[before:]
        return part

    def _stem(self, label: str) -> str:
        base = re.sub(r"\W+", "_", label, flags=re.ASCII).strip("_") or "field"
        base = base if base[0].isalpha() else f"field_{base}"
        name, number = base, 2
        while f"compute_{name}" in self._writer.namespace.values:
            name, number = f"{base}_{number}", number + 1
        self._writer.namespace.values[f"compute_{name}"] = None  # reserved; the source defines it
        return name

    # the loop

    def _loop(self) -> None:
        writer = self._writer
        with_time = any(part.uses_time for part in self._computed)
        writer.emit("def transform(records, times):")
        with writer.indented():
            writer.emit("failures = []")
            item, source = ("(record, time)", "zip(records, times)") if with_time else ("record", "records")
            writer.emit(f"for place, {item} in enumerate({source}):")
            with writer.indented():
                before = len(writer.lines)
                self._record()
                if len(writer.lines) == before:
                    writer.emit("pass")  # nothing is configured
            writer.emit("return failures")

    def _record(self) -> None:
        """Write what happens to one record: everything is computed before anything is changed."""
        writer = self._writer
        may_fail = self._copies or any(not part.lenient and not part.constant for part in self._computed)
        if not may_fail:
            self._compute()
            self._merge()
            return
        writer.emit("try:")
        with writer.indented():
            if self._copies:
                self._copy()
            self._compute()
            if self._copies:
                self._merge()
        writer.emit("except Exception as error:")
        with writer.indented():
            writer.emit(f"failures.append((place, {writer.name(self._explained, 'explained')}(error)))")
            writer.emit("continue")
        if not self._copies:
            self._merge()

    def _copy(self) -> None:
        """Write how the record that goes on begins; what fails leaves the one that came untouched."""
        writer, rules = self._writer, self._rules
        if self._mutates:
            writer.emit(f"record = {writer.name(private_copy, 'private_copy')}(record)")
        if not rules.renew_record:
            writer.emit("output = record.copy()")
            return
        writer.emit("output = {}")
        for key in rules.keep_keys:
            if self._v0_12:
                writer.emit(f"output[{key!r}] = record.get({key!r})")
            else:
                writer.emit(f"if {key!r} in record:")
                writer.emit(f"    output[{key!r}] = record[{key!r}]")

    def _compute(self) -> None:
        writer = self._writer
        if any(part.spends for part in self._computed):
            writer.emit(f"{writer.name(BUDGET, 'budget')}.reset()")
        for part in self._computed:
            first = len(writer.lines) + _HEADER_LINES + 1
            self._compute_one(part)
            self._lines.append((first, len(writer.lines) + _HEADER_LINES, part.text))

    def _compute_one(self, part: _Computed) -> None:
        writer = self._writer
        if part.constant:
            return
        if part.short is None or self._mutates:
            self._in_full(part)
            return
        writer.emit("try:")
        writer.emit(f"    {part.name} = {part.short}")
        writer.emit(f"except {'Exception' if part.lenient else 'NOT_FAST'}:")
        with writer.indented():
            self._in_full(part)

    def _explained(self, error: Exception) -> ExpressionError:
        """Return what went wrong with a record, naming the value that failed by the line that was running."""
        problem = as_ruby_error(error)
        line = error.__traceback__.tb_lineno if error.__traceback__ is not None else 0
        text = next((text for first, last, text in self._lines if first <= line <= last), None)
        return problem if text is None else ExpressionError(f"failed to expand `{text}`: {problem}")

    def _in_full(self, part: _Computed) -> None:
        """Write the long form; by 0.12's rule what fails is nil, is told, and the event goes on."""
        writer = self._writer
        if not part.lenient:
            writer.emit(f"{part.name} = {part.call}")
            return
        writer.emit("try:")
        writer.emit(f"    {part.name} = {part.call}")
        writer.emit("except Exception as error:")
        writer.emit(f"    missing({part.text!r}, {writer.name(as_ruby_error, 'as_ruby_error')}(error))")
        writer.emit(f"    {part.name} = None")

    def _merge(self) -> None:
        """Write the values into the record that goes on."""
        writer = self._writer
        target = "output" if self._copies else "record"
        for key, value in self._pairs:
            writer.emit(f"{target}[{key.result}] = {value.result}")
        steps = (self._remove, self._renew_time) if self._v0_12 else (self._renew_time, self._remove)
        for step in steps:
            step(target)
        if self._copies:
            writer.emit("records[place] = output")

    def _remove(self, target: str) -> None:
        writer = self._writer
        for path in self._rules.remove_keys:
            if self._v0_12 or not path.startswith("$"):
                writer.emit(f"{target}.pop({path!r}, None)")
            else:
                writer.emit(f"{writer.name(RecordAccessor(path).delete, 'delete')}({target})")

    def _renew_time(self, target: str) -> None:
        key = self._rules.renew_time_key
        if key is None:
            return
        writer = self._writer
        convert = writer.name(renewed_second if self._v0_12 else renewed_time, "renewed_time")
        writer.emit(f"if {key!r} in {target}:")
        writer.emit(f"    times[place] = {convert}({target}[{key!r}])")
