"""The tree of a parsed configuration file: sections with their parameters, each with its place."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from logpipe.config.diagnostic import NOWHERE, Position


class Unset(enum.Enum):
    """The value of a parameter set to `"#{use_default}"`: its default applies."""

    DEFAULT = "default"


USE_DEFAULT: Final = Unset.DEFAULT

Value: TypeAlias = str | Unset | None
"""A parameter's text; None after `use_nil`, USE_DEFAULT after `use_default`."""


class Piece(NamedTuple):
    """A part of a value: where in the value it starts, where it was written, and its width on its line.

    The width is 0 where the written text differs from the value: an escape, embedded code.
    """

    start: int
    place: Position
    width: int
    is_code: bool = False


@dataclass(slots=True)
class Param:
    """One `name value` line. `position` is the name's place, `value_position` where the value begins.

    `pieces` are those of a quoted value; an unquoted value is written as it is.
    """

    name: str
    value: Value
    position: Position = NOWHERE
    value_position: Position = NOWHERE
    pieces: tuple[Piece, ...] = ()
    native: float | bool | None = field(default=None, compare=False)
    """The number or boolean that YAML reads it as, which only a field of a record keeps."""
    is_copy: bool = field(default=False, compare=False)
    """Whether 0.12's spelling put it here, and the section above reads it as well: here it may be of no use."""

    @property
    def has_code(self) -> bool:
        """Whether embedded code produced a part of the value."""
        return any(piece.is_code for piece in self.pieces)

    def place(self, offset: int) -> Position:
        """Return where the value's character at `offset` was written."""
        piece = next((piece for piece in reversed(self.pieces) if piece.start <= offset), None)
        if piece is None:
            file, line, column = self.value_position.file, self.value_position.line, self.value_position.column
            return Position(file, line, column + offset) if line else self.value_position
        column = piece.place.column + min(offset - piece.start, piece.width)
        return Position(piece.place.file, piece.place.line, column)


@dataclass(slots=True)
class Element:
    """One `<name arg> … </name>` section; the whole file is an element called ROOT.

    A parameter that is written twice keeps its last value, as in fluentd. `included_from` lists the `@include`
    lines that led here, outermost first.
    """

    name: str
    arg: str = ""
    params: dict[str, Param] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
    position: Position = NOWHERE
    arg_position: Position = NOWHERE
    included_from: tuple[Position, ...] = ()
    defaults: Mapping[str, str | None] = field(default_factory=dict, compare=False, repr=False)
    """What parameters are that nobody wrote, where the section's owner has it otherwise than who reads the section."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a parameter's text, or `default` where it is absent, nil or USE_DEFAULT."""
        param = self.params.get(name)
        return param.value if param is not None and isinstance(param.value, str) else default

    def sections(self, *names: str) -> Iterator[Element]:
        """Yield the nested sections of these names, in file order."""
        return (element for element in self.elements if element.name in names)

    def split(self, names: Collection[str]) -> Element:
        """Take parameters out; returns a section that has only these, and no sections."""
        return replace(self, params={name: self.params.pop(name) for name in names if name in self.params}, elements=[])

    def set(self, name: str, value: Value, position: Position = NOWHERE) -> None:
        """Set a parameter, replacing one of the same name."""
        self.params[name] = Param(name, value, position, position)

    @property
    def type(self) -> str:
        """The plugin's type, from `@type` or 0.12's `type`; empty where there is none."""
        return self.get("@type") or self.get("type") or ""

    @property
    def title(self) -> str:
        """Its opening tag, for messages: `<match app.**>`."""
        return f"<{self.name} {self.arg}>" if self.arg else f"<{self.name}>"

    def spell_out_regexp(self) -> None:
        """Write a parser's `@type /…/` as `@type regexp` with its `expression`, as fluentd's plugin.rb reads it."""
        given = self.params.get("@type") or self.params.get("type")
        written = self.type
        if given is None or len(written) < 2 or not (written.startswith("/") and written.endswith("/")):
            return
        pieces = tuple(piece._replace(start=piece.start - 1) for piece in given.pieces)
        expression = Param("expression", written[1:-1], given.position, given.place(1), pieces)
        self.params.setdefault("expression", expression)
        self.params[given.name] = Param(given.name, "regexp", given.position, given.value_position)
