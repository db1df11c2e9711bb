"""The names that an expression may use, which differ between a record's template and embedded code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from logpipe.expression.compiler.source import Code
from logpipe.expression.runtime.values import RubyClass


@dataclass(frozen=True, slots=True)
class Context:
    """The names of one kind of expression.

    Attributes:
        names: Helper words with the Python that reads them.
        fields: Whether a bare word that is not a helper reads a field of `record`, as in 0.12.
        late: Whether an unknown word fails when it is evaluated, as in Ruby, rather than when it is compiled.
        functions: Functions on constants beyond the common ones, such as reading files at start.
        kept: The name of the storage for instance variables that outlive an evaluation; None without any.
    """

    names: Mapping[str, Code]
    fields: bool = False
    late: bool = False
    functions: Mapping[str, Mapping[str, Callable[..., Any]]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    """Objects that the Python of `names` refers to, by name."""
    kept: dict[str, Any] | None = None


BOUND: Mapping[str, Code] = {
    "tag": Code("tag", str, stable=True),
    "tags": Code("tag_parts", list, stable=True),
    "tag_parts": Code("tag_parts", list, stable=True),
    "tag_prefix": Code("tag_prefix", list, stable=True),
    "tag_suffix": Code("tag_suffix", list, stable=True),
    "hostname": Code("hostname", str, stable=True),
}
"""Helper words that depend on tag and host only."""

CLASSES = (
    "String Symbol Integer Float Numeric Array Hash Range Regexp MatchData NilClass TrueClass FalseClass Time DateTime "
    "Date Proc Class Module Object BasicObject Comparable Enumerable Kernel Exception Struct Method Encoding Fixnum "
    "Bignum Enumerator Set JSON IPAddr URI::Generic URI::HTTP URI::HTTPS"
)
"""Classes and modules that an expression may use as values."""


def class_value(path: str) -> RubyClass:
    """Return the class of that name; the integers of older Rubies are Integer."""
    return RubyClass("Integer" if path in ("Fixnum", "Bignum") else path)
