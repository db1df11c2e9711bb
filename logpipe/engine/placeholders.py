"""Fills `${tag}`, `${key}`, `${chunk_id}` and `%Y…` in an output's settings from what a chunk's events share.

Order and rules: fluentd's plugin/output.rb, extract_placeholders.
"""

from __future__ import annotations

import logging
import re
from datetime import tzinfo
from functools import lru_cache
from typing import Any, Final

from logpipe.errors import PermanentError
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
) -> str:
    """Return the template filled; a placeholder that is no chunk key becomes nothing, with a warning.

    Raises:
        PermanentError: a tag or a field holds a path component that leaves its folder, or a NUL.
    """
    key = chunk.key
    if "time" in keys and key.timekey is not None:
        template = _formatter(template, zone)(key.timekey * 1_000_000_000)
    if "${" not in template:
        return template
    variables = {f"${{{name}}}": value for name, value in key.variables}

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name == "chunk_id":
            return chunk.id
        if not keys:
            return match[0]  # compat: without chunk keys nothing but ${chunk_id} is replaced
        value = _tag_value(name, key.tag) if key.tag is not None else None
        if value is None and match[0] in variables:
            value = "" if variables[match[0]] is None else str(variables[match[0]])
        if value is None:
            log.warning("chunk key placeholder %r not replaced. template:%s", name, template)
            return ""
        _refuse_traversal(name, value)
        return value

    return _PLACEHOLDER.sub(fill, template)


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


def _refuse_traversal(name: str, value: str) -> None:
    # CVE-2026-44024: a tag or field must not choose the folder
    if "\0" in value or ".." in value.split("/"):
        raise PermanentError(f"invalid path component in placeholder {name}: {value!r}")
