"""Quotes that people paste by mistake."""

from typing import Final

TYPOGRAPHIC_QUOTES: Final = "“”„‟‘’‚‛«»"  # noqa: RUF001 - what this is about
