"""The names of groups: `re` allows only identifiers, Ruby nearly everything."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Pattern: TypeAlias = re.Pattern[str]

_QUOTED: Final = "_q_"
"""The prefix for names that are not identifiers; their other characters are written as `_40_`."""
_QUOTED_CHARACTER: Final = re.compile(r"_([0-9a-f]+)_")
HIDDEN: Final = "_n_"
"""The prefix of called groups without a name."""


def python_group(name: str) -> str:
    """Return a group's name in a compiled pattern, which is an identifier."""
    if name.isidentifier() and not name.startswith(_QUOTED):
        return name
    return _QUOTED + "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in name)


def group_name(name: str) -> str:
    """Return a group's original name from its name in a compiled pattern."""
    if name.startswith(HIDDEN):
        return name.removeprefix(HIDDEN)
    if not name.startswith(_QUOTED):
        return name
    return _QUOTED_CHARACTER.sub(lambda found: chr(int(found[1], 16)), name.removeprefix(_QUOTED))


def group_names(pattern: Pattern) -> dict[str, str]:
    """Return the named groups of a compiled pattern: original names by Python's names."""
    return {name: group_name(name) for name in pattern.groupindex if not name.startswith(HIDDEN)}
