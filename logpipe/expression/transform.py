"""The `<record>` section of record_transformer as one generated function over a batch of records.

Every value is computed from the original record, then all are written to the resulting one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logpipe.errors import ExpressionError
from logpipe.expression.compiled import RecordTemplate
from logpipe.expression.compiler.entry import exported, exported_but_time
from logpipe.expression.loop import Computed, Loop
from logpipe.expression.record_values import renewed_second, renewed_time
from logpipe.expression.rules import Dialect, RecordRules, TemplateError
from logpipe.expression.runtime.text import export, to_s
from logpipe.expression.template import context_of, read_key, read_template
from logpipe.raw_text import readable


def compile_record(
    entries: Sequence[tuple[str, Any]], rules: RecordRules, *, origin: str = "expression"
) -> RecordTemplate:
    """Compile a section's entries: names and values are templates, values may come from JSON.

    Raises:
        TemplateError: an entry is not a template, or uses something that expressions may not.
        ExpressionError: a path among the keys to remove is malformed.
    """
    return _Section(entries, rules).finish(origin)


def _name_of(value: Any) -> str:
    """Return the name of a field, which is always text."""
    return str(readable(to_s(value)))


class _Section(Loop):
    """Writes the loop of a section."""

    def __init__(self, entries: Sequence[tuple[str, Any]], rules: RecordRules) -> None:
        super().__init__(context_of(rules.reading))
        self._rules = rules
        self._v0_12 = rules.reading.dialect is Dialect.V0_12
        self._pairs = [self._pair(key, value) for key, value in entries]
        self._computed = [part for pair in self._pairs for part in pair]
        self._mutates = any(part.changes_record for part in self._computed)
        self._copies = self._mutates or rules.renew_record or rules.renew_time_key is not None

    def _pair(self, key: str, value: Any) -> tuple[Computed, Computed]:
        reading = self._rules.reading
        try:
            key_part = self.part(read_key(key, reading), "key", is_lenient=self._v0_12, output="output")
            if not key_part.constant:  # `return` may give a value of any type
                as_text = self.writer.name(_name_of, "to_s")
                key_part.call = f"{as_text}({key_part.call})"
                if key_part.short is not None and "jump" in key_part.entry.uses:
                    key_part.short = f"{as_text}({key_part.short})"
        except ExpressionError as problem:
            raise TemplateError(problem, key=key, in_key=True) from None
        try:
            template = read_template(value, reading)
            keeps_time = key == self._rules.renew_time_key and reading.enable_ruby
            finish = exported_but_time if keeps_time else exported
            return key_part, self.part(template, key, is_lenient=self._v0_12, output="output", finish=finish)
        except ExpressionError as problem:
            raise TemplateError(problem, key=key, in_key=False) from None

    def needs_time(self) -> bool:
        """Whether a value reads the event's time."""
        return any("time" in part.entry.uses for part in self._computed)

    def watched(self) -> list[Computed]:
        """Return the values that are kept; none where the record is copied first, and with it all metadata."""
        return [] if self._mutates else [part for part in self._computed if part.watched]

    def write_record(self) -> None:
        """Write the processing of one record: all values are computed before any is written."""
        writer = self.writer
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
        self.write_failure()
        if not self._copies:
            self._merge()

    def _copy(self) -> None:
        """Write the initial content of the resulting record; after a failure the original one is unchanged."""
        writer, rules = self.writer, self._rules
        if self._mutates:
            self.write_private_copy()
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
        self.write_reset(self._computed)
        for part in self._computed:
            self.write_value(part, short=not self._mutates)

    def _merge(self) -> None:
        """Write the values to the resulting record."""
        writer = self.writer
        target = "output" if self._copies else "record"
        for key, value in self._pairs:
            writer.emit(f"{target}[{key.result}] = {value.result}")
        steps = (self._remove, self._renew_time) if self._v0_12 else (self._renew_time, self._remove)
        for step in steps:
            step(target)
        if self._copies:
            output = self.restored("output") if self._mutates else "output"
            writer.emit(f"records[place] = {output}")

    def _remove(self, target: str) -> None:
        remove = self.write_plain_removal if self._v0_12 else self.write_removal
        for path in self._rules.remove_keys:
            remove(target, path)

    def _renew_time(self, target: str) -> None:
        key = self._rules.renew_time_key
        if key is None:
            return
        writer = self.writer
        convert = writer.name(renewed_second if self._v0_12 else renewed_time, "renewed_time")
        writer.emit(f"if {key!r} in {target}:")
        writer.emit(f"    times[place] = {convert}({target}[{key!r}])")
        if any(part.text == key for part, _ in self._pairs):
            writer.emit(f"    {target}[{key!r}] = {writer.name(export, 'export')}({target}[{key!r}])")
