"""What a stranger's record says of itself, as a key of what a stage remembers: short, whatever the record holds."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from logpipe import LogpipeError
from logpipe.ruby import to_s

LONGEST: Final = 200
"""Characters; of longer texts the key is their digest."""
UNKNOWN: Final = "too large to be compared"


def identity_of(value: Any) -> str:
    """Return a value's text, as `to_s` has it, or its digest; of what is too large or too deep to be text, one name."""
    try:
        text = to_s(value)
    except LogpipeError:
        return UNKNOWN
    return text if len(text) <= LONGEST else blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
