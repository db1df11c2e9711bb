"""Fills `${tag}`, `${key}`, `${chunk_id}` and `%Y…` in an output's settings from what a chunk's events share.

Order and rules: fluentd's plugin/output.rb, extract_placeholders. A value is confined to the place that the setting
leaves open to it, for whoever writes a log line chooses values: what comes of them is judged when all are filled in.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import tzinfo
from functools import lru_cache
from typing import Any, Final

from logpipe.errors import ExpressionError, PermanentError
from logpipe.expression.runtime.text import to_s
from logpipe.plugin import Chunk
from logpipe.time_format import compile_formatter

_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")
_TAG_PART: Final = re.compile(r"tag\[(-?\d+)\]")


def expand(
    template: str,
    chunk: Chunk,
    *,
    zone: tzinfo | None,
    keys: tuple[str, ...],
    log: logging.Logger | logging.LoggerAdapter[Any],
    quote: Callable[[str], str] | None = None,
) -> str:
    """Return the template filled; a placeholder that is no chunk key becomes nothing, with a warning.

    Values become text as Ruby's `to_s` writes them, and bytes that are no UTF-8 as `surrogateescape` does; `quote`
    is given each before it is filled in.

    Raises:
        PermanentError: a tag or a field would leave its folder, or is no text that a name can hold.
    """
    key = chunk.key
    if "time" in keys and key.timekey is not None:
        template = _formatter(template, zone)(key.timekey * 1_000_000_000)
    variables = dict(key.variables)
    filled = _Filled()
    end = 0
    for found in _PLACEHOLDER.finditer(template):
        name = found[1]
        filled.add_literal(template[end : found.start()])
        end = found.end()
        if name == "chunk_id":
            filled.add_literal(chunk.id)
            continue
        if not keys:
            filled.add_literal(found[0])  # compat: without chunk keys nothing but ${chunk_id} is replaced
            continue
        tag = _tag_value(name, key.tag) if key.tag is not None else None
        if tag is None and name not in variables:
            log.warning("chunk key placeholder %r not replaced. template:%s", name, template)
            continue
        filled.add_value(name, _text(name, variables[name] if tag is None else tag), quote)
    filled.add_literal(template[end:])
    return filled.text()


class _Filled:
    """A template that is being filled, as the components of a path: each with whether a value is part of it."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._open = ""
        self._names: list[str] = []

    def add_literal(self, text: str) -> None:
        self._add(text, [])

    def add_value(self, name: str, value: str, quote: Callable[[str], str] | None) -> None:
        if "\0" in value:
            raise PermanentError(f"invalid path component in placeholder {name}: {value!r} holds a NUL")
        if value.startswith("/"):
            # compat: output.rb refuses it, since a path that begins with a value would name any file
            raise PermanentError(f"invalid path component in placeholder {name}: {value!r} begins with /")
        self._add(value if quote is None else quote(value), [name])

    def _add(self, text: str, names: list[str]) -> None:
        self._names += names
        head, *rest = text.split("/")
        self._open += head
        for component in rest:
            self._close()
            self._open, self._names = component, list(names)

    def _close(self) -> None:
        # CVE-2026-44024: values must not choose the folder, nor two together, nor one with what stands beside it
        if self._names and self._open in {".", ".."}:
            names = ", ".join(self._names)
            raise PermanentError(f"invalid path component in placeholder {names}: {self._open!r}")
        if self._names and not self._open and not self._done:
            names = ", ".join(self._names)
            raise PermanentError(f"invalid path component in placeholder {names}: nothing before the first /")
        self._done.append(self._open)

    def text(self) -> str:
        """Return it, when all was added."""
        if self._done:
            self._close()
        return "/".join(self._done or [self._open])


def _text(name: str, value: Any) -> str:
    try:
        text = to_s(value)
        text.encode("utf-8", "surrogateescape" if isinstance(value, bytes) else "strict")
    except UnicodeEncodeError:
        raise PermanentError(f"invalid path component in placeholder {name}: {text!a} is no valid text") from None
    except ExpressionError as problem:
        raise PermanentError(f"placeholder {name} cannot be filled: {problem}") from None
    return text


@lru_cache(maxsize=256)
def _formatter(template: str, zone: tzinfo | None) -> Any:
    return compile_formatter(template, zone=zone)


def _tag_value(name: str, tag: str) -> str | None:
    if name == "tag":
        return tag
    part = _TAG_PART.fullmatch(name)
    if part is None:
        return None
    parts, index = tag.split("."), int(part[1])
    return parts[index] if -len(parts) <= index < len(parts) else ""
