"""The names of groups: `re` knows identifiers only, Ruby nearly everything."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Pattern: TypeAlias = re.Pattern[str]

_QUOTED: Final = "_q_"
"""What the names of groups begin with that are no identifiers; other characters are spelled `_40_`."""
_QUOTED_CHARACTER: Final = re.compile(r"_([0-9a-f]+)_")
HIDDEN: Final = "_n_"
"""What groups without a name begin with that are called."""


def python_group(name: str) -> str:
    """Return the name that a group of that name has in a compiled pattern: `re` knows identifiers only."""
    if name.isidentifier() and not name.startswith(_QUOTED):
        return name
    return _QUOTED + "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in name)


def group_name(name: str) -> str:
    """Return the name of a group as it was written, from what it has in a compiled pattern."""
    if name.startswith(HIDDEN):
        return name.removeprefix(HIDDEN)
    if not name.startswith(_QUOTED):
        return name
    return _QUOTED_CHARACTER.sub(lambda found: chr(int(found[1], 16)), name.removeprefix(_QUOTED))


def group_names(pattern: Pattern) -> dict[str, str]:
    """Return the named groups of a compiled pattern: from the names that Python knows to those that were written."""
    return {name: group_name(name) for name in pattern.groupindex if not name.startswith(HIDDEN)}
