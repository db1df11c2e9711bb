"""From the nodes of the grammar to elements: what each line means, and what its includes bring in.

Elements are filled and not returned, since an included file writes into the section that includes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lark import Token

from logpipe.config.diagnostic import Diagnostic, Position, error, warning
from logpipe.config.element import Element, Param
from logpipe.config.literals import Literals
from logpipe.config.reading import Reading
from logpipe.config.recovery import read_nodes
from logpipe.config.sources import UnreadableError, decode, find_files, is_pattern, is_url, looks_like_backup, read_text
from logpipe.config.syntax import Grammar, JsonContainer, Line, Node, Section

MAX_LEVELS: Final = 100
MAX_INCLUDE_CHAIN: Final = 30
MAX_FILES: Final = 10_000

_RESERVED: Final = frozenset({"@type", "@id", "@label", "@log_level"})
_STRICT_SECTIONS: Final = frozenset({"match", "source", "filter", "system"})


@dataclass(frozen=True, slots=True)
class Origin:
    """How reading came to a file: the `@include` lines, outermost first, and the real paths of files being read."""

    lines: tuple[Position, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Include:
    """An `@include` line: what it names, where it stands, and the element that it fills."""

    path: str
    position: Position
    element: Element
    level: int


class FileReader:
    """Reads one file into an element; a new one reads each included file."""

    def __init__(self, file: str, directory: Path, grammar: Grammar, reading: Reading, origin: Origin) -> None:
        self._file = file
        self._directory = directory
        self._grammar = grammar
        self._reading = reading
        self._origin = origin
        self._literals = Literals(file, reading.evaluation, self._report)

    def fill(self, element: Element, text: str, *, level: int = 0) -> None:
        """Read `text` into `element`, which is `level` sections below the root."""
        if text.startswith("\ufeff"):
            text = text[1:]
            hint = "save the file as UTF-8 without BOM"
            place = Position(self._file, 1, 1)
            self._report(warning("byte-order-mark", "the file begins with a byte order mark", place, hint))
        nodes = read_nodes(text, self._grammar, self._file, self._report)
        self._fill(element, nodes, level, top=True)

    def _report(self, diagnostic: Diagnostic) -> None:
        self._reading.report(replace(diagnostic, included_from=self._origin.lines))

    def _fill(self, element: Element, nodes: Iterable[Node], level: int, *, top: bool) -> None:
        for node in nodes:
            if isinstance(node, Section):
                self._section(element, node, level + 1)
                continue
            name = self._literals.name(node.key)
            if self._is_include(node, name, top=top):
                self._include(element, node, level)
            else:
                self._param(element, node, name, top=top)

    def _section(self, parent: Element, section: Section, level: int) -> None:
        position = self._literals.place(section.opening)
        if level > MAX_LEVELS:
            message = f"sections nest deeper than {MAX_LEVELS} levels"
            self._report(error("too-deep", message, position, "close each section with its end tag"))
            return
        element = Element(section.name, position=position, arg_position=position, included_from=self._origin.lines)
        if section.arg is not None:
            element.arg = self._literals.argument(section.arg)
            element.arg_position = self._literals.place_of(section.arg)
        parent.elements.append(element)
        self._fill(element, section.body, level, top=False)

    def _param(self, element: Element, line: Line, name: str, *, top: bool) -> None:
        position = self._literals.place_of(line.key)
        if line.value is None:
            element.params[name] = Param(name, "", position, position)
            return
        if name.startswith("@") and name not in _RESERVED:
            self._reserved(name, position, strict=top or element.name in _STRICT_SECTIONS)
        element.params[name] = Param(
            name, self._literals.value(line.value), position, self._literals.place_of(line.value)
        )

    def _reserved(self, name: str, position: Position, *, strict: bool) -> None:
        message = f'"{name}" is not a parameter: names that begin with @ are reserved'
        hint = "use @type, @id, @label or @log_level, or a name without @"
        self._report((error if strict else warning)("reserved-name", message, position, hint))

    def _is_include(self, line: Line, name: str, *, top: bool) -> bool:
        if not isinstance(line.key, Token) or (line.value is None and not top):
            return False
        if line.key.type == "INCLUDE" or (name == "@include" and self._grammar == "v1"):
            return True
        # compat: config/v1_parser.rb still knows `include` where no section is open
        return top and name == "include" and line.key.type != "SINGLE"

    def _include(self, element: Element, line: Line, level: int) -> None:
        position = self._literals.place_of(line.key)
        path = "" if line.value is None or isinstance(line.value, JsonContainer) else self._literals.path(line.value)
        if not path:
            self._report(error("missing-path", "@include without a path", position, "write @include conf.d/*.conf"))
            return
        if line.key == "include" and self._grammar == "v1":
            self._report(warning("deprecated-include", '"include" is deprecated', position, "write @include"))
        self.include(Include(path, position, element, level))

    def include(self, include: Include) -> None:
        """Read what an `@include` names."""
        if not self._reading.follow_includes:
            place = include.position
            include.element.elements.append(Element("@include", include.path, position=place, arg_position=place))
        elif is_url(include.path):
            self._include_url(include)
        else:
            self._include_files(include)

    def _include_files(self, include: Include) -> None:
        path = include.path
        try:
            files = find_files(path, self._directory)
        except ValueError as problem:
            self._report(
                error("bad-include", f"cannot include {path}: {problem}", include.position, "name fewer files")
            )
            return
        if not files and not is_pattern(path):
            hint = "the path is relative to this file; fluentd says nothing here"
            self._report(warning("include-not-found", f"@include finds no file {path}", include.position, hint))
        for file in files:
            if path.endswith("*.conf") and looks_like_backup(file):
                message = f"@include {path} takes in {Path(file).name}, which looks like a backup copy"
                self._report(warning("backup-included", message, include.position, "rename or move the copy"))
            self._include_file(include, file)

    def _include_file(self, include: Include, file: str) -> None:
        real = os.path.realpath(file)
        if real in self._origin.files:
            circle = " → ".join(Path(name).name for name in (*self._origin.files, real))
            message = f"@include goes round in a circle: {circle}"
            self._report(error("include-cycle", message, include.position, "remove one of these includes"))
            return
        try:
            text = read_text(file)
        except UnreadableError as problem:
            self._unreadable(include, file, problem)
            return
        self._read(include, text, file, Path(file).parent, real)

    def _include_url(self, include: Include) -> None:
        url = include.path
        if self._reading.fetch is None:
            message = f"cannot include {url}: configuration is not read from other machines"
            hint = "download the file and include it from disk"
            self._report(error("remote-include", message, include.position, hint))
            return
        try:
            text = decode(self._reading.fetch(url))
        except UnreadableError as problem:
            self._unreadable(include, url, problem)
            return
        except OSError as problem:
            message = f"cannot include {url}: {problem}"
            self._report(error("unreadable-file", message, include.position, "check that the address answers"))
            return
        # compat: config/v1_parser.rb takes the root directory for the directory of what came from a URL
        self._read(include, text, url, Path("/"), url)

    def _read(self, include: Include, text: str, file: str, directory: Path, identity: str) -> None:
        if len(self._origin.lines) >= MAX_INCLUDE_CHAIN or len(self._reading.files) >= MAX_FILES:
            message = f"cannot include {file}: too many files include one another"
            self._report(error("include-cycle", message, include.position, "include fewer files"))
            return
        self._reading.files.append(identity)
        origin = Origin((*self._origin.lines, include.position), (*self._origin.files, identity))
        reader = FileReader(file, directory, self._grammar, self._reading, origin)
        reader.fill(include.element, text, level=include.level)

    def _unreadable(self, include: Include, file: str, problem: UnreadableError) -> None:
        if not problem.line:
            message = f"cannot include {file}: {problem}"
            self._report(error("unreadable-file", message, include.position, problem.hint))
            return
        found = error("unreadable-file", str(problem), Position(file, problem.line, problem.column), problem.hint)
        self._reading.report(replace(found, included_from=(*self._origin.lines, include.position)))
