"""Ruby expressions: read, checked and turned into Python functions; knows nothing about configuration files."""

from logpipe.expression.accessor import RecordAccessor
from logpipe.expression.regexp import Pattern, compile_regexp, split_regexp

__all__ = ["Pattern", "RecordAccessor", "compile_regexp", "split_regexp"]
