"""A filter that takes note of what passes, put between all others."""

from __future__ import annotations

import re
from collections import Counter
from typing import ClassVar, Final

from logpipe import EventBatch, Filter, Host, Options, param

_MARK: Final = re.compile(r"zq\d{6}qz")


def marks_in(text: str) -> list[str]:
    """Return the marks in a text, each once, in order: several where a record was made of several."""
    return list(dict.fromkeys(_MARK.findall(text)))


class TapOptions(Options):
    """Settings of a tap."""

    name: str = param("Its number.")
    behind: str = param("The filter before it.")


class Tap(Filter[TapOptions], type="fuzz_tap"):
    """Takes note of the marks of the events that pass."""

    fields: ClassVar[dict[tuple[str, str], tuple[object, object]]] = {}
    """By tap and mark, the fields `k` and `a` as the tap saw them last."""
    seen: ClassVar[list[tuple[str, str, Counter[str]]]] = []

    def __init__(self, options: TapOptions, host: Host) -> None:
        super().__init__(options, host)
        self._marks: Counter[str] = Counter()
        self.seen.append((options.name, options.behind, self._marks))

    def process(self, batch: EventBatch) -> EventBatch:
        """Note and pass on; a parser may have put the mark elsewhere than in `id`, which no filter here removes."""
        for record in batch.records:
            marks = marks_in(repr(record))
            self._marks.update(marks)
            self.fields.update(((self.options.name, mark), (record.get("k"), record.get("a"))) for mark in marks)
            if marks and "id" not in record:
                record["id"] = " ".join(marks)
        return batch
