"""What `check` can tell of the tags that rewrite_tag_filter makes: from its section alone, before it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from logpipe.ruby import ExpressionError, compile_regexp
from logpipe.tree import Element, Way

_ANY: Final = "any"
"""Stands for what only the event shows."""
_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}|__[A-Z]+(?:\[\d+\])?__|\$\d+")
_PART: Final = re.compile(r"\$\{tag_parts\[(\d+)\]\}|__TAG_PARTS\[(\d+)\]__")


def ways_of(element: Element) -> Iterator[Way]:
    """Yield the way of each rule, of those in sections and of 1.6's numbered ones."""
    removed = _removed(element)
    for rule in element.sections("rule"):
        condition = (rule.get("key"), rule.get("pattern"), rule.get("invert"))
        label = rule.get("label") or ""
        yield Way(label, _retag(rule.get("tag") or "", removed, keeps_label=not label), condition)
    for name, param in element.params.items():
        words = param.value.split() if isinstance(param.value, str) else []
        if re.fullmatch(r"rewriterule\d+", name) and words:
            yield Way("", _retag(words[-1], removed, keeps_label=True), tuple(words[:-1]))


def _removed(element: Element) -> re.Pattern[str] | None:
    prefix, regexp = element.get("remove_tag_prefix"), element.get("remove_tag_regexp")
    if prefix is not None:
        return re.compile(rf"^{re.escape(prefix)}\.?")
    try:
        return None if regexp is None else compile_regexp(regexp.strip("/"))
    except ExpressionError:
        return None


def _retag(template: str, removed: re.Pattern[str] | None, *, keeps_label: bool) -> Callable[[str], str | None]:
    def retag(before: str) -> str | None:
        tag = before if removed is None else removed.sub("", before, count=1)
        parts = tag.split(".")

        def fill(found: re.Match[str]) -> str:
            name = found[0]
            if name in {"${tag}", "__TAG__"}:
                return tag
            if part := _PART.fullmatch(name):
                number = int(part[1] or part[2])
                return parts[number] if number < len(parts) else ""
            return _ANY

        new = _PLACEHOLDER.sub(fill, template)
        return None if keeps_label and new == before else new  # what would keep tag and label is dropped

    return retag
