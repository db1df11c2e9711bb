"""A tree of elements as td-agent.conf text, dialect v1, that loads to the same tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from logpipe.config.element import Element, Param, Unset, Value
from logpipe.config.json_text import dump_json, load_json
from logpipe.config.secrets import MASK, masked_text

IsSecret: TypeAlias = Callable[[Element, Param], bool]

_BARE_NAME: Final = re.compile(r"""[^ \t\r\n#<"'][^ \t\r\n]*""")
_BARE_VALUE: Final = re.compile(r"""[^ \t\r\n"'\[{][^ \t\r\n]*(?:[ \t]+[^ \t\r\n#][^ \t\r\n]*)*""")
_BARE_ARGUMENT: Final = re.compile(r"""[^ \t\r\n>#"'][^ \t\r\n>]*(?:[ \t]+[^ \t\r\n>]+)*""")
_ESCAPES: Final = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\f": "\\f",
    "\b": "\\b",
    "\0": "\\0",
}
_SINGLE_ESCAPES: Final = re.compile(r"'|\\(?=['\\]|$)")


def print_tree(root: Element, *, is_secret: IsSecret | None = None) -> str:
    """Return a configuration's text; with `is_secret`, the parameters it selects and secrets in others are masked."""
    return "".join(f"{line}\n" for line in _body(root, "", is_secret))


def _body(element: Element, indent: str, is_secret: IsSecret | None) -> Iterator[str]:
    for param in element.params.values():
        value = _value(param.value) if is_secret is None else _shown(param, is_secret=is_secret(element, param))
        yield f"{indent}{_name(param.name, at_root=not indent)} {value}".rstrip(" ")
    for child in element.elements:
        if child.name == "@include":
            yield f"{indent}@include {_value(child.arg)}"
            continue
        yield f"{indent}<{child.name} {_argument(child.arg)}>" if child.arg else f"{indent}<{child.name}>"
        yield from _body(child, f"{indent}  ", is_secret)
        yield f"{indent}</{child.name}>"


def _shown(param: Param, *, is_secret: bool) -> str:
    if is_secret:
        return MASK
    return _value(masked_text(param.value) if isinstance(param.value, str) else param.value)


def _name(name: str, *, at_root: bool) -> str:
    if at_root and name == "include":
        return _double_quoted(name)
    return name if _BARE_NAME.fullmatch(name) else _double_quoted(name)


def _argument(text: str) -> str:
    return text if _BARE_ARGUMENT.fullmatch(text) else _quoted(text)


def _value(value: Value) -> str:
    if value is None:
        return '"#{use_nil}"'
    if isinstance(value, Unset):
        return '"#{use_default}"'
    if not value or _BARE_VALUE.fullmatch(value) or _is_json(value):
        return value
    return _quoted(value)


def _is_json(text: str) -> bool:
    """Return whether a value may be printed as JSON: it is read back unchanged, and contains no code to run."""
    if text[0] not in "[{" or "#{" in text:
        return False
    try:
        return dump_json(load_json(text)) == text
    except ValueError:
        return False


def _quoted(text: str) -> str:
    if "\n" in text or "\r" in text:
        return _double_quoted(text)
    return "'" + _SINGLE_ESCAPES.sub(lambda found: f"\\{found[0]}", text) + "'"


def _double_quoted(text: str) -> str:
    escaped = "".join(_ESCAPES.get(char, char) for char in text).replace("#{", "\\#{")
    return f'"{escaped}"'
