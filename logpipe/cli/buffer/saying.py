"""What `logpipe buffer` says of events and their places; only `cat` shows them as they are."""

from __future__ import annotations

from typing import TextIO

from logpipe.config.secrets import masked_text


def say(text: str, *, file: TextIO | None = None) -> None:
    """Print a line without the secrets that `logpipe config` masks: they may stand in paths, tags, reasons."""
    print(masked_text(text), file=file)
