"""Ruby's Dir.glob: `*`, `?`, `[…]`, `**/` and `{a,b}`, walked on disk or matched against a name alone."""
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, TypeAlias

_MAGIC: Final = re.compile(r"[*?\[\\]")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


class _Recursive(Enum):
    """The component `**`."""

    RECURSIVE = "**"


_Part: TypeAlias = str | re.Pattern[str] | _Recursive

MOST_ALTERNATIVES: Final = 1024


class Glob:
    """A path pattern. As in Ruby, wildcards match no leading dot, and `**/` follows no symbolic links."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._alternatives = [[_part(name) for name in each.split("/")] for each in _expand_braces(pattern)]
        self._regexp = re.compile("|".join(map(_whole, self._alternatives)))

    def matches(self, path: str) -> bool:
        """Return whether a path is of the pattern, whether it exists or not."""
        return self._regexp.fullmatch(path) is not None

    def walk(self, folders: set[str]) -> list[str]:
        """Return what exists and matches, sorted.

        Each folder whose names were matched is added to `folders`, as the text before those names: empty, or ending
        in a slash.
        """
        return sorted({path for parts in self._alternatives for path in _walk("", parts, folders)})


def _walk(base: str, parts: list[_Part], folders: set[str]) -> Iterator[str]:
    """Yield what matches below `base`, which is empty or ends in a slash."""
    part, rest = parts[0], parts[1:]
    if isinstance(part, str):
        path = base + part
        if rest:
            yield from _walk(f"{path}/", rest, folders)
        elif os.path.lexists(path):
            yield path
    elif isinstance(part, _Recursive):
        for folder in _tree(base, folders):
            yield from _walk(folder, rest, folders)
    else:
        for entry in _entries(base, folders):
            if part.fullmatch(entry.name) is None:
                continue
            if not rest:
                yield base + entry.name
            elif entry.is_dir():
                yield from _walk(f"{base}{entry.name}/", rest, folders)


def _tree(base: str, folders: set[str]) -> Iterator[str]:
    yield base
    for entry in _entries(base, folders):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _tree(f"{base}{entry.name}/", folders)


def _entries(base: str, folders: set[str]) -> list[os.DirEntry[str]]:
    folders.add(base)
    try:
        with os.scandir(base or ".") as entries:
            return list(entries)
    except OSError:
        return []


def _part(name: str) -> _Part:
    if name == "**":
        return _Recursive.RECURSIVE
    return re.compile(_translate(name), re.DOTALL) if _MAGIC.search(name) else name


def _whole(parts: list[_Part]) -> str:
    """Return one regular expression for whole paths."""
    pieces: list[str] = []
    for number, part in enumerate(parts):
        slash = "/" if number < len(parts) - 1 else ""
        if isinstance(part, _Recursive):
            pieces.append(r"(?:(?!\.)[^/]+/)*")
        elif isinstance(part, str):
            pieces.append(re.escape(part) + slash)
        else:
            pieces.append(part.pattern + slash)
    return f"(?s:{''.join(pieces)})"


def _translate(name: str) -> str:
    """Return the regular expression of one component."""
    pieces = [] if name.startswith(".") else [r"(?!\.)"]
    place = 0
    while place < len(name):
        character = name[place]
        place += 1
        if character == "*":
            pieces.append("[^/]*")
        elif character == "?":
            pieces.append("[^/]")
        elif character == "\\" and place < len(name):
            pieces.append(re.escape(name[place]))
            place += 1
        elif character == "[" and (end := name.find("]", place + 1)) > 0:
            pieces.append(_character_class(name[place:end]))
            place = end + 1
        else:
            pieces.append(re.escape(character))
    return "".join(pieces)


def _character_class(inside: str) -> str:
    negated = inside[:1] in {"^", "!"}
    content = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside[1:] if negated else inside)
    try:
        re.compile(f"[{content}]")
    except re.error:  # a range that runs backwards matches nothing
        return "(?!)"
    return f"[^/{content}]" if negated else f"(?!/)[{content}]"


def _expand_braces(pattern: str) -> list[str]:
    """Return the patterns that one with braces stands for; innermost braces first."""
    expanded: list[str] = []
    waiting = [pattern]
    while waiting:
        current = waiting.pop()
        found = _BRACES.search(current)
        if found is None or len(waiting) + len(expanded) > MOST_ALTERNATIVES:
            expanded.append(current)
            continue
        before, after = current[: found.start()], current[found.end() :]
        waiting += [f"{before}{choice}{after}" for choice in found[1].split(",")]
    return expanded
