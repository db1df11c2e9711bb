"""Composes plain nodes with places from YAML: fluentd's tags resolved, merge keys merged, includes read.

Scalars are typed as in fluentd's config/yaml_parser/loader.rb. `parser.py` loads this module, and PyYAML with it, on
demand. Nodes are built from the parser's events, since PyYAML's own composers recurse with the depth of the file: one
of them crashes the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import yaml

from logpipe.config.diagnostic import Position
from logpipe.config.json_text import MAX_NESTING
from logpipe.config.values import text_of

MAX_NODES: Final = 200_000
"""Aliases can turn a few lines into billions of values."""

JSON_TAG: Final = "!fluent/json"

_CORE: Final = "tag:yaml.org,2002:"
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Final[Any] = yaml.resolver.Resolver()
_CONSTRUCTOR: Final[Any] = yaml.constructor.SafeConstructor()


@dataclass(frozen=True)
class Scalar:
    """One value: text, a number, a boolean or nil; `written` is its text in the file.

    `has_code` is whether embedded code produced a part of it.
    """

    position: Position
    value: str | float | bool | None
    written: str = ""
    size: int = 1
    has_code: bool = False

    @property
    def text(self) -> str | None:
        """This value as a parameter's text."""
        return None if self.value is None else text_of(self.value)


@dataclass(frozen=True)
class Sequence:
    """A list."""

    position: Position
    items: tuple[Node, ...]

    @cached_property
    def size(self) -> int:
        """The number of values in it, those that aliases repeat included."""
        return 1 + sum(item.size for item in self.items)


@dataclass(frozen=True)
class Pair:
    """A key's place and its value."""

    position: Position
    value: Node


@dataclass(frozen=True)
class Mapping:
    """A mapping; a key that is written twice has its last value. `included_from` are the includes that led to it."""

    position: Position
    pairs: dict[str, Pair]
    included_from: tuple[Position, ...] = ()

    @cached_property
    def size(self) -> int:
        """The number of values in it, those that aliases repeat included."""
        return 1 + sum(pair.value.size for pair in self.pairs.values())


Node: TypeAlias = Scalar | Sequence | Mapping

ReadTagged: TypeAlias = Callable[[str, Node], Node]
"""Resolves a tag such as `!fluent/s` and the node under it to one node."""


