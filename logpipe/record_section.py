"""The common part of stages with a `<record>` section: its entries, errors with their places, and the loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache

from logpipe.config.declare import Explained, InvalidSetting
from logpipe.config.diagnostic import Position
from logpipe.config.element import Element
from logpipe.errors import ExpressionError
from logpipe.event import EventBatch
from logpipe.expression import RecordTemplate, TemplateError, Transform
from logpipe.plugin import Host

_MOST_TAGS = 4096
"""The number of tags whose bound function is cached."""


def entries_of(sections: list[Element]) -> dict[str, str | None]:
    """Return the fields to set: all sections in order; a repeated name keeps its first place and its last value."""
    found: dict[str, str | None] = {}
    for section in sections:
        for name, entry in section.params.items():
            # compat: `use_default` is a symbol in fluentd's elements, and fields have no default
            found[name] = entry.value if entry.value is None or isinstance(entry.value, str) else "default"
    return found


def warn_of_defaults(sections: list[Element], host: Host) -> None:
    """Warn of fields set to `use_default`, which have no default."""
    for section in sections:
        for name, entry in section.params.items():
            if entry.value is not None and not isinstance(entry.value, str):
                host.log.warning('<record> %s: fields have no default: use_default gives the text "default"', name)


def invalid_entry(problem: ExpressionError, sections: list[Element], *, param: str) -> InvalidSetting:
    """Return the error of an entry with its place; `param` is the setting of other errors."""
    hint = f": {problem.hint}" if problem.hint else ""
    if not isinstance(problem, TemplateError):
        return InvalidSetting(f"{problem}{hint}", param=param)
    (entry,) = [section.params[problem.key] for section in sections if problem.key in section.params][-1:]
    offset, start = problem.offset or 0, entry.position
    place = entry.place(offset)
    if problem.in_key:
        place = Position(start.file, start.line, start.column + offset) if start.line else start
    return InvalidSetting(f"<record> {problem.key}: {problem}{hint}", position=place)


def invalid_entries(
    compile_one: Callable[[str], object], sections: list[Element], *, param: str
) -> Iterator[InvalidSetting]:
    """Yield an error for every entry that `compile_one` refuses, or a single one for `param`."""
    for name in entries_of(sections):
        try:
            compile_one(name)
        except TemplateError as problem:
            yield invalid_entry(problem, sections, param=param)
        except ExpressionError as problem:
            yield invalid_entry(problem, sections, param=param)
            return


def explained(template: RecordTemplate, sections: list[Element]) -> Iterator[Explained]:
    """Yield a section's expressions and the loop over the records, for `logpipe explain`."""
    for part in template.parts:
        entry = next((section.params[part.label] for section in sections if part.label in section.params), None)
        if entry is not None:
            yield Explained(entry.value_position, f"<record> {part.label}", part.text, part.source)
    if sections:
        yield Explained(sections[0].position, "<record>", "", template.loop)


class RecordLoop:
    """A compiled section: bound once for each tag, run once for each batch."""

    def __init__(self, template: RecordTemplate, host: Host) -> None:
        self._host = host
        env = dict(os.environ)

        def bind(tag: str) -> Transform:
            return template.bind(tag, hostname=host.hostname, env=env, missing=self._missing)

        self._bound = lru_cache(_MOST_TAGS)(bind)
        self._misses: dict[str, int] = {}
        self._expansions_failed = host.counter("expansions_failed", "Values that became null because they failed.")

    def run(self, batch: EventBatch) -> EventBatch:
        """Return the batch with its records changed, without those whose expressions failed."""
        failures = self._bound(batch.tag)(batch.records, batch.times)
        if not failures:
            return batch
        mask = [True] * len(batch)
        for place, error in failures:
            mask[place] = False
            self._host.emit_error(batch.tag, batch.times[place], batch.records[place], error, receipt=batch.receipt)
        return batch.keep(mask, errors=len(failures))

    def _missing(self, text: str, error: ExpressionError) -> None:
        """Log a value that became null by 0.12's rule: the first time, the tenth, the hundredth …."""
        count = self._misses[text] = self._misses.get(text, 0) + 1
        self._expansions_failed.add(1)
        if str(count).strip("0") == "1":
            self._host.log.warning(
                "failed to expand `%s`: %s; the value is null and the event goes on (%d so far)", text, error, count
            )
