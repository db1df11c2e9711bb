"""Generates a loop over the records of a batch for given settings: the computation of values, and error handling.

No decision is made per record that can be made before. Values that depend on the tag only are computed when the
function is bound to a tag, which compiles nothing. `transform` and `sequence` write the use of the values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.accessor import RecordAccessor
from logpipe.expression.compiled import Part, RecordTemplate
from logpipe.expression.compiler.bound import BoundValues, attempt_entry
from logpipe.expression.compiler.context import Context
from logpipe.expression.compiler.entry import Entry, Finish, exported, write_entry
from logpipe.expression.compiler.fast import FAILED, ShortForm, short_form
from logpipe.expression.compiler.fast_operations import NOT_FAST, not_fast
from logpipe.expression.compiler.literals import UNKNOWN
from logpipe.expression.compiler.reads import instance_variables, is_path, metadata_read
from logpipe.expression.compiler.source import Namespace, Writer, build
from logpipe.expression.record_values import private_copy
from logpipe.expression.runtime.failures import BUDGET, as_ruby_error
from logpipe.expression.syntax import nodes
from logpipe.expression.template import TIMES, TemplateTree
from logpipe.raw_text import escape_record, unescape_values

_HEADER_LINES: Final = 1
_CONSTANT: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d+(?:\.\d+)?|None|True|False")


@dataclass(slots=True)
class Computed:
    """A computed key or value: `name` is its variable in the loop, `call` its full form."""

    text: str
    name: str
    call: str
    short: str | None
    entry: Entry
    lenient: bool
    spends: bool
    watched: tuple[str, ...] = ()
    """The only fields of metadata it depends on: while they are the same objects, the value is kept."""

    @property
    def constant(self) -> bool:
        """Whether the short form is a constant that can be used in place of the variable."""
        return self.short is not None and _CONSTANT.fullmatch(self.short) is not None

    @property
    def result(self) -> str:
        """The Python of the value after its computation."""
        return self.short if self.constant and self.short is not None else self.name

    @property
    def changes_record(self) -> bool:
        """Whether its computation may change the record or a value in it."""
        return self.entry.changes_record


class Loop:
    """Writes the functions of the values, and the loop."""

    def __init__(self, context: Context) -> None:
        self.writer = Writer(Namespace())
        self.writer.depth = 1
        self.writer.namespace.values.update(
            enumerate=enumerate, zip=zip, Exception=Exception, type=type, str=str, int=int, NOT_FAST=NOT_FAST
        )
        self.unknown: list[str] = []
        self.undefined: list[str] = []
        self._context = context
        self._bound = BoundValues(self.writer, context)
        self._parts: list[Part] = []
        self._numbers: dict[str, int] = {}
        """The next number for a name that several labels result in."""
        self._lines: list[tuple[int, int, str]] = []
        """The first and last source line, and the text, of each value that may fail."""

    def part(
        self,
        template: TemplateTree,
        label: str,
        *,
        is_lenient: bool = False,
        output: str = "None",
        finish: Finish = exported,
    ) -> Computed:
        """Write the function of a key or value; `label` names it.

        A lenient one that fails is nil and reported; so is one that reads a bare name. `output` is the Python of the
        resulting record, where it is not the one that is read; `finish` converts the value.
        """
        self.unknown += template.unknown
        stem = self._stem(label)
        writer = self.writer
        began = len(writer.lines)
        depends_on_more = self._context.kept is not None and instance_variables(template.tree)
        read = None if depends_on_more or _is_plain(template.tree) else metadata_read(template.tree)
        short = None
        if read != frozenset():
            short = short_form(writer, template.tree, self._context, self._bound.name_of)
        function = f"compute_{stem}"
        before = len(writer.lines)
        entry = write_entry(writer, function, template.tree, self._context, "record, time, output", finish=finish)
        if read == frozenset() and not entry.changes_record:
            short = self._once_per_tag(stem)
        time = "time" if entry.uses & TIMES else "None"
        self.undefined += sorted(use.removeprefix(UNKNOWN) for use in entry.uses if use.startswith(UNKNOWN))
        computed = Computed(
            text=template.text,
            name=f"{stem}_value",
            call=f"{function}(record, {time}, {output if entry.changes_record else 'None'})",
            short=None if entry.changes_record or short is None else short.text,
            entry=entry,
            lenient=is_lenient or "field" in entry.uses,
            spends=short is not None and short.spends,
            watched=tuple(sorted(read)) if read and not entry.changes_record and not is_path(template.tree) else (),
        )
        if computed.constant:
            del writer.lines[before:]
        self._parts.append(Part(label, template.text, _dedented(writer.lines[began:]) or computed.result))
        return computed

    def _once_per_tag(self, stem: str) -> ShortForm:
        """Write the computation of an entry at binding to a tag; if it fails there, it fails for each record."""
        writer = self.writer
        writer.emit(f"{stem}_bound = {writer.name(attempt_entry, 'attempt_entry')}(compute_{stem})")
        failed, escape = writer.name(FAILED, "failed"), writer.name(not_fast, "not_fast")
        return ShortForm(f"({stem}_bound if {stem}_bound is not {failed} else {escape}())", spends=False)

    def _stem(self, label: str) -> str:
        base = re.sub(r"\W+", "_", label, flags=re.ASCII).strip("_") or "field"
        base = base if base[0].isalpha() else f"field_{base}"
        name, number = base, self._numbers.get(base, 2)
        while f"compute_{name}" in self.writer.namespace.values:
            name, number = f"{base}_{number}", number + 1
        self._numbers[base] = number
        self.writer.namespace.values[f"compute_{name}"] = None  # reserved; the source defines it
        return name

    def finish(self, origin: str) -> RecordTemplate:
        """Write the loop and build it all."""
        before = len(self.writer.lines)
        self._loop()
        loop = _dedented(self.writer.lines[before:])
        header = "def bind(tag, tag_parts, tag_prefix, tag_suffix, hostname, env, missing):"
        source = "\n".join([header, *self.writer.lines, "    return transform"]) + "\n"
        bind = build(source, "bind", self.writer.namespace.values, origin)
        return RecordTemplate(source, self.unknown, self.undefined, self._parts, loop, bind)

    def needs_time(self) -> bool:
        """Whether a value reads the event's time."""
        raise NotImplementedError

    def write_record(self) -> None:
        """Write the processing of one record, named `record`, at `place`."""
        raise NotImplementedError

    def watched(self) -> list[Computed]:
        """Return the values that are kept while the metadata they depend on is the same."""
        raise NotImplementedError

    def _loop(self) -> None:
        writer = self.writer
        kept = [name for part in self.watched() for name in [f"{part.name}_kept", *_names_watched(part)]]
        if kept:
            writer.emit(f"{' = '.join(kept)} = None")
        writer.emit("def transform(records, times):")
        with writer.indented():
            if kept:
                writer.emit(f"nonlocal {', '.join(kept)}")
            writer.emit("failures = []")
            item, source = ("(record, time)", "zip(records, times)") if self.needs_time() else ("record", "records")
            writer.emit(f"for place, {item} in enumerate({source}):")
            with writer.indented():
                before = len(writer.lines)
                self.write_record()
                if len(writer.lines) == before:
                    writer.emit("pass")  # nothing is configured
            writer.emit("return failures")

    def write_failure(self, before: str = "") -> None:
        """Write the end of a `try:`: the record's place and the error are kept, and the loop continues.

        `before` is written before that.
        """
        writer = self.writer
        writer.emit("except Exception as error:")
        with writer.indented():
            for line in before.splitlines():
                writer.emit(line)
            writer.emit(f"failures.append((place, {writer.name(self._explained, 'explained')}(error)))")
            writer.emit("continue")

    def write_private_copy(self) -> None:
        """Write a deep copy of the record, with texts that are not UTF-8 escaped."""
        writer = self.writer
        writer.emit(f"worked_on = {writer.name(escape_record, 'escape_record')}(record)")
        copy = writer.name(private_copy, "private_copy")
        writer.emit(f"record = {copy}(record) if worked_on is None else {copy}(worked_on)")

    def restored(self, name: str) -> str:
        """Return the Python of the resulting record after `write_private_copy`."""
        restore = self.writer.name(unescape_values, "unescape_values")
        return f"{name} if worked_on is None else {restore}({name})"

    def write_reset(self, parts: list[Computed]) -> None:
        """Write the reset of the budget, where short forms take steps of it."""
        if any(part.spends for part in parts):
            self.writer.emit(f"{self.writer.name(BUDGET, 'budget')}.reset()")

    def write_value(self, part: Computed, *, short: bool = True) -> None:
        """Write the computation of a value, first by its short form where there is one."""
        writer = self.writer
        if part.constant:
            return
        first = len(writer.lines) + _HEADER_LINES + 1
        keep = ""
        if part.watched and part in self.watched():
            keep = self._write_kept(part)
            with writer.indented():
                self._write_computed(part, keep, short=short)
        else:
            self._write_computed(part, "", short=short)
        self._lines.append((first, len(writer.lines) + _HEADER_LINES, part.text))

    def _write_kept(self, part: Computed) -> str:
        """Write the use of the kept value, and an `else:`; return the code that keeps a new one."""
        writer = self.writer
        now = [f"{name}_now" for name in part.watched]
        for name, variable in zip(part.watched, now, strict=True):
            writer.emit(f"{variable} = record.get({name!r})")
        same = (f"{new} is {old} is not None" for new, old in zip(now, _names_watched(part), strict=True))
        writer.emit(f"if {' and '.join(same)}:")
        writer.emit(f"    {part.name} = {part.name}_kept")
        writer.emit("else:")
        return f"{', '.join([*_names_watched(part), f'{part.name}_kept'])} = {', '.join([*now, part.name])}"

    def _write_computed(self, part: Computed, keep: str, *, short: bool) -> None:
        writer = self.writer
        if part.short is None or not short:
            self._in_full(part, keep)
            return
        writer.emit("try:")
        with writer.indented():
            writer.emit(f"{part.name} = {part.short}")
            if keep:
                writer.emit(keep)
        writer.emit(f"except {'Exception' if part.lenient else 'NOT_FAST'}:")
        with writer.indented():
            self._in_full(part, keep)

    def _in_full(self, part: Computed, keep: str) -> None:
        """Write the full form; by 0.12's rule a failure gives nil and is reported, and the event goes on."""
        writer = self.writer
        if not part.lenient:
            writer.emit(f"{part.name} = {part.call}")
            if keep:
                writer.emit(keep)
            return
        writer.emit("try:")
        writer.emit(f"    {part.name} = {part.call}")
        if keep:
            writer.emit(f"    {keep}")
        writer.emit("except Exception as error:")
        writer.emit(f"    missing({part.text!r}, {writer.name(as_ruby_error, 'as_ruby_error')}(error))")
        writer.emit(f"    {part.name} = None")

    def _explained(self, error: Exception) -> ExpressionError:
        """Return the error of a record with the text of the value that failed, which is found by the source line."""
        problem = as_ruby_error(error)
        line = error.__traceback__.tb_lineno if error.__traceback__ is not None else 0
        text = next((text for first, last, text in self._lines if first <= line <= last), None)
        return problem if text is None else ExpressionError(f"failed to expand `{text}`: {problem}")

    def write_removal(self, target: str, path: str) -> None:
        """Write the removal of a field."""
        if path.startswith("$"):
            self.writer.emit(f"{self.writer.name(RecordAccessor(path).delete, 'delete')}({target})")
        else:
            self.write_plain_removal(target, path)

    def write_plain_removal(self, target: str, key: str) -> None:
        """Write the removal of a top-level field."""
        self.writer.emit(f"{target}.pop({key!r}, None)")


def _names_watched(part: Computed) -> list[str]:
    return [f"{part.name}_{name}" for name in part.watched]


def _is_plain(tree: nodes.Node) -> bool:
    """Return whether a tree is a constant or a word, for which precomputing gains nothing."""
    match tree:
        case nodes.Literal() | nodes.Name():
            return True
        case nodes.Str():
            return tree.constant is not None or all(isinstance(part, nodes.Name) for part in tree.parts)
    return False


def _dedented(lines: list[str]) -> str:
    return "\n".join(line.removeprefix("    ") for line in lines)
