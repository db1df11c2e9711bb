"""Builds the elements of a YAML configuration, the same as for td-agent.conf: config/yaml_parser/parser.rb."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from logpipe.config import yaml_nodes
from logpipe.config.diagnostic import Position, error, warning
from logpipe.config.element import USE_DEFAULT, Element, Param, Piece
from logpipe.config.includes import Included, Includes, Origin, ParseContext
from logpipe.config.json_text import dump_json
from logpipe.config.yaml_nodes import Mapping, Node, Pair, Scalar, Sequence, YamlError, plain, read_nodes
from logpipe.errors import ExpressionError

_PREFIXED: Final = ("$type", "$label", "$id", "$log_level")
_DIRECTIVES: Final = ("label", "source", "filter", "match", "worker")
_GROUPS: Final = {"label": "$name", "worker": "$arg"}
"""Directives that hold directives, and the key of their argument."""


def fill_from_yaml(root: Element, text: str, file: str, context: ParseContext) -> None:
    """Read YAML text into `root`; mistakes are reported."""
    origin = Origin((), (os.path.realpath(file),))
    document = _YamlFile(Included(file, text, Path(file).parent, origin), context).document()
    if document is not None:
        _Sections(context).fill_root(root, document)


class _YamlFile:
    """One file's document, with its tags resolved and its includes read."""

    def __init__(self, source: Included, context: ParseContext) -> None:
        self._source = source
        self._context = context
        self._includes = Includes(context, source.origin, source.directory)

    def document(self) -> Node | None:
        """Return the file's document; None, with the reason reported, where there is none to use."""
        source = self._source
        try:
            document = read_nodes(source.text, source.file, source.origin.lines, self._tagged)
        except YamlError as problem:
            self._includes.report(error(problem.code, str(problem), problem.position, problem.hint))
            return None
        if document is None:
            place = Position(source.file)
            self._includes.report(error("bad-yaml", "the file is empty", place, "a configuration begins with config:"))
        return document

    def _tagged(self, tag: str, node: Node) -> Node:
        match tag, node:
            case "!include", Scalar(value=str(path)):
                return self._include(path, node.position)
            case "!fluent/s", Scalar(value=str(text)):
                return self._evaluated(text, node.position)
            case yaml_nodes.JSON_TAG, _:
                return Scalar(node.position, dump_json(plain(node)))
        message = f"the YAML tag {tag} is not known here"
        hint = "tags are !include FILE, !fluent/s TEXT and !fluent/json VALUE"
        self._includes.report(error("bad-yaml", message, node.position, hint))
        return node

    def _include(self, path: str, position: Position) -> Node:
        if not self._context.follow_includes:
            return Sequence(position, ())
        opened = (self._includes.open(file, position) for file in self._includes.find(path, position))
        found = [_YamlFile(included, self._context).document() for included in opened if included is not None]
        documents = [document for document in found if document is not None]
        if len(documents) == 1 and isinstance(documents[0], Mapping):
            return documents[0]
        for document in documents:
            if not isinstance(document, Sequence):
                message = f"the file {document.position.file} holds no list of sections"
                hint = "begin its lines with - source:, - match: and so on"
                self._includes.report(error("bad-include", message, position, hint))
        lists = (document.items for document in documents if isinstance(document, Sequence))
        return Sequence(position, tuple(item for items in lists for item in items))

    def _evaluated(self, text: str, position: Position) -> Scalar:
        seen = self._context.evaluation
        if seen is None:
            return Scalar(position, text)
        files: list[str] = []
        try:
            value = seen.run(f'"{text}"', files)
        except ExpressionError as problem:
            self._includes.report(error("bad-code", f"in !fluent/s: {problem}", position, problem.hint))
            return Scalar(position, "")
        finally:
            for file in files:
                message = f"the value is read from the file {file}, once, when logpipe starts"
                self._includes.report(warning("reads-file", message, position))
        # compat: config/yaml_parser/fluent_value.rb supports neither nil nor default here
        if value is USE_DEFAULT:
            message = "use_default does not work in YAML: the value is the text :default"
            self._includes.report(warning("no-default", message, position, "leave the key out to get its default"))
            return Scalar(position, ":default")
        return Scalar(position, value if isinstance(value, str) else "", has_code="#{" in text)


