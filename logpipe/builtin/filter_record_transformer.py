"""Adds, changes and removes fields. Settings and rules: fluentd's plugin/filter_record_transformer.rb.

The `<record>` section is compiled to one function over a batch; this file reads the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from logpipe import EventBatch, Filter, FilterHost, InvalidSetting, Options, param, raw_section
from logpipe.ruby import (
    Dialect,
    ExpressionError,
    Reading,
    RecordLoop,
    RecordRules,
    compile_record,
    entries_of,
    explained,
    invalid_entries,
    invalid_entry,
    warn_of_defaults,
)
from logpipe.tree import Element, Explained


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
        "unless `auto_typecast` is set, times have whole seconds, and `remove_keys` comes before `renew_time_key`.",
        default="1",
    )
    names_are_fields: bool | None = param(
        'Whether a bare name such as `${kubernetes["pod_name"]}` reads a field, and is null with a warning where the '
        "record does not have it; else every event fails that it is evaluated for, as with today's fluentd. Yes with "
        "`compat 0.12`, and in a file that has 0.12's `type` in the place of `@type`.",
        default=None,
    )
    record: list[Element] = raw_section("Fields to set: names and values may hold `${…}`.", name="record")

    @property
    def rules(self) -> RecordRules:
        """The rules for the generated loop."""
        dialect = Dialect(self.compat)
        by_name = dialect is Dialect.V0_12 if self.names_are_fields is None else self.names_are_fields
        typecast = dialect is Dialect.TODAY if self.auto_typecast is None else self.auto_typecast
        return RecordRules(
            reading=Reading(self.enable_ruby, typecast, dialect, names_are_fields=by_name),
            renew_record=self.renew_record,
            keep_keys=tuple(self.keep_keys),
            remove_keys=tuple(self.remove_keys),
            renew_time_key=self.renew_time_key,
        )

    @property
    def entries(self) -> list[tuple[str, Any]]:
        """The fields to set."""
        natives = {name: entry.native for section in self.record for name, entry in section.params.items()}
        return [
            (name, _value(text) if natives[name] is None else natives[name])
            for name, text in entries_of(self.record).items()
        ]

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield every expression that does not compile, each with its place."""
        if self.keep_keys and not self.renew_record:
            yield InvalidSetting("keep_keys needs renew_record true: add it, or remove keep_keys", param="keep_keys")
        values = dict(self.entries)
        yield from invalid_entries(
            lambda name: compile_record([(name, values[name])], self.rules), self.record, param="remove_keys"
        )

    def explained(self) -> Iterator[Explained]:
        """Yield the expressions with the code that is generated for them."""
        return explained(compile_record(self.entries, self.rules), self.record)


def _value(text: str | None) -> Any:
    """Return the value of a `<record>` line: JSON where it begins like JSON, else the text."""
    if text is not None and text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError:  # compat: filter_record_transformer.rb takes such a value as text
            return text
    return text


class RecordTransformer(Filter[RecordTransformerOptions], type="record_transformer"):
    """Adds, changes and removes fields of records; values may be Ruby expressions."""

    def __init__(self, options: RecordTransformerOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        try:
            template = compile_record(options.entries, options.rules, origin=host.plugin_id)
        except ExpressionError as problem:
            raise invalid_entry(problem, options.record, param="remove_keys") from None
        warn_of_defaults(options.record, host)
        for placeholder in template.unknown:
            hint = "" if options.enable_ruby else "; set enable_ruby true if it is an expression"
            host.log.warning("unknown placeholder %s is replaced by nothing%s", placeholder, hint)
        for word in template.undefined:
            host.log.warning(
                'unknown name %s: every event that comes to it fails, as with fluentd 1: write record["%s"] for the '
                "field, or set compat 0.12",
                word,
                word,
            )
        self.source = template.source
        """The source of the generated function."""
        self._loop = RecordLoop(template, host)

    def process(self, batch: EventBatch) -> EventBatch:
        """Return the batch with its records changed, without those whose expressions failed."""
        return self._loop.run(batch)
