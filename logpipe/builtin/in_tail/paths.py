"""Which files the configuration means: `path` and `exclude_path`, their times filled in, their wildcards matched.

Wildcards are Ruby's Dir.glob: `*`, `?`, `[…]`, `**/` and `{a,b}`, walked on disk or matched against a name alone.
"""
# Paths are the user's text and stay as written: pathlib would rewrite them.
# ruff: noqa: PTH114, PTH116

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from logpipe import Clock, Time
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.codec import compile_formatter, find_zone

_MAGIC: Final = re.compile(r"[*?\[\\]")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")

_ANY_FOLDERS: Final = "**"
"""The component that stands for any number of folders."""

MOST_ALTERNATIVES: Final = 1024


class Glob:
    """A path pattern. As in Ruby, wildcards match no leading dot, and `**/` follows no symbolic links."""

    def __init__(self, pattern: str) -> None:
        self._alternatives = [_parts(each) for each in _expand_braces(pattern)]
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


def _walk(base: str, parts: list[str | re.Pattern[str]], folders: set[str]) -> Iterator[str]:
    """Yield what matches below `base`, which is empty or ends in a slash."""
    part, rest = parts[0], parts[1:]
    if part == _ANY_FOLDERS:
        for folder in _tree(base, folders):
            yield from _walk(folder, rest, folders)
    elif isinstance(part, str):
        path = base + part
        if rest:
            yield from _walk(f"{path}/", rest, folders)
        elif os.path.lexists(path):
            yield path
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


def _parts(pattern: str) -> list[str | re.Pattern[str]]:
    *folders, last = pattern.split("/")
    # compat: in Ruby two stars that no slash follows are as good as one
    return [*map(_part, folders), _part("*" if last == _ANY_FOLDERS else last)]


def _part(name: str) -> str | re.Pattern[str]:
    is_plain = name == _ANY_FOLDERS or _MAGIC.search(name) is None
    return name if is_plain else re.compile(_translate(name), re.DOTALL)


def _whole(parts: list[str | re.Pattern[str]]) -> str:
    """Return one regular expression for whole paths."""
    pieces: list[str] = []
    for part in parts:
        if part == _ANY_FOLDERS:
            pieces.append(r"(?:(?!\.)[^/]+/)*")
        else:
            pieces.append((re.escape(part) if isinstance(part, str) else part.pattern) + "/")
    return f"(?s:{''.join(pieces)[:-1]})"  # the last part is no folder


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


_CLASS: Final = re.compile(r"\[.*\]")
_ALTERNATIVES: Final = re.compile(r"\{.*,.*\}")

_Expand: TypeAlias = Callable[[Time], str]


class Scan(NamedTuple):
    """What is there now."""

    files: dict[str, os.stat_result]
    """Regular files by path, symbolic links followed."""
    awaited: list[str]
    """Symbolic links to nothing: their files may still come."""
    refused: dict[str, OSError]
    """Paths on whose way there is a folder that may not be entered."""
    folders: set[str]
    """Folders in which more may appear, as the text before their names: empty, or ending in a slash."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The paths that are meant at one time."""

    globs: tuple[Glob, ...]
    fixed: tuple[str, ...]
    """Paths without wildcards: followed as soon as they exist."""
    excluded_globs: tuple[Glob, ...]
    excluded: frozenset[str]
    archive_suffix: str = ""
    """Files with such a name are not meant, whatever else it says."""

    def wants(self, path: str) -> bool:
        """Return whether a path is meant, by its name alone."""
        is_meant = path in self.fixed or any(glob.matches(path) for glob in self.globs)
        return is_meant and not self._leaves_out(path)

    def excludes(self, path: str) -> bool:
        """Return whether exclude_path names a path."""
        return path in self.excluded or any(glob.matches(path) for glob in self.excluded_globs)

    def _leaves_out(self, path: str) -> bool:
        return (bool(self.archive_suffix) and path.endswith(self.archive_suffix)) or self.excludes(path)

    def scan(self, modified_since: float | None) -> Scan:
        """Look for the files; blocks. Of those that wildcards find, only ones written since then, if given.

        What is no regular file (a folder, a FIFO, a link to nothing) is passed over.
        """
        scan = Scan({}, [], {}, set())
        for path in (path for glob in self.globs for path in glob.walk(scan.folders)):
            if path not in scan.files and not self._leaves_out(path):
                _scan(path, scan, modified_since)
        for path in self.fixed:
            scan.folders.add(path[: path.rfind("/") + 1])
            if not self._leaves_out(path):
                _scan(path, scan, None)
        return scan


def _scan(path: str, scan: Scan, modified_since: float | None) -> None:
    """Look at one path."""
    try:
        status = os.stat(path)
    except PermissionError as error:
        scan.refused[path] = error
    except FileNotFoundError:
        if os.path.islink(path):
            scan.awaited.append(path)
    except (OSError, ValueError):  # a circle of links, a name that cannot be
        return
    else:
        if stat.S_ISREG(status.st_mode) and (modified_since is None or status.st_mtime >= modified_since):
            scan.files[path] = status


class Targets:
    """`path` and `exclude_path` as configured, at the time that it is."""

    def __init__(self, options: TailOptions, clock: Clock, never: Iterable[str]) -> None:
        """Follow none of the paths `never`."""
        paths = (path.strip() for path in options.path.split(options.path_delimiter))
        self._paths = [_template(path, options.path_timezone) for path in dict.fromkeys(paths) if path]
        self._excluded = [_template(path, options.path_timezone) for path in options.exclude_path]
        self._policy = options.glob_policy
        self._clock = clock
        self._never = frozenset(never)
        self._archive_suffix = options.archive_suffix
        self._texts: tuple[str, ...] = ()
        self._selection = Selection((), (), (), frozenset())

    @property
    def now(self) -> Selection:
        """What is meant now; the same object for as long as it is the same."""
        now = self._clock.now()
        texts = (*(expand(now) for expand in self._paths), "", *(expand(now) for expand in self._excluded))
        if texts != self._texts:
            self._texts = texts
            globs, fixed = self._sort(texts[: len(self._paths)])
            excluded_globs, excluded = self._sort(texts[len(self._paths) + 1 :])
            self._selection = Selection(globs, fixed, excluded_globs, self._never.union(excluded), self._archive_suffix)
        return self._selection

    def _sort(self, paths: Iterable[str]) -> tuple[tuple[Glob, ...], tuple[str, ...]]:
        """Return the paths that have wildcards, and the others.

        compat: in_tail.rb decides by glob_policy whether Dir.glob sees a path; once it does, every wildcard counts.
        """
        globs: list[Glob] = []
        fixed: list[str] = []
        for path in paths:
            has_wildcard = (
                "*" in path
                or (self._policy != "backward_compatible" and ("?" in path or _CLASS.search(path) is not None))
                or (self._policy == "always" and _ALTERNATIVES.search(path) is not None)
            )
            if has_wildcard:
                globs.append(Glob(path))
            else:
                fixed.append(path)
        return tuple(globs), tuple(fixed)


def _template(path: str, timezone: str | None) -> _Expand:
    if "%" not in path:
        return lambda _: path
    return compile_formatter(path, zone=find_zone(timezone) if timezone else None)
