"""How an Options class declares its settings: one call each, with a description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from logpipe.config.diagnostic import Position
from logpipe.errors import LogpipeError


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()
"""Stands for the default of a required setting."""


class InvalidSetting(LogpipeError):  # noqa: N818 - also yielded as a finding, not only raised
    """A setting, or several together, cannot be used; `param` is the one to mark, "" means the whole section.

    `offset` counts the characters of its value up to the mistake, and `position` is another place, such as in a nested
    section. With the severity `warning` the settings can be used but are probably not what was meant: `Options.check`
    yields it, and it is never raised.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str = "",
        offset: int = 0,
        position: Position | None = None,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        super().__init__(message)
        self.param = param
        self.offset = offset
        self.position = position
        self.severity = severity


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
    defaults: Mapping[str, str] | None = None
    convert: Callable[[str], Any] | None = None
    placeholders: bool = False


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


def section(doc: str, *, name: str = "", many: bool = False, required: bool = False) -> Any:
    """Declare a nested section with its own Options class.

    Annotate with that class, `Class | None` where it may be absent, or `list[Class]` with `many`.
    """
    return Setting("section", doc, name=name, many=many, required=required)


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
    defaults: Mapping[str, str] | None = None,
) -> Any:
    """Declare a section that holds another plugin (`<parse>`, `<format>`, `<store>`).

    The value is a `PluginConf` to hand to `host.parser`, `host.formatter` or `host.outlet`; with `many` a list of
    them; None where the section is absent and there is no `default_type`. `defaults` are parameters that this
    section has unless the user wrote them.
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
    )
