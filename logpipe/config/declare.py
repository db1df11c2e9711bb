"""How an Options class declares its settings: one call each, with a description.

`verify` checks the declarations when the class is made, so that its author sees mistakes then.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from logpipe.config.conversion import FileMode, Seconds, Size, converter
from logpipe.config.diagnostic import Diagnostic, Position, error, warning
from logpipe.config.element import Element
from logpipe.errors import LogpipeError


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


ENGINE_PARAMS: Final = frozenset(
    {"@type", "@id", "@label", "@log_level", "type", "id", "log_level", "slow_flush_log_threshold", "time_as_integer"}
)
"""Parameters that every plugin section may hold and that the engine reads."""

REQUIRED: Final = _Required()
"""Stands for the default of a required setting."""


class InvalidSetting(LogpipeError):  # noqa: N818 - also yielded as a finding, not only raised
    """A setting, or several together, cannot be used; `param` is the one to mark, "" means the whole section.

    `offset` counts the characters of its value up to the mistake, and `position` is another place, such as in a nested
    section. With the severity `warning` the settings can be used but are probably not what was meant: `Options.check`
    yields it, and it is never raised. `code` is the diagnostic's, where it is a
    more exact one.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str = "",
        offset: int = 0,
        position: Position | None = None,
        severity: Literal["error", "warning"] = "error",
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.offset = offset
        self.position = position
        self.severity = severity


Defaults: TypeAlias = Mapping[str, str | None] | Callable[[Element], Mapping[str, str | None]]
"""What parameters of a section are that nobody wrote, None for nil; or what returns it for a section as it stands."""


def as_diagnostic(element: Element, invalid: InvalidSetting) -> Diagnostic:
    """Return the diagnostic of an invalid setting, with the place of its parameter."""
    param = element.params.get(invalid.param)
    place = element.position
    if param is not None:
        place = param.place(invalid.offset) if invalid.offset else param.value_position
    position = invalid.position or place
    message = f"{describe(element)}: {invalid}"
    if invalid.severity == "warning":
        return warning("doubtful-parameter", message, position)
    if invalid.code:
        return error(invalid.code, message, position)
    return error("invalid-parameter", message, position)


def describe(element: Element) -> str:
    """Return how messages name a section: `<match app.**> @type kafka2`."""
    return f"{element.title} @type {element.type}" if element.type else element.title


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting: the arguments of `param` and its like, and the name and type of its attribute."""

    role: Literal["param", "argument", "section", "raw", "plugin"]
    doc: str
    default: Any = REQUIRED
    name: str = ""
    alias: str = ""
    secret: bool = False
    deprecated: str = ""
    removed: str = ""
    no_effect: str = ""
    many: bool = False
    required: bool = False
    plugin_kind: str = ""
    default_type: str = ""
    defaults: Defaults | None = None
    convert: Callable[[str], Any] | None = None
    placeholders: bool = False
    owned: type[Any] | None = None
    type_param: str = ""

    def defaults_for(self, element: Element) -> Mapping[str, str | None]:
        """Return the defaults that a section has by its owner."""
        if callable(self.defaults):
            return self.defaults(element)
        return self.defaults or {}


def param(
    doc: str,
    *,
    default: Any = REQUIRED,
    name: str = "",
    alias: str = "",
    secret: bool = False,
    deprecated: str = "",
    removed: str = "",
    no_effect: str = "",
    convert: Callable[[str], Any] | None = None,
    placeholders: bool = False,
) -> Any:
    """Declare a `name value` line.

    `default` may be written as a user would write it ("8m"). `name` is for names that are not Python identifiers.
    `convert` replaces the annotation's conversion: text to value, ValueError with a message for invalid text.
    `deprecated` and `removed` say what to use instead; a removed setting is an error, as in fluentd.
    `placeholders` says that an output fills the text with `host.expand`: `check` then reports placeholders without a
    chunk key, like fluentd's placeholder_validate!.
    `no_effect` says why a setting of fluentd's is accepted and ignored; it is shown to users who set it.
    """
    return Setting(
        "param",
        doc,
        default,
        name=name,
        alias=alias,
        secret=secret,
        deprecated=deprecated,
        removed=removed,
        no_effect=no_effect,
        convert=convert,
        placeholders=placeholders,
    )


def argument(doc: str, *, default: Any = REQUIRED) -> Any:
    """Declare the section's argument: the ARG of `<buffer ARG>`."""
    return Setting("argument", doc, default)


def section(
    doc: str, *, name: str = "", many: bool = False, required: bool = False, defaults: Defaults | None = None
) -> Any:
    """Declare a nested section with its own Options class.

    Annotate with that class, `Class | None` where it may be absent, or `list[Class]` with `many`. `defaults` stand in
    the place of its own.
    """
    return Setting("section", doc, name=name, many=many, required=required, defaults=defaults)


