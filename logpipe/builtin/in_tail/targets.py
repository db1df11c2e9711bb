"""Which files the configuration means: `path` and `exclude_path`, their times filled in, their wildcards matched."""
# ruff: noqa: PTH114, PTH116
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from logpipe import Time
from logpipe.builtin.in_tail.archive import SUFFIX
from logpipe.builtin.in_tail.glob import Glob
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.codec import compile_formatter, find_zone

_CLASS: Final = re.compile(r"\[.*\]")
_BRACES: Final = re.compile(r"\{.*,.*\}")

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
        if self._leaves_out(path):
            return False
        return path in self.fixed or any(glob.matches(path) for glob in self.globs)

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
