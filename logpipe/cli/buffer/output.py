"""Prints the output of `logpipe buffer`, masked except for the events of `cat`."""

from __future__ import annotations

from typing import TextIO

from logpipe.config.secrets import masked_text


def print_masked(text: str, *, file: TextIO | None = None) -> None:
    """Print a line with secrets masked as by `logpipe config`: paths, tags and reasons may contain some."""
    print(masked_text(text), file=file)
