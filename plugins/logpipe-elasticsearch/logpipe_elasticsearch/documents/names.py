"""Names of indexes, as far as events have a say in them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from logpipe import PermanentError
from logpipe.ruby import to_s

LONGEST: Final = 255
"""Bytes."""
LONGEST_ID: Final = 512
"""Bytes: with one that is longer, or empty, the server refuses all documents of a request."""
FORBIDDEN: Final = re.compile(r'[\\/*?"<>| ,#:\x00-\x1f\x7f]')
"""What no name holds; some of it would make one name several, or a calculation."""
FIRST: Final = frozenset("._-+")
"""What the names of the server's own indexes begin with, and those that mean all but one."""
_LONE: Final = re.compile("[\ud800-\udfff]")
"""What stands in a text for a byte that is not UTF-8: no URL holds it, and the server takes it for another name."""


def part_of_name(value: str) -> str:
    """Return a value that events have, as a part of a name.

    Raises:
        PermanentError: it holds what no name does.
    """
    if (found := FORBIDDEN.search(value)) is not None:
        raise PermanentError(f"no index has a name with {found[0]!r}: {value[:100]!r}")
    if not value.isascii() and _LONE.search(value) is not None:
        raise PermanentError(f"no index has a name that is not UTF-8: {value[:100]!r}")
    return value


def is_id(text: str) -> bool:
    """Return whether the server can have a document of that id."""
    try:
        return 0 < len(text.encode()) <= LONGEST_ID
    except UnicodeEncodeError:
        return False


def identifier(name: str, value: Any) -> Any:
    """Return what an event gives for `_id`, `_parent` or the routing; others would cost all documents of the request.

    Raises:
        PermanentError: it is none.
    """
    if isinstance(value, (bytes, dict, list)):
        raise PermanentError(f"{name} is a text of UTF-8 or a number: {to_s(value)[:100]!r}")
    if name == "_id" and isinstance(value, str) and not is_id(value):
        raise PermanentError(f"an _id has from 1 to {LONGEST_ID} bytes of UTF-8: {value[:100]!r}")
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
    lower = name.lower()  # which may be longer
    if len(lower.encode("utf-8", "surrogatepass")) > LONGEST:
        raise PermanentError(f"no index has a name of more than {LONGEST} bytes: {name[:100]!r}")
    return lower


def begins_itself(template: str) -> bool:
    """Return whether the configuration says how a name begins that comes of a template."""
    return not template.startswith("${")
