"""Adds, changes and removes fields. Settings and rules: fluentd's plugin/filter_record_transformer.rb.

The `<record>` section becomes one generated function over a batch; this file reads the settings, binds the function to
each tag, and tells what went wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Final, Literal

from logpipe import (
    Dialect,
    Element,
    EventBatch,
    ExpressionError,
    Filter,
    Host,
    InvalidSetting,
    Options,
    Position,
    Reading,
    RecordRules,
    TemplateError,
    Transform,
    compile_record,
    param,
    raw_section,
)

_MOST_TAGS: Final = 4096
"""How many tags keep their bound function; beyond that all are bound again when they come."""


class RecordTransformerOptions(Options):
    """Settings of `<filter> @type record_transformer`."""

    enable_ruby: bool = param("Whether `${…}` holds a Ruby expression, rather than one placeholder.", default=False)
    auto_typecast: bool | None = param(
        "Whether a value that is one `${…}` keeps its type, rather than becoming text. Yes; in 0.12, no.", default=None
    )
    renew_record: bool = param("Whether to begin with an empty record.", default=False)
    keep_keys: list[str] = param("Fields to keep when `renew_record` is set.", default="")
    remove_keys: list[str] = param("Fields to remove last: names, `$.a.b` or `$['a']['b.c']`.", default="")
    renew_time_key: str | None = param("Field whose number, seconds since the epoch, becomes the time.", default=None)
    compat: Literal["1", "0.12"] = param(
        "Whose rules hold. With 0.12 every expression that fails is null and its event goes on, values are text "
        "unless `auto_typecast` is set, times have whole seconds, and `remove_keys` comes before `renew_time_key`. "
        "A bare name such as `${kubernetes}` reads a field, and follows 0.12's rule about failures, either way.",
        default="1",
    )
    record: list[Element] = raw_section("Fields to set: names and values may hold `${…}`.", name="record")

    @property
    def rules(self) -> RecordRules:
        """What shapes the generated loop."""
        dialect = Dialect(self.compat)
        typecast = dialect is Dialect.TODAY if self.auto_typecast is None else self.auto_typecast
        return RecordRules(
            reading=Reading(self.enable_ruby, typecast, dialect),
            renew_record=self.renew_record,
            keep_keys=tuple(self.keep_keys),
            remove_keys=tuple(self.remove_keys),
            renew_time_key=self.renew_time_key,
        )

    @property
    def entries(self) -> list[tuple[str, Any]]:
        """The fields to set: all sections in order, the last value of a name in the first one's place."""
        found: dict[str, Any] = {}
        for section in self.record:
            for name, entry in section.params.items():
                if entry.value is None or isinstance(entry.value, str):
                    found[name] = _value(entry.value)
        return list(found.items())

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield every expression that does not compile, each with its place."""
        if self.keep_keys and not self.renew_record:
            yield InvalidSetting("keep_keys needs renew_record true: add it, or remove keep_keys", param="keep_keys")
        for entry in self.entries:
            try:
                compile_record([entry], self.rules)
            except TemplateError as problem:
                yield InvalidSetting(_sentence(problem), position=self._place(problem))
            except ExpressionError as problem:
                yield InvalidSetting(_sentence(problem), param="remove_keys")
                return

    def _place(self, problem: TemplateError) -> Position:
        """Return where in the file a template's mistake stands, for a value that was written without quotes."""
        (entry,) = [section.params[problem.key] for section in self.record if problem.key in section.params][-1:]
        start = entry.position if problem.in_key else entry.value_position
        return Position(start.file, start.line, start.column + (problem.offset or 0)) if start.line else start


def _value(text: str | None) -> Any:
    """Return what a `<record>` line's value means: JSON where it begins like it, else the text."""
    if text is not None and text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError:  # compat: filter_record_transformer.rb takes such a value as text
            return text
    return text


def _sentence(problem: ExpressionError) -> str:
    hint = f": {problem.hint}" if problem.hint else ""
    name = f"<record> {problem.key}: " if isinstance(problem, TemplateError) else ""
    return f"{name}{problem}{hint}"


class RecordTransformer(Filter[RecordTransformerOptions], type="record_transformer"):
    """Adds, changes and removes fields of records; values may be Ruby expressions."""

    def __init__(self, options: RecordTransformerOptions, host: Host) -> None:
        super().__init__(options, host)
        try:
            self._template = compile_record(options.entries, options.rules, origin=host.plugin_id)
        except ExpressionError as problem:
            raise InvalidSetting(_sentence(problem)) from None
        for placeholder in self._template.unknown:
            hint = "" if options.enable_ruby else "; set enable_ruby true if it is an expression"
            host.log.warning("unknown placeholder %s is replaced by nothing%s", placeholder, hint)
        self._env = dict(os.environ)
        self._bound: dict[str, Transform] = {}
        self._misses: dict[str, int] = {}
        self._expansions_failed = host.counter("expansions_failed", "Values that became null because they failed.")

    @property
    def source(self) -> str:
        """The generated function, for people to read."""
        return self._template.source

    def process(self, batch: EventBatch) -> EventBatch:
        """Return the batch with its records changed, without those whose expressions failed."""
        transform = self._bound.get(batch.tag) or self._bind(batch.tag)
        failures = transform(batch.records, batch.times)
        if not failures:
            return batch
        mask = [True] * len(batch)
        for place, error in failures:
            mask[place] = False
            self.host.emit_error(batch.tag, batch.times[place], batch.records[place], error, receipt=batch.receipt)
        return batch.keep(mask)

    def _bind(self, tag: str) -> Transform:
        if len(self._bound) >= _MOST_TAGS:
            self._bound.clear()
        bound = self._template.bind(tag, hostname=self.host.hostname, env=self._env, missing=self._missing)
        self._bound[tag] = bound
        return bound

    def _missing(self, text: str, error: ExpressionError) -> None:
        """Tell of a value that became null by 0.12's rule: the first time, the tenth, the hundredth …."""
        count = self._misses[text] = self._misses.get(text, 0) + 1
        self._expansions_failed.add(1)
        if str(count).strip("0") == "1":
            self.host.log.warning(
                "failed to expand `%s`: %s; the value is null and the event goes on (%d so far)", text, error, count
            )
