"""Parses a configuration's text to the nodes of its grammar, with places; words are not evaluated here.

`parser.py` imports this module on demand, since it loads lark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from lark import Lark, Token, Transformer

from logpipe.config.tables import Grammar, make_parser


@dataclass(frozen=True, slots=True)
class Code:
    """`#{source}`; `begin` is the token `#{`."""

    source: str
    begin: Token


@dataclass(frozen=True, slots=True)
class Quoted:
    """A double-quoted text: pieces of text, escapes and line joins (told apart by token type), and code."""

    parts: Sequence[Token | Code]
    quote: Token


@dataclass(frozen=True, slots=True)
class JsonContainer:
    """A JSON list or object: `begin` and `end` are its brackets, `items` holds values or pairs and the commas.

    The tokens of brackets and commas include the white space and comments around them.
    """

    begin: Token
    items: Sequence[JsonItem]
    end: Token
    depth: int


@dataclass(frozen=True, slots=True)
class JsonPair:
    """`"key": value` in a JSON object."""

    key: Quoted
    value: JsonValue


Word: TypeAlias = Token | Quoted
JsonValue: TypeAlias = Token | Quoted | Code | JsonContainer
JsonItem: TypeAlias = JsonValue | JsonPair


@dataclass(frozen=True, slots=True)
class Line:
    """`key value`, or a key alone."""

    key: Word
    value: Word | JsonContainer | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """`<name arg> … </name>`; `depth` is 1 where no section is inside.

    `sound` is whether the names of both tags agree, here and in all sections inside. `closing` is None for a section
    closed by the end of the file, which dialect v0 allows.
    """

    opening: Token
    arg: Word | None
    body: Sequence[Node]
    closing: Token | None
    depth: int
    sound: bool

    @property
    def name(self) -> str:
        """The name in the opening tag."""
        return tag_name(self.opening)


Node: TypeAlias = Line | Section


def tag_name(tag: Token) -> str:
    """Return the name in `<name`, `</name` or, in dialect v0, `<name arg>`."""
    found = _TAG_NAME.match(tag)
    return found[1] if found else ""


def parse_nodes(text: str, grammar: Grammar) -> list[Node]:
    """Return the nodes of a whole file.

    Raises:
        lark.UnexpectedInput: the text is not of this grammar.
    """
    nodes: list[Node] = _parser(grammar).parse(text if text.endswith("\n") else f"{text}\n")  # type: ignore[assignment]  # the transformer makes the tree
    return nodes


@cache
def _parser(grammar: Grammar) -> Lark:
    return make_parser(grammar, _NodesV1() if grammar == "v1" else _NodesV0())


class _Nodes(Transformer[Token, Any]):
    """The nodes common to both dialects. A method gets the children of the rule it is named after."""

    def start(self, children: list[Node]) -> list[Node]:
        return children

    def body(self, children: list[Node]) -> list[Node]:
        return children


class _NodesV1(_Nodes):
    """Builds the nodes of `grammar.lark` while it is parsed."""

    def section(self, children: list[Any]) -> Section:
        opening, *arg, body, closing = children
        return _section(opening, arg[0] if arg else None, body, closing)

    def param(self, children: list[Any]) -> Line:
        return Line(*children)

    def key(self, children: list[Any]) -> Word:
        return _word(children)

    def arg(self, children: list[Any]) -> Word:
        return _word(children)

    def value(self, children: list[Any]) -> Word | JsonContainer:
        return (
            _container(children)
            if isinstance(children[-1], Token) and children[0].type in _BRACKETS
            else _word(children)
        )

    def quoted(self, children: list[Token | Code]) -> list[Token | Code]:
        return children

    json_text = quoted

    def quoted_code(self, children: list[Any]) -> Code:
        begin, source, _ = children
        return Code(source, begin)

    json_code = quoted_code

    def code(self, children: list[str]) -> str:
        return "".join(children)

    code_string = code_block = code_inner = code

    def json_list(self, children: list[JsonItem]) -> list[JsonItem]:
        return children

    json_object = json_list

    def json_pair(self, children: list[Any]) -> JsonPair:
        quote, text, _, _, value = children
        return JsonPair(Quoted(text, quote), value)

    def json_value(self, children: list[Any]) -> JsonValue:
        match children[0].type:
            case "LIST_BEGIN" | "OBJECT_BEGIN":
                return _container(children)
            case "CODE_BEGIN":
                return self.quoted_code(children)
        return _word(children)


class _NodesV0(_Nodes):
    """Builds the nodes of `grammar_v0.lark` while it is parsed; its terminals are whole lines."""

    def section(self, children: list[Any]) -> Section:
        tag, body, *closing = children
        opening, blanks, arg = _OPEN_V0.fullmatch(tag).groups()  # type: ignore[union-attr]  # the terminal is of this form
        place = len(opening) + len(blanks)
        return _section(_piece(tag, 0, opening), _piece(tag, place, arg), body, closing[0] if closing else None)

    def param(self, children: list[Token]) -> Line:
        key, blanks, value = _PARAM_V0.fullmatch(children[0]).groups()  # type: ignore[union-attr]  # as above
        return Line(_piece(children[0], 0, key), _piece(children[0], len(key) + len(blanks), value.rstrip()))

    def include(self, children: list[Token]) -> Line:
        (tag,) = children
        path = tag.removeprefix("<include").removesuffix("/>").strip()
        return Line(_piece(tag, 1, "include", "INCLUDE"), _piece(tag, tag.index(path, len("<include")), path))


_TAG_NAME: Final = re.compile(r"</?([a-zA-Z0-9_]*)")
_OPEN_V0: Final = re.compile(r"(<[a-zA-Z0-9_]+)(\s*)(.*)>", re.DOTALL)
_PARAM_V0: Final = re.compile(r"([a-zA-Z0-9_]+)(\s*)(.*)", re.DOTALL)
_BRACKETS: Final = frozenset({"LIST_BEGIN", "OBJECT_BEGIN"})


def _word(children: list[Any]) -> Word:
    if len(children) == 1:
        word: Token = children[0]
        return word
    quote, parts, _ = children
    return Quoted(parts, quote)


def _piece(token: Token, start: int, text: str, kind: str = "PLAIN") -> Token:
    return Token(kind, text, token.start_pos, token.line, (token.column or 1) + start)


def _container(children: list[Any]) -> JsonContainer:
    begin, items, end = children
    values = (item.value if isinstance(item, JsonPair) else item for item in items)
    depth = 1 + max((value.depth for value in values if isinstance(value, JsonContainer)), default=0)
    return JsonContainer(begin, items, end, depth)


def _section(opening: Token, arg: Word | None, body: list[Node], closing: Token | None) -> Section:
    inner = [node for node in body if isinstance(node, Section)]
    agrees = closing is None or tag_name(closing) == tag_name(opening)
    return Section(
        opening,
        arg,
        body,
        closing,
        depth=1 + max((section.depth for section in inner), default=0),
        sound=agrees and all(section.sound for section in inner),
    )
