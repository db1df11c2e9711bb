"""Which files the configuration means: `path` and `exclude_path`, their times filled in, their wildcards matched."""
# ruff: noqa: PTH110, PTH114, PTH116
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from logpipe import Time, compile_formatter, find_zone
from logpipe.builtin.in_tail.archive import SUFFIX
from logpipe.builtin.in_tail.glob import Glob
from logpipe.builtin.in_tail.options import TailOptions

_CLASS: Final = re.compile(r"\[.*\]")
_BRACES: Final = re.compile(r"\{.*,.*\}")

_Expand: TypeAlias = Callable[[Time], str]

Status: TypeAlias = os.stat_result | None
"""What a look at a path returned; None for what is no regular file."""


class Scan(NamedTuple):
    """What is there now."""

    files: dict[str, os.stat_result]
    """Regular files by path, symbolic links followed."""
    awaited: list[str]
    """Symbolic links to nothing: their files may still come."""
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
        if self._excludes(path):
            return False
        return path in self.fixed or any(glob.matches(path) for glob in self.globs)

    def _excludes(self, path: str) -> bool:
        if self.archive_suffix and path.endswith(self.archive_suffix):
            return True
        return path in self.excluded or any(glob.matches(path) for glob in self.excluded_globs)

    def scan(self, modified_since: float | None) -> Scan:
        """Look for the files; blocks. Of those that wildcards find, only ones written since then, if given.

        What is no regular file (a folder, a FIFO, a link to nothing) is passed over.
        """
        folders: set[str] = set()
        files: dict[str, os.stat_result] = {}
        awaited: list[str] = []
        for path in (path for glob in self.globs for path in glob.walk(folders)):
            if path in files or self._excludes(path):
                continue
            status = look(path)
            if status is None:
                if os.path.islink(path) and not os.path.exists(path):
                    awaited.append(path)
            elif modified_since is None or status.st_mtime >= modified_since:
                files[path] = status
        for path in self.fixed:
            folders.add(path[: path.rfind("/") + 1])
            status = look(path) if not self._excludes(path) else None
            if status is not None:
                files[path] = status
        return Scan(files, awaited, folders)


class Targets:
    """`path` and `exclude_path` as configured."""

    def __init__(self, options: TailOptions, never: Iterable[str]) -> None:
        paths = (path.strip() for path in options.path.split(options.path_delimiter))
        self._paths = [_template(path, options.path_timezone) for path in dict.fromkeys(paths) if path]
        self._excluded = [_template(path, options.path_timezone) for path in options.exclude_path]
        self._is_glob = _GLOB_POLICIES[options.glob_policy]
        self._never = frozenset(never)
        self._archive_suffix = SUFFIX if options.read_compressed_rotated else ""
        self._texts: tuple[str, ...] = ()
        self._selection = Selection((), (), (), frozenset())

    def at(self, now: Time) -> Selection:
        """Return what is meant at `now`; the same object for as long as it is the same."""
        texts = (*(expand(now) for expand in self._paths), "", *(expand(now) for expand in self._excluded))
        if texts != self._texts:
            self._texts = texts
            paths, excluded = texts[: len(self._paths)], texts[len(self._paths) + 1 :]
            self._selection = Selection(
                tuple(Glob(path) for path in paths if self._is_glob(path)),
                tuple(path for path in paths if not self._is_glob(path)),
                tuple(Glob(path) for path in excluded if self._is_glob(path)),
                self._never.union(path for path in excluded if not self._is_glob(path)),
                self._archive_suffix,
            )
        return self._selection


def look(path: str) -> Status:
    """Return a regular file's status; None for anything else, and where there is nothing or no way there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _template(path: str, timezone: str | None) -> _Expand:
    if "%" not in path:
        return lambda _: path
    return compile_formatter(path, zone=find_zone(timezone) if timezone else None)


def _backward_compatible(path: str) -> bool:
    return "*" in path


def _extended(path: str) -> bool:
    return "*" in path or "?" in path or _CLASS.search(path) is not None


def _always(path: str) -> bool:
    return _extended(path) or _BRACES.search(path) is not None


# compat: in_tail.rb decides by these whether Dir.glob sees a path; once it does, every wildcard counts
_GLOB_POLICIES: Final = {"backward_compatible": _backward_compatible, "extended": _extended, "always": _always}
