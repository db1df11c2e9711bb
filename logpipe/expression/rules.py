"""The settings of generated code: how templates are read, and how records are changed."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from logpipe.errors import ExpressionError


class Dialect(enum.Enum):
    """Which fluentd's rules apply: today's, or those of 2016 (0.12)."""

    TODAY = "1"
    V0_12 = "0.12"


class TemplateError(ExpressionError):
    """An entry does not compile; `key` is its name, and `offset` counts in the key or in the value as `in_key` says."""

    def __init__(self, problem: ExpressionError, *, key: str, in_key: bool) -> None:
        super().__init__(str(problem), offset=problem.offset, hint=problem.hint)
        self.key = key
        self.in_key = in_key


@dataclass(frozen=True, slots=True)
class Reading:
    """How a template's text is read.

    Attributes:
        enable_ruby: Whether `${…}` is Ruby; else it is one of a few placeholders.
        auto_typecast: Whether a text that is one placeholder keeps the value's type.
        dialect: Which fluentd's rules apply.
        names_are_fields: Whether a bare word that is not a helper reads a field, as in 0.12; else it fails for each
            event, as in today's fluentd.
    """

    enable_ruby: bool = True
    auto_typecast: bool = True
    dialect: Dialect = Dialect.TODAY
    names_are_fields: bool = False


@dataclass(frozen=True, slots=True)
class RecordRules:
    """The settings of record_transformer that shape the loop over the records."""

    reading: Reading = field(default_factory=Reading)
    renew_record: bool = False
    keep_keys: tuple[str, ...] = ()
    remove_keys: tuple[str, ...] = ()
    renew_time_key: str | None = None


@dataclass(frozen=True, slots=True)
class Replacement:
    r"""`<replace>`: matches of `pattern`, in Ruby's syntax, become `replace`, which may contain `\\1`."""

    key: str
    pattern: str
    replace: str


@dataclass(frozen=True, slots=True)
class SequenceRules:
    """The settings of record_modifier that shape the loop over the records."""

    prepare: str | None = None
    """Statements that run once; their instance variables can be used in the entries."""
    remove_keys: tuple[str, ...] = ()
    keep_keys: tuple[str, ...] | None = None
    """The only fields to keep, in this order; None for all."""
    replaces: tuple[Replacement, ...] = ()
    encodings: tuple[str, str] | None = None
    """Ruby's names of the encoding of the texts' bytes, and of the one whose characters are kept."""
