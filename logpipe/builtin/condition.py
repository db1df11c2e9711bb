"""The condition of grep and rewrite_tag_filter: a field and a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator

from logpipe import InvalidSetting, Options, param
from logpipe.ruby import ExpressionError, RecordAccessor


class Condition(Options):
    """A field and the pattern it must match."""

    key: str = param("The field: a name, `$.a.b` or `$['a']['b.c'][0]`.")
    pattern: re.Pattern[str] = param("Ruby regular expression to search the field's text for.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is wrong with the path."""
        try:
            RecordAccessor(self.key)
        except ExpressionError as problem:
            yield InvalidSetting(str(problem), param="key")
