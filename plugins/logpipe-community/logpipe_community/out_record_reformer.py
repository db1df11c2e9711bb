"""Changes records and emits them under a new tag. Settings and rules: fluent-plugin-record-reformer 0.9.1."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, ClassVar, Final

from logpipe import (
    EventBatch,
    InvalidSetting,
    LogpipeError,
    Options,
    Output,
    OutputHost,
    RetryingSender,
    param,
    raw_section,
)
from logpipe.ruby import (
    Dialect,
    ExpressionError,
    Reading,
    RecordLoop,
    RecordRules,
    Template,
    TemplateError,
    compile_record,
    compile_template,
    entries_of,
    explained,
    invalid_entries,
    invalid_entry,
    to_s,
    warn_of_defaults,
)
from logpipe.tree import Element, Explained, Way, problem_of_tag

_MOST_TAGS: Final = 4096
"""The number of tags whose bound template is cached."""
_SETTINGS: Final = "tag|output_tag|remove_keys|renew_record|keep_keys|enable_ruby|renew_time_key|auto_typecast"
_ENGINES: Final = "@id|@type|@label|@log_level|type|id|log_level"
_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}|__[A-Z_]+__")


class RecordReformerOptions(Options):
    """Settings of `<match> @type record_reformer`; any other parameter is a field to set, as in `<record>`."""

    _extra: ClassVar = re.compile(rf"(?!(?:{_SETTINGS}|{_ENGINES})$).+")

    tag: str | None = param("The new tag; may hold `${…}` as the fields do.", default=None, alias="output_tag")
    remove_keys: list[str] = param("Fields to remove last.", default="")
    keep_keys: list[str] = param("Fields to keep when `renew_record` is set.", default="")
    renew_record: bool = param("Whether to begin with an empty record.", default=False)
    renew_time_key: str | None = param("Field whose number, seconds since the epoch, becomes the time.", default=None)
    enable_ruby: bool = param("Whether `${…}` holds a Ruby expression, rather than one placeholder.", default=True)
    auto_typecast: bool = param(
        "Whether a value that is one `${…}` keeps its type, rather than becoming text.", default=False
    )
    record: list[Element] = raw_section("Fields to set: names and values may hold `${…}`.", name="record")

    @property
    def reading(self) -> Reading:
        """How a template is read: as in 0.12's record_transformer, which has the same origin."""
        return Reading(self.enable_ruby, self.auto_typecast, Dialect.V0_12, names_are_fields=True)

    @property
    def rules(self) -> RecordRules:
        """The rules for the generated loop."""
        return RecordRules(
            reading=self.reading,
            renew_record=self.renew_record,
            keep_keys=tuple(self.keep_keys),
            remove_keys=tuple(self.remove_keys),
            renew_time_key=self.renew_time_key,
        )

    @property
    def entries(self) -> list[tuple[str, Any]]:
        """The fields to set: those that stand flat, then those in `<record>`."""
        found = dict(self.extra) | {name: text or "" for name, text in entries_of(self.record).items()}
        return [(name, _value(text)) for name, text in found.items()]

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a tag that is missing, and every expression that does not compile, each with its place."""
        if not self.tag:
            yield "`tag` must be specified: write the tag that its events get"
            return
        if self.keep_keys and not self.renew_record:
            yield InvalidSetting("`renew_record` must be true to use `keep_keys`: add it", param="keep_keys")
        try:
            self.new_tag()
        except ExpressionError as problem:
            yield _invalid(problem, "tag")
        values = dict(self.entries)
        for name in self.extra:
            try:
                compile_record([(name, values[name])], self.rules)
            except TemplateError as problem:
                yield _invalid(problem, name)
            except ExpressionError as problem:
                yield _invalid(problem, "remove_keys")
                return
        yield from invalid_entries(
            lambda name: compile_record([(name, values[name])], self.rules), self.record, param="remove_keys"
        )

    def new_tag(self, origin: str = "expression") -> Template:
        """Return the compiled tag.

        Raises:
            ExpressionError: it is not a template.
        """
        return compile_template(self.tag or "", self.reading, origin=origin)

    def explained(self) -> Iterator[Explained]:
        """Yield the expressions with the code that is generated for them."""
        return explained(compile_record(self.entries, self.rules), self.record)


def _invalid(problem: ExpressionError, name: str) -> InvalidSetting:
    hint = f": {problem.hint}" if problem.hint else ""
    in_key = isinstance(problem, TemplateError) and problem.in_key
    return InvalidSetting(f"{name}: {problem}{hint}", param=name, offset=0 if in_key else problem.offset or 0)


def _value(text: str) -> Any:
    if text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError:  # as in the original
            return text
    return text


class RecordReformer(Output[RecordReformerOptions], type="record_reformer"):
    """Emits events again under another tag, with fields added, changed and removed.

    A field whose expression fails is null, and its event goes on; an event for which the tag fails, or is none, goes to
    `@ERROR`, where the original leaves it out.
    """

    passes_to = "route"
    keeps_tag = False

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return the one way, as far as its tag is written."""
        template = element.get("tag") or element.get("output_tag") or ""

        def retag(tag: str) -> str:
            return _PLACEHOLDER.sub(lambda found: tag if found[0] in {"${tag}", "__TAG__"} else "any", template)

        return (Way(retag=retag),)

    def __init__(self, options: RecordReformerOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        try:
            tag, template = options.new_tag(host.plugin_id), compile_record(options.entries, options.rules)
        except TemplateError as problem:
            in_section = any(problem.key in section.params for section in options.record)
            raise (
                invalid_entry(problem, options.record, param="remove_keys")
                if in_section
                else _invalid(problem, problem.key)
            ) from None
        except ExpressionError as problem:
            raise _invalid(problem, "tag") from None
        warn_of_defaults(options.record, host)
        for placeholder in [*tag.unknown, *template.unknown]:
            host.log.warning("unknown placeholder `%s` found: it is replaced by nothing", placeholder)
        self._loop = RecordLoop(template, host)
        env = dict(os.environ)
        self._tag = lru_cache(_MOST_TAGS)(lambda before: tag.bind(before, hostname=host.hostname, env=env))
        self._later = RetryingSender(host.emit, host, "an output behind it")

    async def process(self, batch: EventBatch) -> None:
        """Emit the events of a batch, changed, under their new tags.

        Raises:
            Exception: a later output's, if no other has events of the batch, or if its source does not send it again.
        """
        parts, taken = self._by_tag(batch)
        for tag, numbers in parts.items():
            part = self._loop.run(batch.pick(numbers))
            part.tag = tag
            await (self._later.send(part) if taken else self.host.emit(part))
            taken = True

    def _by_tag(self, batch: EventBatch) -> tuple[dict[str, list[int]], bool]:
        """Return the numbers of the events of each new tag, and whether others went to `@ERROR`."""
        find, parts, is_any_bad = self._tag(batch.tag), dict[str, list[int]](), False
        for number, (time, record) in enumerate(zip(batch.times, batch.records, strict=True)):
            problem: LogpipeError | None
            tag = ""
            try:
                tag = to_s(find(record, time))
                problem = problem_of_tag(tag)
            except ExpressionError as failed:
                problem = failed
            if problem is None:
                parts.setdefault(tag, []).append(number)
            else:
                is_any_bad = True
                self.host.emit_error(batch.tag, time, record, problem, receipt=batch.receipt)
        return parts, is_any_bad
