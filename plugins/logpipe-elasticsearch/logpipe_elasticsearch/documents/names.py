"""Names of indexes, as far as events have a say in them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from logpipe import PermanentError

LONGEST: Final = 255
"""Bytes."""
FORBIDDEN: Final = re.compile(r'[\\/*?"<>| ,#:\x00-\x1f\x7f]')
"""What no name holds; some of it would make one name several, or a calculation."""
FIRST: Final = frozenset("._-+")
"""What the names of the server's own indexes begin with, and those that mean all but one."""


def part_of_name(value: str) -> str:
    """Return a value that events have, as a part of a name.

    Raises:
        PermanentError: it holds what no name does.
    """
    if (found := FORBIDDEN.search(value)) is not None:
        raise PermanentError(f"no index has a name with {found[0]!r}: {value[:100]!r}")
    return value


@lru_cache(1024)
def whole_name(name: str, *, is_own: bool) -> str:
    """Return a name that is filled in, in lower case.

    Args:
        name: it.
        is_own: whether its beginning is written in the configuration; else an event has chosen it.

    Raises:
        PermanentError: an event must not choose it, or it is too long.
    """
    if not is_own:
        if not name or name[0] in FIRST:
            raise PermanentError(f"an event must not choose an index that begins like this: {name[:100]!r}")
        part_of_name(name)
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        raise PermanentError(f"no index has a name of more than {LONGEST} bytes: {name[:100]!r}")
    return name.lower()


def begins_itself(template: str) -> bool:
    """Return whether the configuration says how a name begins that comes of a template."""
    return not template.startswith("${")