def raw_section(doc: str, *, name: str = "") -> Any:
    """Declare a section whose parameter names the user chooses (`<record>`); the value is a `list[Element]`."""
    return Setting("raw", doc, name=name, many=True)


def plugin_section(
    doc: str,
    *,
    kind: str,
    name: str = "",
    default_type: str = "",
    many: bool = False,
    required: bool = False,
    defaults: Defaults | None = None,
    owned: type[Any] | None = None,
    type_param: str = "",
) -> Any:
    """Declare a section that holds another plugin (`<parse>`, `<format>`, `<store>`).

    The value is a `PluginConf` to hand to `host.parser`, `host.formatter` or `host.outlet`; with `many` a list of
    them; None where the section is absent and there is no `default_type`. `defaults` stand in
    the place of the nested plugin's own, whichever it is, where it has such settings. `owned` is an Options class for
    parameters of this section that are not the nested plugin's but the owner's (`weight` of roundrobin's `<store>`):
    they are read into `PluginConf.owned`, and the nested plugin never sees them. `type_param` is one of these where it
    names the type instead of `@type` (`format` of multi_format's `<pattern>`).
    """
    return Setting(
        "plugin",
        doc,
        name=name,
        many=many,
        required=required,
        plugin_kind=kind,
        default_type=default_type,
        defaults=defaults,
        owned=owned,
        type_param=type_param,
    )


@dataclass(frozen=True, slots=True)
class Explained:
    """One expression, or the function that runs those of a section."""

    place: Position
    name: str
    """Its place, such as `<record> topic`."""
    text: str
    """As the user wrote it; "" for the function that runs the others."""
    source: str
    """Generated Python."""


@runtime_checkable
class Explaining(Protocol):
    """An Options class with expressions."""

    def explained(self) -> Iterator[Explained]:
        """Yield the expressions in file order; called only on valid settings."""


_PLAIN: Final[dict[Any, Any]] = {int: int, Size: int, FileMode: int, float: (int, float), Seconds: (int, float)}
_ROLES: Final = {
    "section": "the section's Options class, or list[…] of it",
    "raw": "list[Element]",
    "plugin": "PluginConf, PluginConf | None or list[PluginConf]",
}


def verify(
    where: str, settings: Mapping[str, Setting], hints: Mapping[str, Any], is_options: Callable[[Any], bool]
) -> None:
    """Check the settings that a class declares.

    Args:
        where: the class's name, for messages.
        settings: what was declared, by attribute.
        hints: the types of the attributes.
        is_options: whether a type is that of a section.

    Raises:
        TypeError: a setting has no type or one without a conversion, or a default of another type.
    """
    for name, setting in settings.items():
        if name not in hints:
            wanted = _ROLES.get(setting.role, "str, for example")
            raise TypeError(f"{where}.{name} has no type: write {name}: TYPE = … ({wanted})")
        hint = hints[name]
        if setting.role == "section" and not is_options(hint):
            raise TypeError(f"{where}.{name}: {_shown(hint)} is no type of a section: write {_ROLES['section']}")
        if setting.role in {"param", "argument"}:
            _verify_param(f"{where}.{name}", setting, hint)


def _verify_param(where: str, setting: Setting, hint: Any) -> None:
    convert = setting.convert
    if convert is None:
        try:
            convert = converter(hint, strict=True)
        except TypeError:
            message = f"{where}: text cannot be made a {_shown(hint)}: give param(…, convert=FUNCTION), or write a type"
            raise TypeError(f"{message} such as str, int, float, bool, Size, Seconds or RecordAccessor") from None
    default = setting.default
    if default is REQUIRED:
        return
    if isinstance(default, str):
        try:
            convert(default)
        except ValueError as problem:
            raise TypeError(f"{where}: its default {default!r} cannot be read: {problem}") from None
    elif setting.convert is None and not _fits(default, hint):
        wanted = f"write | None behind its type {_shown(hint)}" if default is None else f"it is no {_shown(hint)}"
        raise TypeError(f"{where}: its default is {default!r}: {wanted}")


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a default other than text is of a setting's type."""
    origin: Any = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return any(_fits(value, argument) for argument in arguments)
    if hint is type(None) or value is None:
        return value is None and hint is type(None)
    if origin is Literal:
        return value in arguments
    if hint in _PLAIN:
        return isinstance(value, _PLAIN[hint]) and not isinstance(value, bool)
    if re.Pattern in {hint, origin}:
        return isinstance(value, re.Pattern)
    wanted: Any = origin or hint
    return not isinstance(wanted, type) or isinstance(value, wanted)


def _shown(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)
