"""Builds elements from the nodes of the grammar, includes followed.

Elements are filled rather than returned, since an included file writes into the section that includes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from lark import Token

from logpipe.config.diagnostic import Position, error, warning
from logpipe.config.element import Element, Param
from logpipe.config.includes import Included, Includes, Origin, ParseContext
from logpipe.config.literals import Literals
from logpipe.config.recovery import read_nodes
from logpipe.config.sources import is_url, local_path
from logpipe.config.syntax import JsonContainer, Line, Node, Section
from logpipe.config.tables import Grammar

MAX_LEVELS: Final = 100

_RESERVED: Final = frozenset({"@type", "@id", "@label", "@log_level"})
_CUT_REGEXP: Final = re.compile(r"/.*[\^$\\(\[+|]")
_WHOLE_REGEXP: Final = re.compile(r"/[imx]{0,3}$")
_REST_OF_REGEXP: Final = re.compile(r"(?P<blanks>[ \t]+)#[^\r\n]*/[imx]{0,3}[ \t]*(?:[\r\n]|$)")
_STRICT_SECTIONS: Final = frozenset({"match", "source", "filter", "system"})


class FileReader:
    """Reads one file into an element; a new one reads each included file."""

    def __init__(self, file: str, directory: Path, grammar: Grammar, context: ParseContext, origin: Origin) -> None:
        self._file = file
        self._grammar = grammar
        self._context = context
        self._origin = origin
        self._includes = Includes(context, origin, directory)
        self._report = self._includes.report
        self._literals = Literals(file, context.evaluation, self._report)
        self._text = ""

    def fill(self, element: Element, text: str, *, level: int = 0) -> None:
        """Read `text` into `element`, which is `level` sections below the root."""
        if text.startswith("\ufeff"):
            text = text[1:]
            hint = "save the file as UTF-8 without BOM"
            place = Position(self._file, 1, 1)
            self._report(warning("byte-order-mark", "the file begins with a byte order mark", place, hint))
        self._text = text
        nodes = read_nodes(text, self._grammar, self._file, self._report)
        self._fill(element, nodes, level, top=True)

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
        if isinstance(line.value, Token) and line.value.type == "BARE":
            self._lint_cut(line.value)
        value, pieces = self._literals.value(line.value)
        element.params[name] = Param(name, value, position, self._literals.place_of(line.value), pieces)

    def _lint_cut(self, value: Token) -> None:
        """Warn where a comment was probably meant to be the rest of a regular expression."""
        rest = _REST_OF_REGEXP.match(self._text, value.end_pos or 0)
        if rest is None or not _CUT_REGEXP.match(value) or _WHOLE_REGEXP.search(value, 1):
            return
        place = self._literals.place(value)
        at = Position(place.file, place.line, place.column + len(value) + len(rest["blanks"]))
        hint = "put single quotes around the whole value"
        self._report(warning("cut-regexp", "a comment begins here and cuts the regular expression", at, hint))

    def _reserved(self, name: str, position: Position, *, strict: bool) -> None:
        if strict:
            message = f'"{name}" is not a parameter: names that begin with @ are reserved'
            hint = "use @type, @id, @label or @log_level, or a name without @"
            self._report(error("reserved-name", message, position, hint))
        else:
            # compat: config/v1_parser.rb accepts such names in sections inside a plugin's, such as <record>
            message = f'"{name}" works here, but names that begin with @ are reserved'
            self._report(warning("reserved-name", message, position, "prefer a name without @"))

    def _is_include(self, line: Line, name: str, *, top: bool) -> bool:
        if self._grammar == "v0" and isinstance(line.key, Token) and line.key.type == "INCLUDE":
            return True
        if name == "@include":
            return line.value is not None or top
        # compat: config/v1_parser.rb still accepts `include`, unquoted, outside sections
        return top and name == "include" and isinstance(line.key, Token) and line.key.type != "SINGLE"

    def _include(self, element: Element, line: Line, level: int) -> None:
        position = self._literals.place_of(line.key)
        path = "" if line.value is None or isinstance(line.value, JsonContainer) else self._literals.path(line.value)
        if not path:
            self._report(error("missing-path", "@include without a path", position, "write @include conf.d/*.conf"))
            return
        if line.key == "include" and self._grammar == "v1":
            self._report(warning("deprecated-include", '"include" is deprecated', position, "write @include"))
        if not self._context.follow_includes:
            element.elements.append(Element("@include", path, position=position, arg_position=position))
            return
        for included in self._opened(path, position):
            reader = FileReader(included.file, included.directory, self._grammar, self._context, included.origin)
            reader.fill(element, included.text, level=level)

    def _opened(self, path: str, position: Position) -> Iterator[Included]:
        if is_url(path):
            opened = iter([self._includes.fetch(path, position)])
        else:
            opened = (self._includes.open(file, position) for file in self._includes.find(local_path(path), position))
        return filter(None, opened)