class YamlError(Exception):
    """The text is not YAML, or not such that it can be used."""

    def __init__(self, code: str, message: str, position: Position, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.position = position
        self.hint = hint


def plain(node: Node) -> Any:
    """Return a node as lists, dicts and values."""
    match node:
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Mapping(pairs=pairs):
            return {key: plain(pair.value) for key, pair in pairs.items()}


def read_nodes(text: str, file: str, included_from: tuple[Position, ...], tagged: ReadTagged) -> Node | None:
    """Return the first document of a text, None where there is none.

    Raises:
        YamlError: the text is no YAML, nests too deep or grows too large.
    """
    composer = _Composer(file, included_from, tagged)
    try:
        for event in _events(text):
            if composer.take(event):
                return composer.document
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
        if "nesting depth" in str(problem.problem):
            # PyYAML's own limit (1,000 levels since 6.0.4), reached while it reads ahead within a line.
            raise _too_deep(place) from None
        what = f"{problem.context}: {problem.problem}" if problem.context else str(problem.problem)
        hint = "look for a wrong indentation, a tab, or a text with : or # that needs quotes"
        raise YamlError("bad-yaml", f"this is not YAML: {what}", place, hint) from None
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        message = f"this is not YAML: a control character at offset {problem.position}"
        raise YamlError("bad-yaml", message, Position(file, line), "remove it") from None
    return None


def _too_deep(place: Position) -> YamlError:
    return YamlError("too-deep", f"the YAML nests deeper than {MAX_NESTING} levels", place, "flatten it")


def _events(text: str) -> Iterator[Any]:
    if any("\ud800" <= char <= "\udfff" for char in text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return iter(yaml.parse(text, Loader=_LOADER))


@dataclass
class _Open:
    """An unfinished collection; `children` of a mapping are keys and values in turn."""

    event: Any
    children: list[Node]


class _Composer:
    """Builds the nodes of one file from its events."""

    def __init__(self, file: str, included_from: tuple[Position, ...], tagged: ReadTagged) -> None:
        self.document: Node | None = None
        self._file = file
        self._included_from = included_from
        self._tagged = tagged
        self._open: list[_Open] = []
        self._merged = 0
        self._anchors: dict[str | None, Node] = {}

    def take(self, event: Any) -> bool:
        """Take the next event; true after the first document's last one."""
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            if len(self._open) >= MAX_NESTING:
                raise _too_deep(self._place(event))
            self._anchors.pop(event.anchor, None)
            self._open.append(_Open(event, []))
        elif isinstance(event, yaml.ScalarEvent):
            self._add(event, self._scalar(event))
        elif isinstance(event, yaml.AliasEvent):
            self._add(None, self._alias(event))
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            done = self._open.pop()
            self._add(done.event, self._collection(done))
        return isinstance(event, yaml.DocumentEndEvent)

    def _place(self, event: Any) -> Position:
        return Position(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _add(self, event: Any, node: Node) -> None:
        if node.size > MAX_NODES:
            message = f"aliases make more than {MAX_NODES} values of this file"
            raise YamlError("too-large", message, node.position, "use fewer aliases")
        if event is not None and event.anchor:
            self._anchors[event.anchor] = node
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.document = node

    def _alias(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            message = f"the alias *{event.anchor} has no anchor &{event.anchor} before it"
            raise YamlError("bad-yaml", message, self._place(event), f"write &{event.anchor} before what it repeats")
        return node

    def _scalar(self, event: Any) -> Node:
        place = self._place(event)
        if event.tag and event.tag.startswith("!") and event.tag != "!":
            value: str | float | bool | None = event.value
            if event.tag == JSON_TAG:
                # compat: Ruby's YAML ignores an unknown tag, even on a quoted scalar
                value = _typed(_RESOLVER.resolve(yaml.ScalarNode, event.value, (True, False)), event.value)
            return self._tagged(event.tag, Scalar(place, value, event.value))
        if event.tag and event.tag != "!":
            return Scalar(place, _typed(event.tag, event.value), event.value)
        if not event.implicit[0]:
            return Scalar(place, event.value, event.value)
        tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, (True, False))
        return Scalar(place, _typed(tag, event.value), event.value)

    def _collection(self, done: _Open) -> Node:
        place = self._place(done.event)
        if isinstance(done.event, yaml.SequenceStartEvent):
            node: Node = Sequence(place, tuple(done.children))
        else:
            node = Mapping(place, self._pairs(done.children), self._included_from)
        tag = done.event.tag
        return self._tagged(tag, node) if tag and not tag.startswith(_CORE) and tag != "!" else node

    def _pairs(self, children: list[Node]) -> dict[str, Pair]:
        pairs: dict[str, Pair] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise YamlError("bad-yaml", "a key must be plain text", key.position, "put quotes around it")
            name = key.written
            # compat: config/yaml_parser/loader.rb merges where `<<` stands: later keys win, and so does it over earlier
            merged = _merged(value) if name == "<<" else None
            self._merged += len(merged or ())
            if self._merged > MAX_NODES:
                message = f"merge keys make more than {MAX_NODES} values of this file"
                raise YamlError("too-large", message, key.position, "merge less")
            pairs.update({name: Pair(key.position, value)} if merged is None else merged)
        return pairs


def _merged(value: Node) -> dict[str, Pair] | None:
    """Return the pairs that a merge key adds, None where there is nothing to merge."""
    if isinstance(value, Mapping):
        return value.pairs
    if not isinstance(value, Sequence) or not value.items:
        return None
    mappings = [item.pairs for item in value.items if isinstance(item, Mapping)]
    if len(mappings) < len(value.items):
        return None
    return {key: pair for pairs in reversed(mappings) for key, pair in pairs.items()}


def _typed(tag: str, text: str) -> str | float | bool | None:
    node = yaml.ScalarNode(tag, text)
    try:
        match tag.removeprefix(_CORE):
            case "null":
                return None
            case "bool":
                return bool(_CONSTRUCTOR.construct_yaml_bool(node))
            case "int":
                return int(_CONSTRUCTOR.construct_yaml_int(node))
            case "float":
                return float(_CONSTRUCTOR.construct_yaml_float(node))
    except (ValueError, LookupError):
        return text
    # compat: Ruby's YAML reads words that begin with a colon as symbols, whose text is without it
    return text[1:] if len(text) > 1 and text[0] == ":" and text[1] not in "\"'" else text
