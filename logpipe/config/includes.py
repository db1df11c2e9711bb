"""What the files of one configuration share while they are read, and how included ones are found and opened."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from logpipe.config.diagnostic import Diagnostic, Position, Report, error, warning
from logpipe.config.element import USE_DEFAULT, Value
from logpipe.config.sources import UnreadableError, decode, find_files, is_pattern, looks_like_backup, read_text

Fetch: TypeAlias = Callable[[str], bytes]
"""Returns the content of a URL; raises OSError."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What embedded code may see."""

    env: Mapping[str, str]
    hostname: str
    worker_id: str = ""

    def run(self, source: str, read_files: list[str] | None = None) -> Value:
        """Return the text that code results in; None for `use_nil`, USE_DEFAULT for `use_default`.

        The files that it reads are appended to `read_files`.

        Raises:
            ExpressionError: the code cannot be run, or it failed.
        """
        from logpipe.expression import embedded  # noqa: PLC0415 - most configurations hold no code

        value = embedded.evaluate_embedded(
            source, env=self.env, hostname=self.hostname, worker_id=self.worker_id, read_files=read_files
        )
        if isinstance(value, embedded.ValueRequest):
            return None if value is embedded.USE_NIL else USE_DEFAULT
        return embedded.to_text(value)


@dataclass(slots=True)
class ParseContext:
    """The state of reading one configuration.

    `files` are the real paths of all files read so far, in order; `overflowed` is set when there were too many, and
    `circular` are the places of circular includes.
    """

    report: Report
    evaluation: Evaluation | None = None
    follow_includes: bool = True
    fetch: Fetch | None = None
    files: list[str] = field(default_factory=list)
    overflowed: bool = False
    circular: set[Position] = field(default_factory=set)


MAX_CHAIN: Final = 30
MAX_FILES: Final = 10_000
_CODE: Final = re.compile(r"[#$]\{[^}]*\}?")


@dataclass(frozen=True, slots=True)
class Origin:
    """The includes that led to a file: their lines, outermost first, and the real paths of the files being read."""

    lines: tuple[Position, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Included:
    """An included file, opened; its own includes are relative to `directory`."""

    file: str
    text: str
    directory: Path
    origin: Origin


class Includes:
    """The includes of one file."""

    def __init__(self, context: ParseContext, origin: Origin, directory: Path) -> None:
        self._context = context
        self._origin = origin
        self._directory = directory

    def report(self, diagnostic: Diagnostic) -> None:
        """Report a diagnostic of this file."""
        self._context.report(replace(diagnostic, included_from=self._origin.lines))

    def find(self, path: str, position: Position) -> list[str]:
        """Return the files that an include at `position` matches, sorted."""
        if self._holds_code(path, position):
            return []
        try:
            files = find_files(path, self._directory)
        except ValueError as problem:
            self.report(error("bad-include", f"cannot include {path}: {problem}", position, "name fewer files"))
            return []
        if not files and not is_pattern(path):
            hint = "the path is relative to the file that includes; fluentd ignores this silently"
            self.report(warning("include-not-found", f"there is no file {path} to include", position, hint))
        for file in files:
            if path.endswith("*.conf") and looks_like_backup(file):
                message = f"the include of {path} takes in {Path(file).name}, which looks like a backup copy"
                self.report(warning("backup-included", message, position, "rename or move the copy"))
        return files

    def open(self, file: str, position: Position) -> Included | None:
        """Return an included file; None, with the reason reported, where it cannot be read."""
        real = os.path.realpath(file)
        if real in self._origin.files:
            if position in self._context.circular:
                return None
            self._context.circular.add(position)
            circle = " → ".join(Path(name).name for name in (*self._origin.files, real))
            message = f"the include goes round in a circle: {circle}"
            self.report(error("include-cycle", message, position, "remove one of these includes"))
            return None
        if self._context.circular and real in self._context.files:
            return None  # it was read already; files that include each other would be read in countless orders
        try:
            return self._opened(file, _read(Path(file)), Path(file).parent, real, position)
        except UnreadableError as problem:
            self._unreadable(file, problem, position)
            return None

    def fetch(self, url: str, position: Position) -> Included | None:
        """Return the content of a URL; None, with the reason reported, where that is not allowed or fails."""
        if self._holds_code(url, position):
            return None
        if self._context.fetch is None:
            message = f"cannot include {url}: configuration is not read from other machines"
            hint = "download the file and include it from disk, or start with --allow-http-include"
            self.report(error("remote-include", message, position, hint))
            return None
        if url.startswith("http:"):
            message = f"the configuration at {url} comes unencrypted: anybody on the network path can change it"
            self.report(warning("insecure-include", message, position, "use https"))
        try:
            # compat: config/v1_parser.rb resolves relative paths in a file from a URL against the root directory
            return self._opened(url, decode(self._context.fetch(url)), Path("/"), url, position)
        except UnreadableError as problem:
            self._unreadable(url, problem, position)
        except OSError as problem:
            message = f"cannot include {url}: {problem}"
            self.report(error("unreadable-file", message, position, "check that the address answers"))
        return None

    def _holds_code(self, path: str, position: Position) -> bool:
        """Report a path with code that was not run, since no file has such a name."""
        code = _CODE.search(path)
        if code is None:
            return False
        message = f"cannot include {path}: {code[0]} is not read as code here"
        hint = """embedded code is read only where the whole value is in double quotes: "conf.d/#{ENV['NAME']}.conf\""""
        self.report(error("bad-include", message, position, hint))
        return True

    def _opened(self, file: str, text: str, directory: Path, identity: str, position: Position) -> Included | None:
        if len(self._origin.lines) >= MAX_CHAIN or len(self._context.files) >= MAX_FILES:
            if not self._context.overflowed:
                self._context.overflowed = True
                message = f"cannot include {file}: too many files include one another"
                self.report(error("too-many-includes", message, position, "include each file once"))
            return None
        self._context.files.append(identity)
        origin = Origin((*self._origin.lines, position), (*self._origin.files, identity))
        return Included(file, text, directory, origin)

    def _unreadable(self, file: str, problem: UnreadableError, position: Position) -> None:
        if not problem.line:
            self.report(error("unreadable-file", f"cannot include {file}: {problem}", position, problem.hint))
            return
        found = error("unreadable-file", str(problem), Position(file, problem.line, problem.column), problem.hint)
        self._context.report(replace(found, included_from=(*self._origin.lines, position)))


def _read(path: Path) -> str:
    """Return an included file's text; pipes, sockets and devices that a pattern matches are refused, not waited for."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UnreadableError("it is no file but a pipe, a socket or a device", "name files, such as *.conf")
    return read_text(path)
