"""Checks the declarations of an Options class, so that its author sees mistakes when the class is made."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from logpipe.config.conversion import FileMode, Seconds, Size, converter
from logpipe.config.declare import REQUIRED, Setting

_NUMBERS: Final[dict[Any, Any]] = {int: int, Size: int, FileMode: int, float: (int, float), Seconds: (int, float)}
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
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    if re.Pattern in {hint, origin}:
        return isinstance(value, re.Pattern)
    wanted: Any = origin or hint
    return not isinstance(wanted, type) or isinstance(value, wanted)


def _shown(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)
