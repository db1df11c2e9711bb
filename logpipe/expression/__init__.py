"""Ruby expressions: parsed, checked and compiled to Python functions; independent of configuration files.

The compiler is imported on first use: most processes that import logpipe compile nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logpipe.expression.accessor import RecordAccessor
from logpipe.expression.compiled import RecordTemplate, Template, Transform
from logpipe.expression.regexp.pattern import Pattern, compile_regexp, group_names, split_regexp
from logpipe.expression.rules import Dialect, Reading, RecordRules, Replacement, SequenceRules, TemplateError

__all__ = [
    "Dialect",
    "Pattern",
    "Reading",
    "RecordAccessor",
    "RecordRules",
    "RecordTemplate",
    "Replacement",
    "SequenceRules",
    "Template",
    "TemplateError",
    "Transform",
    "compile_record",
    "compile_regexp",
    "compile_sequence",
    "compile_template",
    "group_names",
    "split_regexp",
]


def compile_record(
    entries: Sequence[tuple[str, Any]], rules: RecordRules, *, origin: str = "expression"
) -> RecordTemplate:
    """Compile the entries of a `<record>` section to one function over batches; see `transform.compile_record`.

    Raises:
        TemplateError: an entry is not a template, or uses something that expressions may not.
        ExpressionError: a path among the keys to remove is malformed.
    """
    from logpipe.expression import transform  # noqa: PLC0415 - the compiler takes a while to load

    return transform.compile_record(entries, rules, origin=origin)


def compile_sequence(
    entries: Sequence[tuple[str, str | None]], rules: SequenceRules, *, origin: str = "expression"
) -> RecordTemplate:
    """Compile entries that depend on one another to one function over batches; see `sequence.compile_sequence`.

    Raises:
        TemplateError: an entry is not a template, or uses something that expressions may not.
        ExpressionError: `prepare` does not run, or a path among the keys to remove is malformed.
    """
    from logpipe.expression import sequence  # noqa: PLC0415 - the compiler takes a while to load

    return sequence.compile_sequence(entries, rules, origin=origin)


def compile_template(text: str, reading: Reading, *, origin: str = "expression") -> Template:
    """Compile one template, such as `a-${record["b"]}`; see `single.compile_template`.

    Raises:
        ExpressionError: the text is not a template, or uses something that expressions may not; `offset` counts in it.
    """
    from logpipe.expression import single  # noqa: PLC0415 - the compiler takes a while to load

    return single.compile_template(text, reading, origin=origin)