class _Sections:
    """Builds elements from the nodes of a document."""

    def __init__(self, context: ParseContext) -> None:
        self._context = context

    def fill_root(self, root: Element, document: Node) -> None:
        if not isinstance(document, Mapping):
            self._error(document.position, "the file must be a mapping", "begin with config: and a list of sections")
            return
        for key, pair in document.pairs.items():
            near = difflib.get_close_matches(key, ("system", "config"), n=1)
            if near and key != near[0]:
                hint = f"did you mean {near[0]}?"
                self._context.report(warning("unknown-section", f'"{key}" is not used', pair.position, hint))
        system, config = document.pairs.get("system"), document.pairs.get("config")
        if system is not None and not _is_nil(system):
            self._add_section(root, "system", system)
        if config is not None and not _is_nil(config):
            self._fill_directives(root, config)

    def _error(self, position: Position, message: str, hint: str) -> None:
        self._context.report(error("bad-yaml", message, position, hint))

    def _fill_directives(self, parent: Element, config: Pair) -> None:
        if not isinstance(config.value, Sequence):
            self._error(config.position, "config must be a list", "begin each section with a dash: - source:")
            return
        for item in _spliced(config.value):
            if not isinstance(item, Mapping):
                self._error(item.position, "expected a section", "write - source:, - match: and so on")
                continue
            for name, pair in sorted(item.pairs.items(), key=_order):
                self._directive(parent, name, pair, item)

    def _directive(self, parent: Element, name: str, pair: Pair, item: Mapping) -> None:
        if name not in _DIRECTIVES:
            near = difflib.get_close_matches(name, _DIRECTIVES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"sections are {', '.join(_DIRECTIVES)}"
            self._error(pair.position, f'"{name}" is no section', hint)
        elif _is_nil(pair):
            # compat: config/yaml_parser/parser.rb skips a directive without content
            return
        elif name in _GROUPS:
            self._group(parent, name, pair, item)
        else:
            self._add_section(parent, name, pair, argument="$tag" if name in {"filter", "match"} else "")

    def _group(self, parent: Element, name: str, pair: Pair, item: Mapping) -> None:
        value = pair.value
        if not isinstance(value, Mapping) or "config" not in value.pairs:
            hint = f"write {name}: with {_GROUPS[name]}: and config: under it"
            self._error(pair.position, f"{name} has no config", hint)
            return
        element = _element(name, pair.position, item.included_from)
        self._argument(element, value.pairs.get(_GROUPS[name]))
        parent.elements.append(element)
        self._fill_directives(element, value.pairs["config"])

    def _add_section(self, parent: Element, name: str, pair: Pair, *, argument: str = "$arg") -> None:
        if not isinstance(pair.value, Mapping):
            self._error(pair.value.position, f"{name} must be a mapping", f"put its parameters under {name}:")
            return
        element = _element(name, pair.position, pair.value.included_from)
        pairs = dict(pair.value.pairs)
        self._argument(element, pairs.pop(argument, None))
        for key in _PREFIXED:
            if key in pairs and not _is_nil(pairs[key]):
                self._add(element, f"@{key[1:]}", pairs.pop(key))
        for key, inner in pairs.items():
            self._add(element, key, inner)
        parent.elements.append(element)

    def _argument(self, element: Element, pair: Pair | None) -> None:
        if pair is None:
            return
        element.arg_position = pair.value.position
        if not isinstance(pair.value, Sequence):
            element.arg = _text(pair.value) or ""
            return
        element.arg = ",".join(_text(item) or "" for item in pair.value.items)
        if element.name in {"filter", "match"} and len(pair.value.items) > 1:
            # compat: config/yaml_parser/parser.rb joins with a comma, which match.rb reads as a part of the tag
            message = f"the list of tags becomes the one tag {element.arg}"
            hint = f'write $tag: "{element.arg.replace(",", " ")}"'
            self._context.report(warning("tag-list", message, pair.value.position, hint))

    def _add(self, element: Element, key: str, pair: Pair) -> None:
        value = pair.value
        if isinstance(value, Mapping):
            self._add_section(element, key, pair)
        elif isinstance(value, Sequence) and value.items and not isinstance(value.items[0], Scalar):
            for item in value.items:
                self._add_section(element, key, Pair(pair.position, item))
        else:
            pieces = (
                (Piece(0, value.position, 0, is_code=True),) if isinstance(value, Scalar) and value.has_code else ()
            )
            native = value.value if isinstance(value, Scalar) and not isinstance(value.value, str) else None
            element.params[key] = Param(key, _text(value), pair.position, value.position, pieces, native)


def _element(name: str, position: Position, included_from: tuple[Position, ...]) -> Element:
    return Element(name, position=position, arg_position=position, included_from=included_from)


def _is_nil(pair: Pair) -> bool:
    return isinstance(pair.value, Scalar) and pair.value.value is None


def _text(node: Node) -> str | None:
    if isinstance(node, Scalar):
        return node.text
    return json.dumps(plain(node), ensure_ascii=False)


def _spliced(items: Sequence) -> Iterator[Node]:
    """Yield the items of a list, included lists replaced by their items."""
    for item in items.items:
        if isinstance(item, Sequence):
            yield from _spliced(item)
        else:
            yield item


def _order(entry: tuple[str, Pair]) -> int:
    return _DIRECTIVES.index(entry[0]) if entry[0] in _DIRECTIVES else len(_DIRECTIVES)
