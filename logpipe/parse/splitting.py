"""Texts in parts, as Ruby's `split` makes them."""

from __future__ import annotations

import re
from typing import Final

_BLANKS: Final = re.compile(r"[ \t\n\v\f\r]+")


def split_text(text: str, delimiter: str, most: int = 0) -> list[str]:
    """Return a text's parts, as Ruby's `split` does: all, or at most so many, of which the last has the rest.

    A delimiter of one space stands for any white space, and what leads is none. Empty parts at the end are kept.
    """
    if delimiter != " ":
        return text.split(delimiter, most - 1)
    text = text.lstrip(" \t\n\v\f\r")
    return _BLANKS.split(text, max(most - 1, 0)) if most != 1 else [text]
